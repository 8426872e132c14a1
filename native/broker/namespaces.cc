#include "namespaces.h"

#include <fcntl.h>
#include <linux/capability.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>

#include "error.h"
#include "files.h"

namespace umvu::broker {
namespace {

constexpr const char* kOwnNetwork = "/proc/thread-self/ns/net";

struct Capabilities {
  __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
  __user_cap_data_struct data[2]{};

  void Get() {
    if (syscall(SYS_capget, &header, data) < 0) FailSystem("capget");
  }
  bool Has(int capability) const {
    return (data[capability / 32].effective >> (capability % 32)) & 1;
  }
};

// The settings that forbid user namespaces to ordinary users, on the distributions that have them.
std::string WhyForbidden() {
  struct Setting {
    const char* path;
    const char* forbids;
    const char* name;
  };
  static constexpr Setting kSettings[] = {
      {"/proc/sys/user/max_user_namespaces", "0", "user.max_user_namespaces"},
      {"/proc/sys/user/max_net_namespaces", "0", "user.max_net_namespaces"},
      {"/proc/sys/kernel/unprivileged_userns_clone", "0", "kernel.unprivileged_userns_clone"},
      {"/proc/sys/kernel/apparmor_restrict_unprivileged_userns", "1",
       "kernel.apparmor_restrict_unprivileged_userns"},
  };
  for (const Setting& setting : kSettings) {
    if (ReadFile(setting.path) == setting.forbids) {
      return std::string(" (the sysctl ") + setting.name + "=" + setting.forbids + " forbids it)";
    }
  }
  struct stat root {};
  struct stat init_root {};
  if (stat("/", &root) == 0 && stat("/proc/1/root", &init_root) == 0 &&
      (root.st_ino != init_root.st_ino || root.st_dev != init_root.st_dev)) {
    return " (not possible in a chroot)";
  }
  return " (a container or a security module may forbid it)";
}

[[noreturn]] void FailForbidden(const char* what) {
  const int error = errno;
  const std::string text = std::string(what) + ": " + std::strerror(error);
  // The kernel answers ENOSPC and EUSERS where a limit is zero: for the caller it is a permission.
  if (error == EPERM || error == ENOSPC || error == EUSERS || error == EACCES) {
    throw Failure(EPERM, text + WhyForbidden() + "; stack=lwip works without namespaces");
  }
  throw Failure(error, text);
}

void WriteMap(const char* path, const std::string& text) {
  const int result = WriteFile(path, text);
  if (result < 0) throw Failure(-result, std::string(path) + ": " + std::strerror(-result));
}

}  // namespace

void GainNamespaceRights() {
  Capabilities mine;
  mine.Get();
  if (mine.Has(CAP_SYS_ADMIN) && mine.Has(CAP_NET_ADMIN)) {
    // Root of a user namespace whose mounts belong to an outer one: may mount in its own set only.
    const UniqueFd probe(fsopen("sysfs", FSOPEN_CLOEXEC));
    if (!probe && errno == EPERM && unshare(CLONE_NEWNS) < 0) std::perror("umvu-broker: unshare");
    return;
  }
  const std::string uid = std::to_string(geteuid());
  const std::string gid = std::to_string(getegid());
  // The mount namespace is needed to make a sysfs; umounts outside still reach it (it is a slave).
  if (unshare(CLONE_NEWUSER | CLONE_NEWNS) < 0) FailForbidden("unshare(CLONE_NEWUSER)");
  WriteMap("/proc/self/setgroups", "deny");
  WriteMap("/proc/self/uid_map", "0 " + uid + " 1");
  WriteMap("/proc/self/gid_map", "0 " + gid + " 1");
}

UniqueFd NewNetworkNamespace() {
  if (unshare(CLONE_NEWNET) < 0) FailForbidden("unshare(CLONE_NEWNET)");
  UniqueFd fd(open(kOwnNetwork, O_RDONLY | O_CLOEXEC));
  if (!fd) FailSystem(kOwnNetwork);
  return fd;
}

NamespaceScope::NamespaceScope(int inside, int home) : home_(home) {
  CheckSystem(setns(inside, CLONE_NEWNET), "setns");
}

NamespaceScope::~NamespaceScope() {
  // Staying in a stack would hand out sockets of the wrong network: better no broker than that one.
  if (setns(home_, CLONE_NEWNET) < 0) {
    std::perror("umvu-broker: setns");
    std::abort();
  }
}

void DropCapabilities() {
  static constexpr int kKept[] = {
      CAP_SYS_ADMIN,  // setns(2), unshare(2), fsmount(2)
      CAP_NET_ADMIN,       CAP_NET_RAW, CAP_NET_BIND_SERVICE,
      CAP_NET_BROADCAST,  // netlink asks for those of the socket's maker
      CAP_DAC_OVERRIDE,   // /dev/net/tun; directories of other users
      CAP_DAC_READ_SEARCH, CAP_FOWNER};
  uint32_t keep[2] = {};
  for (int capability : kKept) keep[capability / 32] |= 1U << (capability % 32);
  Capabilities mine;
  mine.Get();
  for (int i = 0; i < 2; i++) {
    mine.data[i].permitted &= keep[i];
    mine.data[i].effective = mine.data[i].permitted;
    mine.data[i].inheritable = 0;
  }
  if (syscall(SYS_capset, &mine.header, mine.data) < 0) FailSystem("capset");
  CheckSystem(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), "prctl(PR_SET_NO_NEW_PRIVS)");
}

}  // namespace umvu::broker
