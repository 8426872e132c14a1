// umvu-mounter: makes the layers of one virtual machine. A layer is a private mount of a directory tree or of a
// file, in a mount namespace where nobody lives, so that everything that is opened through it can be told from what
// was opened elsewhere: /proc/PID/cwd and /proc/PID/fd/N name it by a path below the stage, which no other file has.
// A read-only layer is one for the kernel, so a descriptor of it never becomes writable.
//
// Started by the runtime (runtime/files/mounter.ts) with a SOCK_SEQPACKET socket as descriptor 3; ends with it. It
// speaks the protocol of the broker (native/broker/protocol.h) with operations of its own.
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstring>
#include <string>

#include "../broker/error.h"
#include "../broker/files.h"
#include "../broker/protocol.h"
#include "../broker/unique_fd.h"

namespace umvu::mounter {
namespace {

using broker::CheckSystem;
using broker::FailSystem;
using broker::Failure;
using broker::ReplyHeader;
using broker::RequestHeader;
using broker::UniqueFd;

constexpr int kChannel = 3;

// Operations, as in runtime/files/mounter.ts.
constexpr uint32_t kPing = 1;
// A layer for the absolute path `text`, read-only when `a` is 1: a descriptor (O_PATH) of its root, and the number
// by which it can be removed.
constexpr uint32_t kAdd = 2;
// Removes layer `a`. What is open in it stays usable.
constexpr uint32_t kRemove = 3;
// A FUSE file system of a single file, mounted nowhere: first the descriptor for its server, then, with kFuseFile,
// the file itself (O_PATH).
constexpr uint32_t kFuse = 4;
constexpr uint32_t kFuseFile = 5;

// Where the stage may stand: any directory will do that nobody has as a layer for its own sake.
constexpr const char* kStages[] = {"/proc/driver", "/proc/fs", "/sys/kernel", "/proc/sys", "/mnt", "/tmp"};

void WriteMap(const char* path, const std::string& text) {
  const int result = broker::WriteFile(path, text);
  if (result < 0) throw Failure(-result, path);
}

// A mount namespace of our own, in which mounts of the host still appear, and the right to mount there.
void GainRights() {
  if (unshare(CLONE_NEWNS) < 0) {
    const std::string uid = std::to_string(geteuid());
    const std::string gid = std::to_string(getegid());
    CheckSystem(unshare(CLONE_NEWUSER | CLONE_NEWNS), "unshare(CLONE_NEWUSER)");
    WriteMap("/proc/self/setgroups", "deny");
    WriteMap("/proc/self/uid_map", "0 " + uid + " 1");
    WriteMap("/proc/self/gid_map", "0 " + gid + " 1");
  }
  CheckSystem(mount(nullptr, "/", nullptr, MS_REC | MS_SLAVE, nullptr), "mount(MS_SLAVE)");
}

class Stage {
 public:
  // Mounts the stage. It is unbindable, so that layers of "/" do not contain the other layers.
  Stage() {
    GainRights();
    for (const char* place : kStages) {
      if (mount("umvu", place, "tmpfs", MS_NOSUID, "mode=0755") != 0) continue;
      CheckSystem(mount(nullptr, place, nullptr, MS_UNBINDABLE, nullptr), "mount(MS_UNBINDABLE)");
      unsigned char random[12];
      if (getentropy(random, sizeof random) != 0) FailSystem("getentropy");
      path_ = std::string(place) + "/umvu-";
      for (const unsigned char byte : random) {
        char digits[3];
        std::snprintf(digits, sizeof digits, "%02x", byte);
        path_ += digits;
      }
      CheckSystem(mkdir(path_.c_str(), 0755), "mkdir");
      return;
    }
    FailSystem("no place for layers");
  }

  UniqueFd Add(const std::string& source, bool read_only, uint32_t* number) {
    const UniqueFd tree(static_cast<int>(
        syscall(SYS_open_tree, AT_FDCWD, source.c_str(),
                OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_RECURSIVE | AT_SYMLINK_NOFOLLOW)));
    if (!tree) FailSystem(source);
    mount_attr attributes{};
    attributes.attr_set = read_only ? MOUNT_ATTR_RDONLY : 0;
    attributes.propagation = MS_PRIVATE;
    CheckSystem(static_cast<int>(syscall(SYS_mount_setattr, tree.get(), "",
                                         AT_EMPTY_PATH | AT_RECURSIVE, &attributes,
                                         sizeof attributes)),
                "mount_setattr");
    struct stat about {};
    CheckSystem(fstat(tree.get(), &about), "fstat");
    const std::string place = path_ + '/' + std::to_string(++last_);
    if (S_ISDIR(about.st_mode)) {
      CheckSystem(mkdir(place.c_str(), 0755), "mkdir");
    } else {
      CheckSystem(mknod(place.c_str(), S_IFREG | 0644, 0), "mknod");
    }
    CheckSystem(static_cast<int>(syscall(SYS_move_mount, tree.get(), "", AT_FDCWD, place.c_str(),
                                         MOVE_MOUNT_F_EMPTY_PATH)),
                "move_mount");
    UniqueFd root(open(place.c_str(), O_PATH | O_CLOEXEC));
    if (!root) FailSystem("open");
    *number = last_;
    return root;
  }

