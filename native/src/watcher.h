#pragma once

#include <napi.h>

namespace umvu {
// Defines class ProcessWatcher on `exports`.
void init_watcher(Napi::Env env, Napi::Object exports);
}  // namespace umvu
