#include "net/pump.h"

#include <pthread.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>

#include <algorithm>
#include <cerrno>
#include <ctime>
#include <system_error>

#include "signals_blocked.h"

namespace umvu::net {
namespace {

constexpr int kEvents = 64;

}  // namespace

Pump::~Pump() { stop(); }

int Pump::start() {
  if (thread_.joinable()) return 0;
  epoll_.reset(epoll_create1(EPOLL_CLOEXEC));
  if (!epoll_) return -errno;
  wake_.reset(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!wake_) return -errno;
  epoll_event event{.events = EPOLLIN, .data = {.ptr = nullptr}};
  if (epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, wake_.get(), &event) != 0) return -errno;
  if (!buffers_) buffers_ = std::make_unique<Buffers>();
  quit_ = false;
  const SignalsBlocked blocked;
  try {
    thread_ = std::thread([this] { run(); });
    pthread_setname_np(thread_.native_handle(), "umvu-net");
  } catch (const std::system_error& error) {
    return -error.code().value();
  }
  return 0;
}

void Pump::stop() {
  if (!thread_.joinable()) return;
  quit_ = true;
  eventfd_write(wake_.get(), 1);
  thread_.join();
  retired_.clear();
  turns_.clear();
  epoll_.reset();
  wake_.reset();
  buffers_.reset();
}

int Pump::call(const std::function<int()>& job) {
  if (const int result = start(); result != 0) return result;
  int result;
  bool idle;
  {
    const std::lock_guard lock(lock_);
    take_time();
    result = job();
    take_turns();
    idle = watched_ == 0;
    // The thread may be about to handle events of what was retired, so only it deletes them.
    if (!retired_.empty() || !turns_.empty()) eventfd_write(wake_.get(), 1);
  }
  if (idle) stop();
  return result;
}

void Pump::run() {
  // The wake-up of stop() may be read along with one of call(): then only quit_ tells.
  while (!quit_ && round()) continue;
}

// Turns may ask for more turns; after some of these the descriptors are looked at again.
void Pump::take_turns() {
  constexpr int kMost = 16;
  for (int i = 0; i < kMost && !turns_.empty(); ++i) {
    std::vector<Pollable*> now;
    now.swap(turns_);
    for (Pollable* target : now) {
      target->queued_ = false;
      if (!target->retired_) target->on_turn();
    }
  }
}

void Pump::take_time() {
  timespec time;
  clock_gettime(CLOCK_MONOTONIC_COARSE, &time);
  now_ = static_cast<uint32_t>(time.tv_sec);
}

void Pump::dispatch(const epoll_event* events, int count) {
  for (int i = 0; i < count; ++i) {
    auto* target = static_cast<Pollable*>(events[i].data.ptr);
    if (target == nullptr) {
      eventfd_t ignored;
      eventfd_read(wake_.get(), &ignored);
    } else if (!target->retired_) {
      target->on_events(events[i].events);
    }
  }
  take_turns();
}

// The thread may have the same events in hand: they are level triggered, and what is retired it does not touch.
void Pump::catch_up() {
  epoll_event events[kEvents];
  const int count = epoll_wait(epoll_.get(), events, kEvents, 0);
  // Nobody reads the eventfd for the thread.
  const auto* end = std::remove_if(events, events + std::max(count, 0),
                                   [](const epoll_event& event) { return event.data.ptr == nullptr; });
  dispatch(events, static_cast<int>(end - events));
}

bool Pump::round() {
  epoll_event events[kEvents];
  const int count = epoll_wait(epoll_.get(), events, kEvents, busy_ ? 0 : -1);
  if (quit_) return false;
  const std::lock_guard lock(lock_);
  take_time();
  dispatch(events, count);
  // What is deleted must not be asked for a turn any more.
  std::erase_if(turns_, [](const Pollable* target) { return target->retired_; });
  retired_.clear();
  busy_ = !turns_.empty();
  // Read after the eventfd, which told of it.
  return !quit_;
}

void Pump::soon(Pollable* target) {
  if (target->queued_ || target->retired_) return;
  target->queued_ = true;
  turns_.push_back(target);
}

int Pump::watch(int fd, uint32_t events, Pollable* target) {
  epoll_event event{.events = events, .data = {.ptr = target}};
  if (epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, fd, &event) != 0) return -errno;
  ++watched_;
  return 0;
}

void Pump::change(int fd, uint32_t events, Pollable* target) {
  epoll_event event{.events = events, .data = {.ptr = target}};
  // Cannot fail for a descriptor that is registered and valid events.
  epoll_ctl(epoll_.get(), EPOLL_CTL_MOD, fd, &event);
}

void Pump::unwatch(int fd) {
  if (epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, fd, nullptr) == 0) --watched_;
}

void Pump::retire(std::unique_ptr<Pollable> target) {
  target->retired_ = true;
  retired_.push_back(std::move(target));
}

}  // namespace umvu::net
