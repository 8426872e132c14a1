#include "stack.h"

#include <fcntl.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "carrier.h"
#include "error.h"
#include "files.h"
#include "link.h"
#include "namespaces.h"

namespace umvu::broker {
namespace {

// Only reserved, not used: the thread calls nothing. Room enough for AddressSanitizer's start-up.
constexpr size_t kThreadStack = 256 << 10;

void Wait(sem_t* semaphore) {
  while (sem_wait(semaphore) < 0 && errno == EINTR) {
  }
}

// An empty text, or what to tell the user.
std::string SetSysctl(const char* path, const char* value) {
  const int result = WriteFile(path, value);
  if (result >= 0 || result == -ENOENT) return {};  // ENOENT: a kernel without IPv6
  return std::string(path) + ": " + std::strerror(-result) + "; ";
}

}  // namespace

ParkedThread::ParkedThread() {
  sem_init(&started_, 0, 0);
  sem_init(&release_, 0, 0);
  pthread_attr_t attributes;
  pthread_attr_init(&attributes);
  pthread_attr_setstacksize(&attributes, kThreadStack);
  const int error = pthread_create(&thread_, &attributes, Run, this);
  pthread_attr_destroy(&attributes);
  if (error != 0) throw Failure(error, std::string("pthread_create: ") + std::strerror(error));
  Wait(&started_);
}

ParkedThread::~ParkedThread() {
  if (!released_) Release({});
  pthread_join(thread_, nullptr);
  sem_destroy(&started_);
  sem_destroy(&release_);
}

void ParkedThread::Release(std::vector<UniqueFd> fds) {
  last_fds_ = std::move(fds);
  released_ = true;
  sem_post(&release_);
}

void* ParkedThread::Run(void* self) {
  auto* thread = static_cast<ParkedThread*>(self);
  prctl(PR_SET_NAME, "umvu-stack");
  thread->tid_ = gettid();
  sem_post(&thread->started_);
  Wait(&thread->release_);
  thread->last_fds_.clear();
  return nullptr;
}

void Stack::Release() {
  thread_.Release(std::move(packet_sockets_));
  ns_.reset();
}

Interface Stack::AddInterface(const std::string& name, unsigned mtu, Carrier wanted,
                              const std::string& far_name, int backstage) {
  if (wanted != Carrier::kVeth) {
    try {
      const NamespaceScope scope(ns(), backstage);
      return {Carrier::kTap, MakeTap(name, mtu)};
    } catch (const Failure& failure) {
      // Anything but "no such device here" is the caller's mistake (a name in use, a bad MTU).
      const int error = failure.error();
      const bool no_tap =
          error == EACCES || error == EPERM || error == ENOENT || error == ENODEV || error == ENXIO;
      if (wanted == Carrier::kTap || !no_tap) throw;
    }
  }
  MakeVeth(far_name, name, mtu, ns());
  far_ends_.push_back(far_name);
  {
    const NamespaceScope scope(ns(), backstage);
    KeepVlanTagsInFrames(name);
  }
  UniqueFd fd = OpenPacketSocket(far_name);
  packet_sockets_.emplace_back(CheckSystem(fcntl(fd.get(), F_DUPFD_CLOEXEC, 0), "F_DUPFD_CLOEXEC"));
  return {Carrier::kVeth, std::move(fd)};
}

std::string PrepareStackNamespace() {
  std::string warning = SetSysctl("/proc/sys/net/ipv4/ip_unprivileged_port_start", "0");
  // Sockets are made by the broker, whose group is 0 here; it serves IPv6 as well (icmp(7)).
  warning += SetSysctl("/proc/sys/net/ipv4/ping_group_range", "0 0");
  SetLinkUp("lo");
  return warning;
}

void PrepareBackstage() {
  // Its MLD reports and router solicitations would turn up in the stacks as somebody else's, which
  // is only a nuisance where /proc/sys cannot be written.
  (void)SetSysctl("/proc/sys/net/ipv6/conf/all/disable_ipv6", "1");
  (void)SetSysctl("/proc/sys/net/ipv6/conf/default/disable_ipv6", "1");
}

}  // namespace umvu::broker
