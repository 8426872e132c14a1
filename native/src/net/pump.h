#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#include "net/frame.h"
#include "net/unique_fd.h"

namespace umvu::net {

// Something with descriptors in the pump's epoll set. Lives on the pump thread.
class Pollable {
 public:
  virtual ~Pollable() = default;
  virtual void on_events(uint32_t events) = 0;

 private:
  friend class Pump;
  bool retired_ = false;
};

// The thread that moves frames, one per environment. It owns every port, so nothing of the data
// path is shared or locked; the JavaScript thread has it run functions with call(). It sleeps in
// epoll_wait(2) without a timeout, and ends when nothing is registered any more.
class Pump {
 public:
  Pump() = default;
  ~Pump();
  Pump(const Pump&) = delete;
  Pump& operator=(const Pump&) = delete;

  // For the JavaScript thread only.

  // Runs `job` on the pump thread, which is started when it does not run, and waits for it. What
  // `job` returns, or a negated errno when the thread cannot be started.
  int call(const std::function<int()>& job);

  // For the pump thread only.

  // Starts to watch `fd` (level triggered). 0 or a negated errno.
  int watch(int fd, uint32_t events, Pollable* target);
  void change(int fd, uint32_t events, Pollable* target);
  void unwatch(int fd);
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
  void round();
  void run_job();

  UniqueFd epoll_;
  UniqueFd wake_;  // an eventfd
  std::thread thread_;
  std::mutex mutex_;
  std::condition_variable done_;
  const std::function<int()>* job_ = nullptr;  // guarded by mutex_, like the two below
  int result_ = 0;
  bool quit_ = false;
  std::atomic<std::size_t> watched_ = 0;
  // Pump thread only.
  std::unique_ptr<Buffers> buffers_;
  ReceiveBatch batch_;
  std::vector<std::unique_ptr<Pollable>> retired_;
  uint32_t now_ = 0;
};

}  // namespace umvu::net
