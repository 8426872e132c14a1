// The face of parked calls (parked_call.h) to JavaScript.
#include "park.h"

#include <cerrno>
#include <memory>
#include <unordered_map>

#include "parked_call.h"

namespace umvu {
namespace {

// More calls than this are not parked: each costs a thread.
constexpr size_t kMost = 1024;

using Outcome = ParkedCall::Outcome;
using Delivery = ParkedCall::Delivery;

// Names as in runtime/native.ts.
const char* Name(Outcome outcome) {
  switch (outcome) {
    case Outcome::kRefused:
      return "refused";
    case Outcome::kInterrupted:
      return "interrupted";
    case Outcome::kGone:
      return "gone";
    case Outcome::kSettled:
      return "settled";
  }
  return "";
}

const char* Name(Delivery delivery) {
  switch (delivery) {
    case Delivery::kByNotification:
      return "notification";
    case Delivery::kTaken:
      return "taken";
    case Delivery::kTooLate:
      return "late";
  }
  return "";
}

class ParkingLot : public Napi::ObjectWrap<ParkingLot> {
 public:
  static Napi::Function Define(Napi::Env env) {
    return DefineClass(env, "ParkingLot",
                       {InstanceMethod<&ParkingLot::Park>("park"),
                        InstanceMethod<&ParkingLot::Settle>("settle"),
                        InstanceMethod<&ParkingLot::Holds>("holds"),
                        InstanceMethod<&ParkingLot::Close>("close")});
  }

  explicit ParkingLot(const Napi::CallbackInfo& info) : Napi::ObjectWrap<ParkingLot>(info) {
    Napi::Env env = info.Env();
    on_end_ = Napi::Persistent(info[0].As<Napi::Function>());
    const Napi::Function none = Napi::Function::New(env, [](const Napi::CallbackInfo&) {});
    reports_ = Napi::ThreadSafeFunction::New(env, none, "umvu parking", 0, 1);
    reports_.Unref(env);
    // Hooks run newest first, so before that of reports_.
    napi_add_env_cleanup_hook(env, Teardown, this);
    Ref();
  }

  ~ParkingLot() override { Shut(); }

 private:
  // At the end of the environment, while reports_ can still be used.
  static void Teardown(void* self) { static_cast<ParkingLot*>(self)->Shut(); }

  // park(listenerFd, id, tid): a ticket, or a negated errno.
  Napi::Value Park(const Napi::CallbackInfo& info) {
    Napi::Env env = info.Env();
    if (!open_) return Napi::Number::New(env, -ESHUTDOWN);
    if (calls_.size() >= kMost) return Napi::Number::New(env, -EAGAIN);
    bool lossless = false;
    const uint32_t ticket = next_++ & 0x7fffffff;
    auto report = [this, ticket](Outcome outcome) { Report(ticket, outcome); };
    auto call = std::make_unique<ParkedCall>(
        info[0].As<Napi::Number>().Int32Value(), info[1].As<Napi::BigInt>().Uint64Value(&lossless),
        info[2].As<Napi::Number>().Int32Value(), std::move(report));
    const int error = call->Start();
    if (error != 0) return Napi::Number::New(env, error);
    calls_.emplace(ticket, std::move(call));
    return Napi::Number::New(env, ticket);
  }

  // On the thread of a call, which ends with this.
  void Report(uint32_t ticket, Outcome outcome) {
    // The lot may be closed and collected before its last reports are heard.
    auto report = [this, ticket, outcome, open = std::weak_ptr<void>(open_)](Napi::Env env, Napi::Function) {
      if (open.expired() || calls_.erase(ticket) == 0) return;
      on_end_.Call({Napi::Number::New(env, ticket), Napi::String::New(env, Name(outcome))});
    };
    reports_.NonBlockingCall(std::move(report));
  }

  Napi::Value Settle(const Napi::CallbackInfo& info) {
    const auto found = calls_.find(info[0].As<Napi::Number>().Uint32Value());
    std::optional<int64_t> value;
    if (info[1].IsNumber()) value = info[1].As<Napi::Number>().Int64Value();
    const Delivery delivery = found == calls_.end() ? Delivery::kTooLate : found->second->Settle(value);
    return Napi::String::New(info.Env(), Name(delivery));
  }

  Napi::Value Holds(const Napi::CallbackInfo& info) {
    const auto found = calls_.find(info[0].As<Napi::Number>().Uint32Value());
    return Napi::Boolean::New(info.Env(), found != calls_.end() && found->second->Holds());
  }

  void Close(const Napi::CallbackInfo&) {
    if (!open_) return;
    napi_remove_env_cleanup_hook(Env(), Teardown, this);
    Shut();
    Unref();
  }

  // Lets all callers go into a restart of their calls, and waits for the threads.
  void Shut() {
    if (!open_) return;
    for (const auto& entry : calls_) entry.second->Settle(std::nullopt);
    calls_.clear();
    open_.reset();
    reports_.Release();
  }

  std::shared_ptr<void> open_ = std::make_shared<bool>(true);
  uint32_t next_ = 1;
  std::unordered_map<uint32_t, std::unique_ptr<ParkedCall>> calls_;
  Napi::FunctionReference on_end_;
  Napi::ThreadSafeFunction reports_;
};

}  // namespace

void init_park(Napi::Env env, Napi::Object exports) {
  exports.Set("ParkingLot", ParkingLot::Define(env));
}

}  // namespace umvu
