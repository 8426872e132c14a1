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

#include "byte_string.h"
#include "guest_memory.h"
#include "path_resolver.h"
#include "view_paths.h"

namespace umvu {

// Steps end at page borders, because a string may end just before an unmapped page.
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

namespace {

// Bits of the last argument of resolve, see PATH_FLAGS in runtime/native.ts.
constexpr uint32_t kNoFollow = 1;
constexpr uint32_t kOwnRoot = 2;

class PathTable : public Napi::ObjectWrap<PathTable> {
 public:
  static Napi::Function Define(Napi::Env env) {
    return DefineClass(env, "PathTable", {InstanceMethod<&PathTable::Resolve>("resolve")});
  }

  explicit PathTable(const Napi::CallbackInfo& info) : Napi::ObjectWrap<PathTable>(info) {
    Value().TypeTag(&kTag);
    auto made = std::make_shared<ViewPaths>();
    auto prefixes = info[0].As<Napi::Array>();
    for (uint32_t i = 0; i < prefixes.Length(); i++) made->claims.Add(ByteString(prefixes.Get(i)));
    ForPairs(info[1], [&](const Napi::Value& real, const Napi::Value& seen) {
      made->origins.push_back({ByteString(real), ByteString(seen)});
    });
    ForPairs(info[2], [&](const Napi::Value& target, const Napi::Value& mirror) {
      if (auto tree = FastTreeOf(mirror)) made->trees.emplace(ByteString(target), std::move(tree));
    });
    paths = std::move(made);
  }

  static constexpr napi_type_tag kTag = {0x756d767550617468, 0x5461626c65000001};
  std::shared_ptr<const ViewPaths> paths;

 private:
  // Takes what an array has two by two.
  template <typename Take>
  static void ForPairs(const Napi::Value& value, Take take) {
    if (!value.IsArray()) return;
    auto array = value.As<Napi::Array>();
    for (uint32_t i = 0; i + 1 < array.Length(); i += 2) take(array.Get(i), array.Get(i + 1));
  }

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
    PathResolver resolver(paths->claims, paths->origins, caller, (flags & kNoFollow) == 0);
    const auto found = resolver.Resolve(info[2].As<Napi::Number>().Int32Value(), path);
    if (!found) return env.Undefined();
    napi_value text = nullptr;
    napi_create_string_latin1(env, found->data(), found->size(), &text);
    return Napi::Value(env, text);
  }
};

}  // namespace

std::shared_ptr<const ViewPaths> ViewPathsOf(const Napi::Value& table) {
  if (!table.IsObject() || !table.As<Napi::Object>().CheckTypeTag(&PathTable::kTag)) return nullptr;
  return PathTable::Unwrap(table.As<Napi::Object>())->paths;
}

void init_path(Napi::Env env, Napi::Object exports) {
  exports.Set("PathTable", PathTable::Define(env));
}

}  // namespace umvu
