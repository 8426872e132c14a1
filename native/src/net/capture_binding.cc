#include "net/capture_binding.h"

#include "call_back.h"

#include <memory>

#include "net/capture.h"

namespace umvu {
namespace {

using net::Capture;
using net::Pump;

class CaptureObject : public Napi::ObjectWrap<CaptureObject> {
 public:
  static Napi::Function Define(Napi::Env env, Pump* pump) {
    return DefineClass(env, "NetworkCapture", {InstanceMethod<&CaptureObject::Close>("close")}, pump);
  }

  // new NetworkCapture(fd, failed)
  explicit CaptureObject(const Napi::CallbackInfo& info)
      : ObjectWrap(info), pump_(static_cast<Pump*>(info.Data())) {
    failed_ = Napi::ThreadSafeFunction::New(info.Env(), info[1].As<Napi::Function>(), "umvu capture", 0, 1);
    failed_.Unref(info.Env());
    net::UniqueFd fd(info[0].As<Napi::Number>().Int32Value());
    pump_->call([&] {
      capture_ = std::make_unique<Capture>(pump_, std::move(fd), [this](int error) {
        failed_.NonBlockingCall([error](Napi::Env env, Napi::Function callback) {
          call_back([&] { callback.Call({Napi::Number::New(env, error)}); });
        });
      });
      return 0;
    });
    // Ports point to the capture. They end in hooks that were added later, so before this one.
    Ref();
    napi_add_env_cleanup_hook(info.Env(), OnExit, this);
  }

  Capture* Get() { return capture_.get(); }

 private:
  static void OnExit(void* object) {
    auto* self = static_cast<CaptureObject*>(object);
    self->pump_->call([self] {
      self->capture_->close();
      self->pump_->retire(std::move(self->capture_));
      return 0;
    });
    self->failed_.Release();
  }

  void Close(const Napi::CallbackInfo&) {
    if (!capture_) return;
    pump_->call([this] {
      capture_->close();
      return 0;
    });
  }

  Pump* const pump_;
  std::unique_ptr<Capture> capture_;
  Napi::ThreadSafeFunction failed_;
};

}  // namespace

net::Capture* capture_of(const Napi::Value& object) {
  return CaptureObject::Unwrap(object.As<Napi::Object>())->Get();
}

void init_capture(Napi::Env env, Napi::Object exports, Pump* pump) {
  exports.Set("NetworkCapture", CaptureObject::Define(env, pump));
}

}  // namespace umvu
