// The addon: mechanism for the runtime. Its typed face is runtime/native.ts.
#include <napi.h>

#include "door.h"
#include "fast_tree.h"
#include "files.h"
#include "fuse_front.h"
#ifdef UMVU_LWIP
#include "lwip/binding.h"
#endif
#include "memory.h"
#include "net/network_binding.h"
#include "notify.h"
#include "park.h"
#include "path.h"
#include "path_front.h"
#include "rewrite.h"
#include "socket.h"
#include "watcher.h"

namespace umvu {
namespace {

Napi::Object Init(Napi::Env env, Napi::Object exports) {
  init_notify(env, exports);
  init_memory(env, exports);
  init_door(env, exports);
  init_files(env, exports);
  init_watcher(env, exports);
  init_park(env, exports);
  init_fuse_front(env, exports);
  init_socket(env, exports);
  init_rewrite(env, exports);
  [[maybe_unused]] net::Pump* pump = init_network(env, exports);
#ifdef UMVU_LWIP
  init_lwip(env, exports, pump);
#endif
  init_path(env, exports);
  init_fast_tree(env, exports);
  init_path_front(env, exports);
  return exports;
}

}  // namespace
}  // namespace umvu

// The macro looks the function up in the global namespace.
static Napi::Object InitAddon(Napi::Env env, Napi::Object exports) { return umvu::Init(env, exports); }
NODE_API_MODULE(umvu, InitAddon)
