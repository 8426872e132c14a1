#include <sys/epoll.h>

#include <cerrno>
#include <memory>

#include "lwip/binding.h"
#include "call_back.h"
#include "poller.h"

namespace umvu::lwip {
namespace {

// Calls back when a descriptor is readable, until it is stopped. libuv makes what it polls non-blocking, and the
// guest shares that flag: so it gets an epoll(7) descriptor to poll, and that watches the guest's.
class Readable : public Napi::ObjectWrap<Readable> {
 public:
  static Napi::Function Define(Napi::Env env) {
    return DefineClass(env, "Readable", {InstanceMethod<&Readable::Stop>("stop")});
  }
  explicit Readable(const Napi::CallbackInfo& info) : ObjectWrap(info) {
    callback_ = Napi::Persistent(info[1].As<Napi::Function>());
    epoll_.reset(epoll_create1(EPOLL_CLOEXEC));
    epoll_event event{.events = EPOLLIN, .data = {}};
    if (!epoll_ || epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, integer(info[0]), &event) != 0) {
      throw Napi::Error::New(info.Env(), "cannot poll this descriptor: errno " + std::to_string(errno));
    }
    poller_ = std::make_unique<Poller>(info.Env(), epoll_.get(), [this] {
      const Napi::HandleScope scope(Env());
      call_back([&] { callback_.MakeCallback(Env().Global(), {}); });
    });
  }

 private:
  void Stop(const Napi::CallbackInfo&) {
    poller_->Stop();
    epoll_.reset();
  }
  Napi::FunctionReference callback_;
  net::UniqueFd epoll_;
  std::unique_ptr<Poller> poller_;
};

}  // namespace

Napi::Function define_readable(Napi::Env env) { return Readable::Define(env); }

}  // namespace umvu::lwip
