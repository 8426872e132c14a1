#pragma once

#include <napi.h>

#include <functional>

#include "net/unique_fd.h"
#include "poller.h"

namespace umvu {

// A Poller for a descriptor that becomes readable again and again, each time shortly after it was read. Having called
// back, it does not go round the event loop, which costs 1 to 2 µs, but waits in the loop's place: for the descriptor and
// for what the loop would wait for. As soon as the loop has anything to do, it goes on with that.
//
// This happens in the phase right before the loop polls (uv_prepare_t), when everything else that it had to do is done.
// How long it may take is what the loop says (uv_backend_timeout): no time at all while there are watchers to register,
// immediates to run or handles to close.
class StayingPoller {
 public:
  // `readable` must take something whenever it is called. Throws Napi::Error.
  StayingPoller(Napi::Env env, int fd, std::function<void()> readable);
  ~StayingPoller() { Stop(); }
  StayingPoller(const StayingPoller&) = delete;
  StayingPoller& operator=(const StayingPoller&) = delete;
  void Stop();

 private:
  struct Ready {
    bool descriptor = false;
    // The loop has something to do; so it is also after the timeout and after a signal, of which libuv tells itself.
    bool loop = false;
  };

  void Called();
  void Stay();
  Ready Wait(int timeout) const;

  uv_loop_s* loop_ = nullptr;
  net::UniqueFd either_;    // epoll(7) of the descriptor and of what the loop polls
  void* before_ = nullptr;  // a uv_prepare_t; freed by its close callback
  std::function<void()> readable_;
  Poller poller_;
};

}  // namespace umvu
