// The face of parked calls (parked_call.h) to JavaScript.
#include "park.h"

#include <cerrno>
#include <memory>
#include <optional>
#include <vector>

#include "held_calls.h"
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

  explicit ParkingLot(const Napi::CallbackInfo& info)
      : Napi::ObjectWrap<ParkingLot>(info), calls_(info.Env(), info[0].As<Napi::Function>(), "umvu parking") {
    // Hooks run newest first, so before that by which reports end.
    napi_add_env_cleanup_hook(info.Env(), Teardown, this);
    Ref();
  }

  ~ParkingLot() override { Shut(); }

 private:
  // At the end of the environment, while reports can still be made.
  static void Teardown(void* self) { static_cast<ParkingLot*>(self)->Shut(); }

  // park(listenerFd, id, tid): a ticket, or a negated errno.
  Napi::Value Park(const Napi::CallbackInfo& info) {
    if (calls_.All().size() >= kMost) return Napi::Number::New(info.Env(), -EAGAIN);
    const int64_t ticket = calls_.Start([&](uint32_t number) {
      bool lossless = false;
      return std::make_unique<ParkedCall>(
          info[0].As<Napi::Number>().Int32Value(), info[1].As<Napi::BigInt>().Uint64Value(&lossless),
          info[2].As<Napi::Number>().Int32Value(), [this, number](Outcome outcome) { Report(number, outcome); });
    });
    return Napi::Number::New(info.Env(), static_cast<double>(ticket));
  }

  void Report(uint32_t ticket, Outcome outcome) {
    calls_.Report(ticket, [outcome](Napi::Env env) {
      return std::vector<napi_value>{Napi::String::New(env, Name(outcome))};
    });
  }

  Napi::Value Settle(const Napi::CallbackInfo& info) {
    ParkedCall* call = calls_.Find(info[0].As<Napi::Number>().Uint32Value());
    std::optional<int64_t> value;
    if (info[1].IsNumber()) value = info[1].As<Napi::Number>().Int64Value();
    return Napi::String::New(info.Env(), Name(call == nullptr ? Delivery::kTooLate : call->Settle(value)));
  }

  Napi::Value Holds(const Napi::CallbackInfo& info) {
    ParkedCall* call = calls_.Find(info[0].As<Napi::Number>().Uint32Value());
    return Napi::Boolean::New(info.Env(), call != nullptr && call->Holds());
  }

  void Close(const Napi::CallbackInfo&) {
    if (!calls_.IsOpen()) return;
    napi_remove_env_cleanup_hook(Env(), Teardown, this);
    Shut();
    Unref();
  }

  // Lets all callers go into a restart of their calls.
  void Shut() {
    calls_.Close([](ParkedCall& call) { call.Settle(std::nullopt); });
  }

  HeldCalls<ParkedCall> calls_;
};

}  // namespace

void init_park(Napi::Env env, Napi::Object exports) {
  exports.Set("ParkingLot", ParkingLot::Define(env));
}

}  // namespace umvu
