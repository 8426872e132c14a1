// The addon's class PathTable: which of the paths that guests name are claimed by a view.
#include "path.h"

#include <fcntl.h>
#include <sys/uio.h>

#include <algorithm>
#include <climits>
#include <cstdint>
#include <cstring>
#include <string>
#include <vector>

#include "path_claims.h"
#include "path_resolver.h"

namespace umvu {
namespace {

// Bits of the last argument of resolve, see PATH_FLAGS in runtime/native.ts.
constexpr uint32_t kNoFollow = 1;
constexpr uint32_t kOwnRoot = 2;

std::string ByteString(const Napi::Value& value) {
  size_t length = 0;
  napi_get_value_string_latin1(value.Env(), value, nullptr, 0, &length);
  std::string text(length + 1, '\0');
  napi_get_value_string_latin1(value.Env(), value, text.data(), length + 1, &length);
  text.resize(length);
  return text;
}

// Reads a path of at most PATH_MAX - 1 bytes into `buffer`. Steps end at page borders, because a
// string may end just before an unmapped page. The length, or -1.
ssize_t ReadPath(pid_t tid, uint64_t address, char (&buffer)[PATH_MAX]) {
  constexpr uint64_t kPage = 4096;
  constexpr uint64_t kFirst = 256;  // takes most paths in one go
  size_t have = 0;
  while (have < PATH_MAX) {
    const size_t step =
        std::min<uint64_t>({kPage - address % kPage, PATH_MAX - have, have == 0 ? kFirst : kPage});
    iovec local{buffer + have, step};
    iovec remote{reinterpret_cast<void*>(address), step};
    const ssize_t n = process_vm_readv(tid, &local, 1, &remote, 1, 0);
    if (n <= 0) return -1;
    const void* end = std::memchr(buffer + have, 0, static_cast<size_t>(n));
    if (end != nullptr) return static_cast<const char*>(end) - buffer;
    have += static_cast<size_t>(n);
    address += static_cast<uint64_t>(n);
  }
  return -1;
}

class PathTable : public Napi::ObjectWrap<PathTable> {
 public:
  static Napi::Function Define(Napi::Env env) {
    return DefineClass(env, "PathTable", {InstanceMethod<&PathTable::Resolve>("resolve")});
  }

  explicit PathTable(const Napi::CallbackInfo& info) : Napi::ObjectWrap<PathTable>(info) {
    auto prefixes = info[0].As<Napi::Array>();
    for (uint32_t i = 0; i < prefixes.Length(); i++) claims_.Add(ByteString(prefixes.Get(i)));
    if (!info[1].IsArray()) return;
    auto origins = info[1].As<Napi::Array>();
    for (uint32_t i = 0; i + 1 < origins.Length(); i += 2) {
      origins_.push_back({ByteString(origins.Get(i)), ByteString(origins.Get(i + 1))});
    }
  }

 private:
  Napi::Value Resolve(const Napi::CallbackInfo& info) {
    Napi::Env env = info.Env();
    const auto flags = info[4].As<Napi::Number>().Uint32Value();
    const PathResolver::Caller caller{info[0].As<Napi::Number>().Int32Value(),
                                      info[1].As<Napi::Number>().Int32Value(),
                                      (flags & kOwnRoot) != 0};
    char buffer[PATH_MAX];
    std::string given;
    std::string_view path;
    if (info[3].IsString()) {
      path = given = ByteString(info[3]);
    } else {
      const auto address = static_cast<uint64_t>(info[3].As<Napi::Number>().Int64Value());
      const ssize_t length = ReadPath(caller.tid, address, buffer);
      if (length < 0) return env.Undefined();
      path = std::string_view(buffer, static_cast<size_t>(length));
    }
    PathResolver resolver(claims_, origins_, caller, (flags & kNoFollow) == 0);
    const auto found = resolver.Resolve(info[2].As<Napi::Number>().Int32Value(), path);
    if (!found) return env.Undefined();
    napi_value text = nullptr;
    napi_create_string_latin1(env, found->data(), found->size(), &text);
    return Napi::Value(env, text);
  }

  PathClaims claims_;
  std::vector<PathResolver::Origin> origins_;
};

}  // namespace

void init_path(Napi::Env env, Napi::Object exports) {
  exports.Set("PathTable", PathTable::Define(env));
}

}  // namespace umvu
