// Readiness of a descriptor, for TypeScript that reads and writes it itself: the far ends of devices.
#include "readiness.h"

#include <cstdlib>
#include <new>

#include "uv_abi.h"

namespace umvu {
namespace {

class Readiness : public Napi::ObjectWrap<Readiness> {
 public:
  static Napi::Function Define(Napi::Env env) {
    return DefineClass(env, "Readiness",
                       {InstanceMethod<&Readiness::Watch>("watch"), InstanceMethod<&Readiness::Close>("close")});
  }

  // (fd, onReady). The descriptor is not owned.
  explicit Readiness(const Napi::CallbackInfo& info) : Napi::ObjectWrap<Readiness>(info) {
    Napi::Env env = info.Env();
    uv_loop_s* loop = nullptr;
    if (napi_get_uv_event_loop(env, &loop) != napi_ok) throw Napi::Error::New(env, "no event loop");
    handle_ = std::calloc(1, uv_handle_size(kUvPoll));
    if (handle_ == nullptr) throw std::bad_alloc();
    if (uv_poll_init(loop, handle_, info[0].As<Napi::Number>().Int32Value()) != 0) {
      std::free(handle_);
      handle_ = nullptr;
      throw Napi::Error::New(env, "cannot poll this descriptor");
    }
    on_ready_ = Napi::Persistent(info[1].As<Napi::Function>());
    uv_handle_set_data(handle_, this);
    uv_unref(handle_);
    Ref();
  }

  ~Readiness() override { Stop(); }

 private:
  // watch(events): UV_READABLE (1), UV_WRITABLE (2); 0 stops watching.
  void Watch(const Napi::CallbackInfo& info) {
    if (handle_ == nullptr) return;
    const int events = info[0].As<Napi::Number>().Int32Value();
    if (events == 0) {
      uv_poll_stop(handle_);
      return;
    }
    uv_poll_start(handle_, events, [](void* handle, int, int ready) {
      auto* self = static_cast<Readiness*>(uv_handle_get_data(handle));
      if (self != nullptr) self->Ready(ready);
    });
  }

  void Ready(int events) {
    Napi::Env env = Env();
    Napi::HandleScope scope(env);
    [[maybe_unused]] const Napi::Object self = Value();
    on_ready_.MakeCallback(env.Global(), {Napi::Number::New(env, events)});
  }

  void Close(const Napi::CallbackInfo&) {
    if (handle_ == nullptr) return;
    Stop();
    Unref();
  }

  void Stop() {
    if (handle_ == nullptr) return;
    uv_handle_set_data(handle_, nullptr);
    uv_poll_stop(handle_);
    uv_close(handle_, [](void* handle) { std::free(handle); });
    handle_ = nullptr;
  }

  void* handle_ = nullptr;  // a uv_poll_t; freed by its close callback
  Napi::FunctionReference on_ready_;
};

}  // namespace

void init_readiness(Napi::Env env, Napi::Object exports) {
  exports.Set("Readiness", Readiness::Define(env));
}

}  // namespace umvu
