#include "poller.h"

#include <cstdlib>
#include <new>

#include "uv_abi.h"

namespace umvu {

Poller::Poller(Napi::Env env, int fd, std::function<void()> readable)
    : readable_(std::move(readable)) {
  uv_loop_s* loop = nullptr;
  if (napi_get_uv_event_loop(env, &loop) != napi_ok) throw Napi::Error::New(env, "no event loop");
  handle_ = std::calloc(1, uv_handle_size(kUvPoll));
  if (handle_ == nullptr) throw std::bad_alloc();
  if (uv_poll_init(loop, handle_, fd) != 0) {
    std::free(handle_);
    handle_ = nullptr;
    throw Napi::Error::New(env, "cannot poll this descriptor");
  }
  uv_handle_set_data(handle_, this);
  uv_unref(handle_);
  Resume();
}

void Poller::Resume() {
  uv_poll_start(handle_, kUvReadable, [](void* handle, int, int) {
    auto* self = static_cast<Poller*>(uv_handle_get_data(handle));
    if (self != nullptr) self->readable_();
  });
}

void Poller::Pause() { uv_poll_stop(handle_); }

void Poller::Stop() {
  if (handle_ == nullptr) return;
  uv_handle_set_data(handle_, nullptr);
  uv_poll_stop(handle_);
  uv_close(handle_, [](void* handle) { std::free(handle); });
  handle_ = nullptr;
}

}  // namespace umvu
