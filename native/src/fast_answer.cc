#include "fast_answer.h"

#include <fcntl.h>
#include <linux/seccomp.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <climits>
#include <vector>

#include "files.h"
#include "guest_memory.h"
#include "notify.h"
#include "signals_blocked.h"

namespace umvu {
namespace {

class Closing {
 public:
  explicit Closing(int fd) : fd_(fd) {}
  ~Closing() {
    if (fd_ >= 0) close(fd_);
  }
  Closing(const Closing&) = delete;
  Closing& operator=(const Closing&) = delete;

 private:
  const int fd_;
};

bool IsAtOrBelow(std::string_view path, std::string_view top) {
  return path.starts_with(top) && (path.size() == top.size() || path[top.size()] == '/');
}

// File systems that show every process something else, or belong to the kernel.
bool IsPseudo(std::string_view path) {
  return IsAtOrBelow(path, "/proc") || IsAtOrBelow(path, "/sys") || IsAtOrBelow(path, "/dev");
}

// The part of `path` below the target of a mount, which is its first `target` bytes.
std::string Inside(const std::string& path, size_t target) {
  return path.size() > target + 1 ? path.substr(target + 1) : std::string();
}

}  // namespace

bool FastAnswer::Written::Join(std::string_view names) {
  constexpr size_t kMostTurns = 4;
  bool up = false;
  for (Components parts(names); !parts.Done();) {
    const std::string_view name = parts.Next();
    directory = parts.SlashFollows() || name == "." || name == "..";
    if (name == ".") continue;
    if (name != "..") {
      if (name.size() > NAME_MAX) return false;
      path.append(1, '/').append(name);
    } else {
      // Where "a/b" is a directory, so is "a".
      if (!up) turns.push_back(path);
      if (path.empty() || turns.size() > kMostTurns) return false;
      path.resize(path.rfind('/'));
    }
    up = name == "..";
  }
  return path.size() < PATH_MAX;
}

FastAnswer::Answer FastAnswer::To(const FastCall& call) {
  switch (call.kind) {
    case FastCall::Kind::kEntries:
      return ToEntries(call.dirfd);
    case FastCall::Kind::kWorkingDirectory:
      return ToWorkingDirectory(call);
    default:
      return ToPath(call);
  }
}

// Where `path` (canonical) is in the view.
FastAnswer::TreePlace FastAnswer::PlaceOf(const std::string& path) const {
  const PathClaims::Depth depth = paths_.claims.Measure(path);
  TreePlace place;
  place.mounts_below = depth.below;
  place.claimed = depth.claimed != std::string_view::npos;
  if (!place.claimed || depth.more || IsPseudo(path)) return place;
  const std::string_view target = depth.claimed == 0 ? "/" : std::string_view(path).substr(0, depth.claimed);
  const auto tree = paths_.trees.find(target);
  if (tree == paths_.trees.end()) return place;
  place.tree = tree->second.get();
  place.inside = Inside(path, depth.claimed);
  return place;
}

FastAnswer::Answer FastAnswer::ToPath(const FastCall& call) {
  if (paths_.claims.Empty() && !guest_.devices) return kPass;
  char buffer[PATH_MAX];
  const ssize_t length = ReadPath(caller_.tid, call.path, buffer);
  // An empty path means the descriptor, which is a real one; but what carries a device looks like another thing.
  const bool attributes = call.kind == FastCall::Kind::kStat || call.kind == FastCall::Kind::kStatx;
  if (length == 0 && attributes && guest_.devices) return std::nullopt;
  // The kernel finds the errno.
  if (length <= 0 || paths_.claims.Empty()) return kPass;
  const std::string_view path(buffer, static_cast<size_t>(length));
  std::string base;
  std::string real;
  if (path[0] != '/') {
    base = real = resolver_.LinkOf(call.dirfd);
    if (!resolver_.StartFrom(base)) return kPass;
  }
  Written written{base};
  if (written.Join(path)) {
    const TreePlace place = PlaceOf(written.path);
    if (place.claimed) {
      if (place.tree == nullptr || !guest_.acts) return std::nullopt;
      if (IsPlainName(call, path, *place.tree, real, place.inside)) return kPass;
      return AtPlace(call, place, written);
    }
  }
  PathResolver resolver(paths_.claims, paths_.origins, caller_, !call.no_follow);
  const auto found = resolver.ResolveFrom(std::move(base), path);
  if (!found) return kPass;
  // A link of the host leads into a tree ("/lib").
  return ToClaimed(call, *found, false);
}

FastAnswer::Answer FastAnswer::ToClaimed(const FastCall& call, const std::string& found, bool directory) {
  const size_t end = std::min(found.find('\0'), found.size());
  Written onward{found.substr(0, end == 1 ? 0 : end)};
  const std::string_view rest = std::string_view(found).substr(std::min(end + 1, found.size()));
  if (!guest_.acts || !onward.Join(rest)) return std::nullopt;
  onward.directory = onward.directory || directory;
  const TreePlace place = PlaceOf(onward.path);
  return place.tree == nullptr ? std::nullopt : AtPlace(call, place, onward);
}

FastAnswer::Answer FastAnswer::AtPlace(const FastCall& call, const TreePlace& place, const Written& written) {
  for (const std::string& turn : written.turns)
    if (const TreePlace at = PlaceOf(turn); at.tree != place.tree || !at.tree->HasDirectory(at.inside))
      return std::nullopt;
  return InTree(call, place, written);
}

// Looking may be left to the kernel, which goes the way again: then nothing depends on what it finds.
bool FastAnswer::IsPlainName(const FastCall& call, std::string_view name, const FastTree& tree,
                             const std::string& real, const std::string& inside) const {
  if (real.empty() || !call.no_follow || call.kind == FastCall::Kind::kOpen) return false;
  if (name.find('/') != std::string_view::npos || name == "." || !tree.ShowsAttributes()) return false;
  const PathResolver::Origin* origin = resolver_.OriginOf(real);
  const size_t slash = inside.rfind('/');
  return origin != nullptr && slash != std::string::npos && tree.IsPlain(origin->real, inside.substr(0, slash));
}

FastAnswer::Answer FastAnswer::InTree(const FastCall& call, const TreePlace& place, const Written& written) {
  const FastTree& tree = *place.tree;
  const std::string& inside = place.inside;
  if (call.kind == FastCall::Kind::kOpen && (call.flags & O_DIRECTORY) != 0 && !inside.empty())
    return OpenDirectory(call, tree, inside);
  FastTree::Object object;
  switch (tree.Find(inside, object)) {
    case FastTree::Verdict::kUnsure:
      return std::nullopt;
    case FastTree::Verdict::kMissing:
      return Alive() ? Answer(-ENOENT) : std::nullopt;
    case FastTree::Verdict::kThere:
      break;
  }
  const Closing closing(object.fd);
  const mode_t mode = object.about.st_mode;
  if (S_ISLNK(mode)) {
    // The text of a link of procfs is not the same for all.
    if (IsPseudo(object.layer->source + '/' + inside)) return std::nullopt;
    if (written.directory || !call.no_follow) return Follow(call, object, written);
  }
  if (written.directory && !S_ISDIR(mode)) return Answer(-ENOTDIR);
  return call.kind == FastCall::Kind::kOpen ? Open(call, object, inside) : Look(call, object);
}

// A link in a tree leads on in the view. Of many in a row, and where one leads out of all trees,
// JavaScript takes care.
FastAnswer::Answer FastAnswer::Follow(const FastCall& call, const FastTree::Object& object, const Written& written) {
  constexpr int kMost = 8;
  char text[PATH_MAX];
  const ssize_t length = readlinkat(object.fd, "", text, sizeof text);
  if (length <= 0 || length == sizeof text || ++followed_ > kMost) return std::nullopt;
  const std::string_view target(text, static_cast<size_t>(length));
  std::string from = target[0] == '/' ? std::string() : written.path.substr(0, written.path.rfind('/'));
  Written onward{from};
  if (!onward.Join(target)) return std::nullopt;
  onward.directory = onward.directory || written.directory;
  if (const TreePlace place = PlaceOf(onward.path); place.claimed)
    return place.tree == nullptr ? std::nullopt : AtPlace(call, place, onward);
  if (target[0] != '/') return std::nullopt;
  PathResolver resolver(paths_.claims, paths_.origins, caller_, !call.no_follow || written.directory);
  const auto found = resolver.ResolveFrom(std::string(), target);
  return found ? ToClaimed(call, *found, onward.directory) : std::nullopt;
}

FastAnswer::Answer FastAnswer::Look(const FastCall& call, const FastTree::Object& object) {
  const int fd = object.fd >= 0 ? object.fd : object.layer->fd;
  switch (call.kind) {
    case FastCall::Kind::kStat:
      return Write(call.out, &object.about, sizeof object.about, 0);
    case FastCall::Kind::kStatx: {
      struct statx about{};
      if (syscall(SYS_statx, fd, "", call.flags | AT_EMPTY_PATH, call.mode, &about) != 0) return Answer(-errno);
      return Write(call.out, &about, sizeof about, 0);
    }
    case FastCall::Kind::kAccess: {
      const long result = syscall(SYS_faccessat2, fd, "", call.mode, call.flags | AT_EMPTY_PATH);
      return result == 0 ? Answer(0) : Answer(-errno);
    }
    case FastCall::Kind::kReadlink: {
      if (!S_ISLNK(object.about.st_mode)) return Answer(-EINVAL);
      char text[PATH_MAX];
      const ssize_t length = readlinkat(fd, "", text, std::min<uint64_t>(call.size, sizeof text));
      return length < 0 ? std::nullopt : Write(call.out, text, static_cast<size_t>(length), length);
    }
    default:
      return std::nullopt;
  }
}

// The file is opened without waiting, and looked at once more: somebody may have put a FIFO in its place.
FastAnswer::Answer FastAnswer::Open(const FastCall& call, const FastTree::Object& object,
                                    const std::string& inside) {
  const mode_t mode = object.about.st_mode;
  if (inside.empty() || (!S_ISREG(mode) && !S_ISDIR(mode))) return std::nullopt;
  if ((call.flags & O_DIRECTORY) != 0 && !S_ISDIR(mode)) return Answer(-ENOTDIR);
  const uint64_t flags = (call.flags & ~static_cast<uint32_t>(O_NOFOLLOW)) | O_NOCTTY | O_NONBLOCK;
  const int fd = OpenBeneath(object.layer->fd, inside.c_str(), flags, 0);
  if (fd < 0) return std::nullopt;
  const Closing closing(fd);
  struct stat opened;
  if (fstat(fd, &opened) != 0 || opened.st_ino != object.about.st_ino || opened.st_dev != object.about.st_dev)
    return std::nullopt;
  if ((call.flags & O_NONBLOCK) == 0 && fcntl(fd, F_SETFL, 0) != 0) return std::nullopt;
  return Inject(fd, (call.flags & O_CLOEXEC) != 0);
}

// With O_DIRECTORY nothing but a directory is opened, so there is no need to look before.
FastAnswer::Answer FastAnswer::OpenDirectory(const FastCall& call, const FastTree& tree,
                                             const std::string& inside) const {
  const int fd = tree.OpenDirectory(inside, call.flags & ~static_cast<uint32_t>(O_NOFOLLOW));
  if (fd == -ENOENT) return Alive() ? Answer(-ENOENT) : std::nullopt;
  if (fd < 0) return std::nullopt;
  const Closing closing(fd);
  return Inject(fd, (call.flags & O_CLOEXEC) != 0);
}

FastAnswer::Answer FastAnswer::Inject(int fd, bool close_on_exec) const {
  seccomp_notif_addfd request{};
  request.id = id_;
  request.flags = SECCOMP_ADDFD_FLAG_SEND;
  request.srcfd = static_cast<uint32_t>(fd);
  request.newfd_flags = close_on_exec ? O_CLOEXEC : 0;
  // As in notify.cc: the wait for the guest must not be interrupted.
  const SignalsBlocked blocked;
  return ioctl(listener_, SECCOMP_IOCTL_NOTIF_ADDFD, &request) >= 0 ? Answer(kAnswered) : Answer(-errno);
}

// getdents64(2): the kernel's, where the directory has just what the view shows of it.
FastAnswer::Answer FastAnswer::ToEntries(int fd) const {
  const std::string real = resolver_.LinkOf(fd);
  if (real.empty() || real[0] != '/') return kPass;
  const PathResolver::Origin* origin = resolver_.OriginOf(real);
  const std::string path = origin == nullptr ? real : resolver_.Seen(*origin, real);
  const TreePlace place = PlaceOf(path);
  if (place.mounts_below) return std::nullopt;
  if (!place.claimed) return kPass;
  if (origin == nullptr || place.tree == nullptr) return std::nullopt;
  return place.tree->IsPlain(origin->real, place.inside) ? Answer(kPass) : std::nullopt;
}

// getcwd(2): the kernel's, where the directory is the host's. A name that may mean that the directory was removed is for
// JavaScript.
FastAnswer::Answer FastAnswer::ToWorkingDirectory(const FastCall& call) const {
  const std::string real = resolver_.LinkOf(AT_FDCWD);
  const PathResolver::Origin* origin = real.empty() ? nullptr : resolver_.OriginOf(real);
  if (origin == nullptr) return kPass;
  if (real.ends_with(')')) return std::nullopt;
  const std::string path = resolver_.Seen(*origin, real);
  const size_t size = path.size() + 1;
  if (size > call.size) return Answer(-ERANGE);
  return Write(call.out, path.c_str(), size, static_cast<int64_t>(size));
}

bool FastAnswer::Alive() const {
  uint64_t id = id_;
  return ioctl(listener_, SECCOMP_IOCTL_NOTIF_ID_VALID, &id) == 0;
}

// Gives the guest bytes at an address of its own; a thread that is gone may have left its number to another one.
FastAnswer::Answer FastAnswer::Write(uint64_t address, const void* bytes, size_t length, int64_t result) const {
  if (!Alive()) return std::nullopt;
  iovec local{const_cast<void*>(bytes), length};
  iovec remote{reinterpret_cast<void*>(address), length};
  const ssize_t n = process_vm_writev(caller_.tid, &local, 1, &remote, 1, 0);
  return n == static_cast<ssize_t>(length) ? result : -EFAULT;
}

}  // namespace umvu
