#pragma once

#include <napi.h>

namespace umvu {

// Runs `call`, which calls a function of JavaScript from outside of it. No JavaScript runs any more in an environment that
// ends: the error that says so has no value or cannot be thrown, and must not end the process.
template <typename Call>
void call_back(Call call) {
  try {
    call();
  } catch (const Napi::Error& error) {
    try {
      if (!error.IsEmpty()) error.ThrowAsJavaScriptException();
    } catch (const Napi::Error&) {
      return;
    }
  }
}

}  // namespace umvu
