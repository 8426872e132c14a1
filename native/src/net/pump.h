#pragma once

#include <sys/epoll.h>

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#include "net/frame.h"
#include "net/unique_fd.h"

namespace umvu::net {

// Something with descriptors in the pump's epoll set. Used under the lock of the pump only.
class Pollable {
 public:
  virtual ~Pollable() = default;
  virtual void on_events(uint32_t events) = 0;
  // Asked for with Pump::soon().
  virtual void on_turn() {}

 private:
  friend class Pump;
  bool retired_ = false;
  bool queued_ = false;
};

// A mutex that goes to whoever asked first. (A std::mutex may go to the same thread for ever.)
class TurnLock {
 public:
  void lock() {
    next_.lock();
    held_.lock();
    next_.unlock();
  }
  void unlock() { held_.unlock(); }

 private:
  std::mutex next_;
  std::mutex held_;
};

// The thread that moves frames, one per environment. Ports are used under its lock, which it holds
// whenever it does not sleep, so the data path does not lock anything; the JavaScript thread takes
// its turn with call(). It sleeps in epoll_wait(2) without a timeout, and ends when nothing is
// registered any more.
class Pump {
 public:
  Pump() = default;
  ~Pump();
  Pump(const Pump&) = delete;
  Pump& operator=(const Pump&) = delete;

  // For the JavaScript thread only.

  // Runs `job` under the lock, and then what asked for a turn. The thread is started when it does
  // not run. What `job` returns, or a negated errno when the thread cannot be started.
  int call(const std::function<int()>& job);

  // Under the lock only.

  // Handles the events that have come but were not handled yet.
  void catch_up();
  // Starts to watch `fd` (level triggered). 0 or a negated errno.
  int watch(int fd, uint32_t events, Pollable* target);
  void change(int fd, uint32_t events, Pollable* target);
  void unwatch(int fd);
  // Has target->on_turn() called before the thread sleeps again; once, however often it is asked for.
  void soon(Pollable* target);
  // Deletes `target` when the current round of events is over; it gets no events any more.
  void retire(std::unique_ptr<Pollable> target);
  Buffers& buffers() { return *buffers_; }
  ReceiveBatch& batch() { return batch_; }
  // Seconds of CLOCK_MONOTONIC_COARSE, taken once per round.
  uint32_t now() const { return now_; }

 private:
  int start();
  void stop();
  void run();
  bool round();
  void dispatch(const epoll_event* events, int count);
  void take_turns();
  void take_time();

  UniqueFd epoll_;
  UniqueFd wake_;  // an eventfd
  std::thread thread_;
  std::atomic<bool> quit_ = false;
  bool busy_ = false;  // of the thread alone: there are turns to take, so it must not sleep
  TurnLock lock_;
  // Guarded by lock_.
  std::size_t watched_ = 0;
  std::unique_ptr<Buffers> buffers_;
  ReceiveBatch batch_;
  std::vector<std::unique_ptr<Pollable>> retired_;
  std::vector<Pollable*> turns_;
  uint32_t now_ = 0;
};

}  // namespace umvu::net
