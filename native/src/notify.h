#pragma once

#include <napi.h>

#include <cstdint>

namespace umvu {
// Answers to a notification that are no values; see runtime/native.ts.
constexpr int64_t kPass = -65536;
constexpr int64_t kAnswered = -65537;
constexpr int64_t kPending = -65538;

// Defines class Listener on `exports`.
void init_notify(Napi::Env env, Napi::Object exports);
}  // namespace umvu
