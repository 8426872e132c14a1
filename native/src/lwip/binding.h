#pragma once

#include <napi.h>

#include <memory>
#include <span>

#include "lwip/host.h"

namespace umvu {
// Defines LwipStack and lwip, the calls on sockets of such stacks, on `exports` (their types: runtime/native.ts).
void init_lwip(Napi::Env env, Napi::Object exports, net::Pump* pump);

namespace lwip {

// What the stacks of an environment share. Made when the addon is loaded; the host opens with the first stack.
struct LwipState {
  net::Pump* pump = nullptr;
  std::unique_ptr<Host> host;
  Napi::ThreadSafeFunction events;
  std::size_t stacks = 0;
};

// The parts of the addon: the class LwipStack (stack_binding.cc), the calls on sockets (sock_binding.cc), the class
// Readable (readable_binding.cc).
Napi::Function define_stack(Napi::Env env, LwipState* state);
void define_sock_calls(Napi::Env env, Napi::Object calls, LwipState* state);
Napi::Function define_readable(Napi::Env env);

inline int integer(const Napi::Value& value) { return value.As<Napi::Number>().Int32Value(); }
inline uint64_t identifier(const Napi::Value& value) {
  return static_cast<uint64_t>(value.As<Napi::Number>().Int64Value());
}
inline std::span<uint8_t> bytes(const Napi::Value& value) {
  auto array = value.As<Napi::Uint8Array>();
  return {array.Data(), array.ByteLength()};
}
inline Napi::Value number(Napi::Env env, double value) { return Napi::Number::New(env, value); }

}  // namespace lwip
}  // namespace umvu
