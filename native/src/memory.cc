// Guest memory, read and written with process_vm_readv(2) and process_vm_writev(2). Addresses come from guests
// and may be anything; the kernel checks them, and a range that is only partly mapped gives a short count.
#include "memory.h"

#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <string>

namespace umvu {
namespace {

constexpr uint64_t kPage = 4096;
constexpr size_t kLongest = 65536;

void* Address(const Napi::Value& value) {
  return reinterpret_cast<void*>(static_cast<uintptr_t>(value.As<Napi::Number>().Int64Value()));
}

template <ssize_t (*Transfer)(pid_t, const iovec*, unsigned long, const iovec*, unsigned long, unsigned long)>
Napi::Value Copy(const Napi::CallbackInfo& info) {
  auto bytes = info[2].As<Napi::Uint8Array>();
  iovec local{bytes.Data(), bytes.ByteLength()};
  iovec remote{Address(info[1]), bytes.ByteLength()};
  const ssize_t n = Transfer(info[0].As<Napi::Number>().Int32Value(), &local, 1, &remote, 1, 0);
  return Napi::Number::New(info.Env(), n >= 0 ? n : -errno);
}

// Reads up to and without the NUL, in steps that end at page borders so that a string may end just before an
// unmapped page.
Napi::Value ReadString(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  const pid_t tid = info[0].As<Napi::Number>().Int32Value();
  auto address = reinterpret_cast<uint64_t>(Address(info[1]));
  const size_t max = std::min<size_t>(info[2].As<Napi::Number>().Uint32Value(), kLongest);
  char buffer[kLongest + 1];
  size_t have = 0;
  while (have <= max) {
    // The first step takes a short string in one go; most paths are short.
    const size_t step = std::min<uint64_t>({kPage - (address & (kPage - 1)), max + 1 - have, have ? kPage : 256});
    iovec local{buffer + have, step};
    iovec remote{reinterpret_cast<void*>(address), step};
    const ssize_t n = process_vm_readv(tid, &local, 1, &remote, 1, 0);
    if (n <= 0) return Napi::Number::New(env, n < 0 ? -errno : -EFAULT);
    if (const void* end = std::memchr(buffer + have, 0, static_cast<size_t>(n))) {
      const auto length = static_cast<size_t>(static_cast<const char*>(end) - buffer);
      napi_value text;
      napi_create_string_latin1(env, buffer, length, &text);
      return Napi::Value(env, text);
    }
    have += static_cast<size_t>(n);
    address += static_cast<uint64_t>(n);
  }
  return Napi::Number::New(env, -ENAMETOOLONG);
}

}  // namespace

void init_memory(Napi::Env env, Napi::Object exports) {
  exports.Set("readMemory", Napi::Function::New<Copy<process_vm_readv>>(env));
  exports.Set("writeMemory", Napi::Function::New<Copy<process_vm_writev>>(env));
  exports.Set("readString", Napi::Function::New<ReadString>(env));
}

}  // namespace umvu