  void Remove(uint32_t number) {
    const std::string place = path_ + '/' + std::to_string(number);
    CheckSystem(umount2(place.c_str(), MNT_DETACH | UMOUNT_NOFOLLOW), "umount2");
    if (rmdir(place.c_str()) != 0) unlink(place.c_str());
  }

 private:
  std::string path_;
  uint32_t last_ = 0;
};

// FUSE takes only mounts by whoever has opened the device, in the same user namespace: hence it is done here.
UniqueFd MountFuse(UniqueFd& file) {
  UniqueFd server(open("/dev/fuse", O_RDWR | O_CLOEXEC | O_NONBLOCK));
  if (!server) FailSystem("open(/dev/fuse)");
  const UniqueFd context(static_cast<int>(syscall(SYS_fsopen, "fuse", FSOPEN_CLOEXEC)));
  if (!context) FailSystem("fsopen");
  const std::string number = std::to_string(server.get());
  const char* settings[][2] = {
      {"fd", number.c_str()}, {"rootmode", "100666"}, {"user_id", "0"}, {"group_id", "0"}};
  for (const auto& [key, value] : settings) {
    CheckSystem(static_cast<int>(syscall(SYS_fsconfig, context.get(), FSCONFIG_SET_STRING, key, value, 0)), key);
  }
  CheckSystem(static_cast<int>(syscall(SYS_fsconfig, context.get(), FSCONFIG_CMD_CREATE, nullptr, nullptr, 0)),
              "fsconfig");
  file = UniqueFd(static_cast<int>(
      syscall(SYS_fsmount, context.get(), FSMOUNT_CLOEXEC, MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV)));
  if (!file) FailSystem("fsmount");
  return server;
}

bool Send(int32_t result, const UniqueFd& fd, const std::string& reason) {
  ReplyHeader header{};
  header.result = result;
  header.fds = fd ? 1 : 0;
  header.text_length = static_cast<uint32_t>(std::min(reason.size(), broker::kMaxReason));
  iovec parts[] = {{&header, sizeof header}, {const_cast<char*>(reason.data()), header.text_length}};
  msghdr message{};
  message.msg_iov = parts;
  message.msg_iovlen = 2;
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int))] = {};
  if (fd) {
    message.msg_control = control;
    message.msg_controllen = sizeof control;
    cmsghdr* head = CMSG_FIRSTHDR(&message);
    head->cmsg_level = SOL_SOCKET;
    head->cmsg_type = SCM_RIGHTS;
    head->cmsg_len = CMSG_LEN(sizeof(int));
    const int number = fd.get();
    std::memcpy(CMSG_DATA(head), &number, sizeof number);
  }
  while (sendmsg(kChannel, &message, MSG_NOSIGNAL) < 0) {
    if (errno != EINTR) return false;
  }
  return true;
}

// The result of a request, and the descriptor that goes with it.
int32_t Answer(Stage& stage, const RequestHeader& request, const std::string& text, UniqueFd& fd) {
  static UniqueFd fuse_file;  // between kFuse and kFuseFile
  uint32_t number = 0;
  switch (request.op) {
    case kPing:
      return broker::kProtocolVersion;
    case kAdd:
      fd = stage.Add(text, request.a == 1, &number);
      return static_cast<int32_t>(number);
    case kRemove:
      stage.Remove(request.a);
      return 0;
    case kFuse:
      fd = MountFuse(fuse_file);
      return 0;
    case kFuseFile:
      fd = std::move(fuse_file);
      return 0;
  }
  throw Failure(EINVAL, "unknown request");
}

// One request and its reply; false when the runtime is gone.
bool Serve(Stage& stage) {
  char message[broker::kMaxRequest];
  const ssize_t size = recv(kChannel, message, sizeof message, MSG_TRUNC);
  if (size < 0 && errno == EINTR) return true;
  if (size <= 0) return false;
  UniqueFd fd;
  try {
    RequestHeader request;
    const auto length = static_cast<size_t>(size);
    if (length < sizeof request || length > sizeof message) throw Failure(EINVAL, "bad length");
    std::memcpy(&request, message, sizeof request);
    if (request.text_length != length - sizeof request) throw Failure(EINVAL, "bad length");
    const std::string text(message + sizeof request, request.text_length);
    const int32_t result = Answer(stage, request, text, fd);
    return Send(result, fd, "");
  } catch (const Failure& failure) {
    return Send(-failure.error(), UniqueFd(), failure.what());
  }
}

// Tells the runtime why there is no stage.
int Refuse(const Failure& failure) {
  char message[broker::kMaxRequest];
  while (recv(kChannel, message, sizeof message, 0) > 0) {
    if (!Send(-failure.error(), UniqueFd(), failure.what())) break;
  }
  return 1;
}

int Run() {
  setsid();
  for (const int number : {SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGTSTP, SIGPIPE}) {
    signal(number, SIG_IGN);
  }
  fcntl(kChannel, F_SETFD, FD_CLOEXEC);
  if (close_range(kChannel + 1, ~0U, 0) < 0) std::perror("umvu-mounter: close_range");
  if (chdir("/") < 0) std::perror("umvu-mounter: chdir");
  umask(022);
  try {
    Stage stage;
    // Guests have our user id: nobody but root may look into us or stop us (ptrace(2)).
    prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
    while (Serve(stage)) {
    }
  } catch (const Failure& failure) {
    return Refuse(failure);
  }
  return 0;
}

}  // namespace
}  // namespace umvu::mounter

int main() { return umvu::mounter::Run(); }
