#include "lwip/binding.h"

namespace umvu {
namespace {

void SetEvents(const Napi::CallbackInfo& info) {
  auto* state = static_cast<lwip::LwipState*>(info.Data());
  if (state->events) state->events.Release();
  state->events = Napi::ThreadSafeFunction::New(info.Env(), info[0].As<Napi::Function>(), "umvu lwip", 0, 1);
  state->events.Unref(info.Env());
}

}  // namespace

void init_lwip(Napi::Env env, Napi::Object exports, net::Pump* pump) {
  auto* state = new lwip::LwipState;
  state->pump = pump;
  env.AddCleanupHook([](lwip::LwipState* ended) { delete ended; }, state);
  exports.Set("LwipStack", lwip::define_stack(env, state));
  auto calls = Napi::Object::New(env);
  lwip::define_sock_calls(env, calls, state);
  calls.Set("setEvents", Napi::Function::New(env, SetEvents, "setEvents", state));
  calls.Set("Readable", lwip::define_readable(env));
  exports.Set("lwip", calls);
}

}  // namespace umvu
