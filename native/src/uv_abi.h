// The few libuv functions that the addon uses, declared by hand.
//
// node-api-headers has no <uv.h>, and asking users for Node's own headers would cost them a download. These
// symbols are exported by every Node binary and are part of libuv's stable 1.x ABI; handle sizes are asked
// from the library at run time (uv_handle_size), so no structure layout is assumed.
#pragma once

#include <cstddef>

extern "C" {
struct uv_loop_s;
using uv_abi_handle = void;
int uv_poll_init(uv_loop_s* loop, uv_abi_handle* handle, int fd);
int uv_poll_start(uv_abi_handle* handle, int events, void (*cb)(uv_abi_handle*, int status, int events));
int uv_poll_stop(uv_abi_handle* handle);
int uv_prepare_init(uv_loop_s* loop, uv_abi_handle* handle);
int uv_prepare_start(uv_abi_handle* handle, void (*cb)(uv_abi_handle*));
int uv_prepare_stop(uv_abi_handle* handle);
int uv_backend_fd(const uv_loop_s* loop);
int uv_backend_timeout(const uv_loop_s* loop);
void uv_update_time(uv_loop_s* loop);
void uv_close(uv_abi_handle* handle, void (*cb)(uv_abi_handle*));
int uv_is_closing(const uv_abi_handle* handle);
void uv_ref(uv_abi_handle* handle);
void uv_unref(uv_abi_handle* handle);
void* uv_handle_get_data(const uv_abi_handle* handle);
void uv_handle_set_data(uv_abi_handle* handle, void* data);
std::size_t uv_handle_size(int type);
}

namespace umvu {
inline constexpr int kUvPoll = 8;      // uv_handle_type UV_POLL
inline constexpr int kUvPrepare = 9;   // uv_handle_type UV_PREPARE
inline constexpr int kUvReadable = 1;  // uv_poll_event UV_READABLE
}  // namespace umvu
