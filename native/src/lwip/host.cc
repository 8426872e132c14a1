#include "lwip/host.h"

#include <fcntl.h>
#include <sys/epoll.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/timerfd.h>
#include <sys/un.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <ctime>
#include <fstream>
#include <sstream>
#include <unordered_set>

#include "lwip/place.h"

namespace umvu::lwip {
namespace {

// Inodes of all AF_UNIX sockets of this network namespace, where the guests' ends are. Empty: unknown.
std::unordered_set<ino_t> unix_inodes() {
  std::unordered_set<ino_t> inodes;
  std::ifstream table("/proc/self/net/unix");
  std::string line;
  std::getline(table, line);
  while (std::getline(table, line)) {
    // Num RefCount Protocol Flags Type St Inode Path
    std::istringstream words(line);
    std::string word;
    ino_t inode = 0;
    for (int i = 0; i < 6; ++i) words >> word;
    if (words >> inode) inodes.insert(inode);
  }
  return inodes;
}

}  // namespace

Host::Host(net::Pump* pump, Notify notify) : pump_(pump), notify_(std::move(notify)) {}

Host::~Host() = default;

int Host::open() {
  uint64_t random = 0;
  if (getrandom(&random, sizeof random, 0) != sizeof random) return -errno;
  prefix_ = "umvu-" + std::to_string(random) + "-";
  listener_.reset(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!listener_) return -errno;
  if (const int result = bind_place(listener_.get(), &place_); result != 0) return result;
  if (::listen(listener_.get(), 16) != 0) return -errno;
  const int probe = make_probe();
  if (probe < 0) return probe;
  probe_.reset(probe);
  timer_.reset(timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK));
  if (!timer_) return -errno;
  return pump_->watch(timer_.get(), EPOLLIN, this);
}

void Host::close() {
  if (timer_) pump_->unwatch(timer_.get());
  timer_.reset();
}

uint64_t Host::clock() const {
  timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return static_cast<uint64_t>(now.tv_sec) * 1000 + static_cast<uint64_t>(now.tv_nsec) / 1000000;
}

void Host::schedule(Stack* stack) {
  uint64_t& known = scheduled_[stack];
  if (known != 0) deadlines_.erase({known, stack});
  known = stack->deadline();
  if (known != 0) deadlines_.insert({known, stack});
  const uint64_t first = deadlines_.empty() ? 0 : deadlines_.begin()->first;
  if (first == armed_ || !timer_) return;
  armed_ = first;
  itimerspec when = {};
  when.it_value.tv_sec = static_cast<time_t>(first / 1000);
  when.it_value.tv_nsec = static_cast<long>(first % 1000 * 1000000);
  timerfd_settime(timer_.get(), TFD_TIMER_ABSTIME, &when, nullptr);
}

void Host::forget(Stack* stack) {
  const auto at = scheduled_.find(stack);
  if (at == scheduled_.end()) return;
  deadlines_.erase({at->second, stack});
  scheduled_.erase(at);
}

void Host::on_events(uint32_t) {
  uint64_t expirations;
  if (::read(timer_.get(), &expirations, sizeof expirations) < 0) return;
  armed_ = 0;
  const uint64_t now = clock();
  while (!deadlines_.empty() && deadlines_.begin()->first <= now) {
    Stack* stack = deadlines_.begin()->second;
    deadlines_.erase(deadlines_.begin());
    scheduled_[stack] = 0;
    stack->tick(now);
  }
  if (!deadlines_.empty()) schedule(deadlines_.begin()->second);
}

void Host::sweep() {
  const std::unordered_set<ino_t> known = unix_inodes();
  if (known.empty()) return;
  std::vector<uint64_t> closed;
  for (const auto& [id, sock] : socks_) {
    if (sock->inode != 0 && sock->unseen() && !known.contains(sock->inode)) closed.push_back(id);
  }
  for (const uint64_t id : closed) {
    // One that gave up may have taken others with it.
    Sock* sock = find(id);
    if (sock == nullptr) continue;
    const auto abandon = [sock] {
      sock->abandon();
      return 0;
    };
    if (sock->stack().failed()) {
      abandon();
    } else {
      sock->stack().run(abandon);
    }
  }
  sweep_at_ = std::max(kLeastSweep, 2 * socks_.size());
}

void Host::sweep_when_full() {
  constexpr uint64_t kPause = 1000;
  const uint64_t now = clock();
  if (swept_ != 0 && now - swept_ < kPause) return;
  swept_ = now;
  sweep();
}

void Host::sweep_sometimes() {
  if (socks_.size() >= sweep_at_) sweep();
}

void Host::remove(Sock* sock) {
  if (tells_ends_) notify(sock->id(), Event::kClosed, 0);
  socks_.erase(sock->id());
  const auto at = inodes_.find(sock->inode);
  if (at != inodes_.end() && at->second == sock) inodes_.erase(at);
}

void Host::set_inode(Sock* sock, ino_t inode) {
  if (inode == 0) return;
  sock->inode = inode;
  inodes_[inode] = sock;
}

Sock* Host::find(uint64_t id) const {
  const auto at = socks_.find(id);
  return at == socks_.end() ? nullptr : at->second;
}

Sock* Host::identify(int fd) {
  struct stat info;
  if (fstat(fd, &info) != 0 || !S_ISSOCK(info.st_mode)) return nullptr;
  if (const auto known = inodes_.find(info.st_ino); known != inodes_.end()) return known->second;
  sockaddr_un peer;
  socklen_t length = sizeof peer;
  if (getpeername(fd, reinterpret_cast<sockaddr*>(&peer), &length) != 0 || peer.sun_family != AF_UNIX) return nullptr;
  const std::size_t start = offsetof(sockaddr_un, sun_path) + 1;
  if (length <= start + prefix_.size() || peer.sun_path[0] != '\0') return nullptr;
  const std::string name(peer.sun_path + 1, length - start);
  if (name.compare(0, prefix_.size(), prefix_) != 0) return nullptr;
  Sock* sock = find(std::strtoull(name.c_str() + prefix_.size(), nullptr, 10));
  if (sock != nullptr) set_inode(sock, info.st_ino);
  return sock;
}

std::string Host::name_of(uint64_t id) const { return std::string(1, '\0') + prefix_ + std::to_string(id); }

bool Host::alive(int place) const { return place_alive(place, probe_.get()); }

int Host::attach(int guest) {
  if (const int result = connect_place(guest, place_.get()); result != 0) return result;
  const int far = accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK);
  return far < 0 ? -errno : far;
}

}  // namespace umvu::lwip
