#pragma once

#include <napi.h>

#include <string>

namespace umvu {

// The bytes of a byte string of JavaScript: one character of it is one byte.
inline std::string ByteString(const Napi::Value& value) {
  size_t length = 0;
  napi_get_value_string_latin1(value.Env(), value, nullptr, 0, &length);
  std::string text(length + 1, '\0');
  napi_get_value_string_latin1(value.Env(), value, text.data(), length + 1, &length);
  text.resize(length);
  return text;
}

}  // namespace umvu
