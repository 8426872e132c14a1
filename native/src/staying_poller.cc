#include "staying_poller.h"

#include <sys/epoll.h>

#include <cstdlib>
#include <new>

#include "uv_abi.h"

namespace umvu {
namespace {

constexpr uint32_t kDescriptor = 1;
constexpr uint32_t kLoop = 2;

bool Add(int epoll, int fd, uint32_t what) {
  epoll_event event{};
  event.events = EPOLLIN;
  event.data.u32 = what;
  return epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event) == 0;
}

}  // namespace

StayingPoller::StayingPoller(Napi::Env env, int fd, std::function<void()> readable)
    : either_(epoll_create1(EPOLL_CLOEXEC)),
      readable_(std::move(readable)),
      poller_(env, fd, [this] { Called(); }) {
  napi_get_uv_event_loop(env, &loop_);  // which has worked for the Poller
  // Without this it is a Poller like any other.
  if (!Add(either_.get(), fd, kDescriptor) || !Add(either_.get(), uv_backend_fd(loop_), kLoop)) return;
  before_ = std::calloc(1, uv_handle_size(kUvPrepare));
  if (before_ == nullptr) throw std::bad_alloc();
  uv_prepare_init(loop_, before_);
  uv_handle_set_data(before_, this);
  uv_unref(before_);
}

void StayingPoller::Stop() {
  poller_.Stop();
  either_.reset();
  if (before_ == nullptr) return;
  uv_handle_set_data(before_, nullptr);
  uv_close(before_, [](void* handle) { std::free(handle); });
  before_ = nullptr;
}

void StayingPoller::Called() {
  readable_();
  if (before_ == nullptr) return;
  uv_prepare_start(before_, [](void* handle) {
    auto* self = static_cast<StayingPoller*>(uv_handle_get_data(handle));
    if (self != nullptr) self->Stay();
  });
}

// Meanwhile the loop must not have the descriptor, with which what it polls would be readable. Where nothing came but what
// is for the loop, that is left alone until it finds the descriptor readable.
void StayingPoller::Stay() {
  int timeout = uv_backend_timeout(loop_);
  if (timeout == 0) return;
  poller_.Pause();
  bool worthwhile = false;
  for (bool stay = true; stay && timeout != 0;) {
    const Ready ready = Wait(timeout);
    if (ready.descriptor) {
      worthwhile = true;
      readable_();
      if (before_ == nullptr) return;
    }
    // The loop believes that its turn began just now.
    uv_update_time(loop_);
    timeout = uv_backend_timeout(loop_);
    stay = !ready.loop;
  }
  poller_.Resume();
  if (!worthwhile) uv_prepare_stop(before_);
}

StayingPoller::Ready StayingPoller::Wait(int timeout) const {
  epoll_event events[2];
  const int n = epoll_wait(either_.get(), events, 2, timeout);
  Ready ready{.descriptor = false, .loop = n <= 0};
  for (int i = 0; i < n; i++) (events[i].data.u32 == kDescriptor ? ready.descriptor : ready.loop) = true;
  return ready;
}

}  // namespace umvu
