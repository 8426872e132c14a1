#pragma once

#include <napi.h>

namespace umvu::net {
class Capture;
class Pump;
}  // namespace umvu::net

namespace umvu {

// `NetworkCapture` for JavaScript (runtime/native.ts).
void init_capture(Napi::Env env, Napi::Object exports, net::Pump* pump);
// The capture of such an object. It lives as long as the environment.
net::Capture* capture_of(const Napi::Value& object);

}  // namespace umvu
