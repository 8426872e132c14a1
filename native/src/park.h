#pragma once

#include <napi.h>

namespace umvu {
// Defines class ParkingLot on `exports`.
void init_park(Napi::Env env, Napi::Object exports);
}  // namespace umvu
