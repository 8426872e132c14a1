#pragma once

#include <napi.h>

#include <functional>

struct uv_loop_s;

namespace umvu {

// Calls back on the JavaScript thread when a descriptor is readable. Does not keep the event loop alive and
// does not own the descriptor.
class Poller {
 public:
  Poller(Napi::Env env, int fd, std::function<void()> readable);
  ~Poller() { Stop(); }
  Poller(const Poller&) = delete;
  Poller& operator=(const Poller&) = delete;
  void Stop();
  // Does not call back until Resume().
  void Pause();
  void Resume();

 private:
  void* handle_ = nullptr;  // a uv_poll_t; freed by its close callback
  std::function<void()> readable_;
};

}  // namespace umvu
