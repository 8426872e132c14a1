// The calls on sockets of stacks.
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "lwip/binding.h"
#include "lwip/netlink.h"
#include "lwip/packet_io.h"
#include "lwip/sock_calls.h"

namespace umvu::lwip {
namespace {

LwipState* state_of(const Napi::CallbackInfo& info) { return static_cast<LwipState*>(info.Data()); }

// Runs `job` with the socket that the first argument names; -EBADF when there is none.
template <typename Job>
Napi::Value with_sock(const Napi::CallbackInfo& info, Job job) {
  LwipState* state = state_of(info);
  const uint64_t id = identifier(info[0]);
  if (!state->host) return number(info.Env(), -EBADF);
  return number(info.Env(), state->pump->call([&] {
    Sock* sock = state->host->find(id);
    if (sock == nullptr) return -EBADF;
    return sock->stack().run([&] { return job(sock); });
  }));
}

// identify(fd, out): the id of the socket that a descriptor of this process is; its kind goes to `out`.
Napi::Value Identify(const Napi::CallbackInfo& info) {
  LwipState* state = state_of(info);
  if (!state->host || state->stacks == 0) return number(info.Env(), 0);
  auto out = info[1].As<Napi::Int32Array>();
  double id = 0;
  state->pump->call([&] {
    const Sock* sock = state->host->identify(integer(info[0]));
    if (sock == nullptr) return 0;
    id = static_cast<double>(sock->id());
    out[0] = sock->domain();
    out[1] = sock->type();
    out[2] = sock->protocol();
    return 0;
  });
  return number(info.Env(), id);
}

// open(pidfd, fd, out): a copy of a guest's descriptor, when it is a socket of ours. Its number and kind go to `out`.
Napi::Value Open(const Napi::CallbackInfo& info) {
  LwipState* state = state_of(info);
  if (!state->host || state->stacks == 0) return number(info.Env(), 0);
  const auto fd = static_cast<int>(syscall(SYS_pidfd_getfd, integer(info[0]), integer(info[1]), 0));
  if (fd < 0) return number(info.Env(), -errno);
  auto out = info[2].As<Napi::Int32Array>();
  double id = 0;
  state->pump->call([&] {
    const Sock* sock = state->host->identify(fd);
    if (sock == nullptr) return 0;
    id = static_cast<double>(sock->id());
    out[0] = fd;
    out[1] = sock->domain();
    out[2] = sock->type();
    out[3] = sock->protocol();
    return 0;
  });
  if (id == 0) close(fd);
  return number(info.Env(), id);
}

Napi::Value Bind(const Napi::CallbackInfo& info) {
  return with_sock(info, [&](Sock* sock) { return sock->bind(integer(info[1]), bytes(info[2])); });
}

Napi::Value Connect(const Napi::CallbackInfo& info) {
  return with_sock(info, [&](Sock* sock) {
    return sock->connect(integer(info[1]), bytes(info[2]), info[3].ToBoolean().Value());
  });
}

Napi::Value Listen(const Napi::CallbackInfo& info) {
  return with_sock(info, [&](Sock* sock) { return sock->listen(integer(info[1]), integer(info[2])); });
}

Napi::Value Shutdown(const Napi::CallbackInfo& info) {
  return with_sock(info, [&](Sock* sock) { return sock->shutdown(integer(info[1]), integer(info[2])); });
}

Napi::Value Name(const Napi::CallbackInfo& info) {
  return with_sock(info, [&](Sock* sock) { return sock->name(info[1].ToBoolean().Value(), bytes(info[2]).data()); });
}

// stackOf(id): the id of the stack of a socket.
Napi::Value StackOf(const Napi::CallbackInfo& info) {
  double id = -EBADF;
  const Napi::Value result = with_sock(info, [&](Sock* sock) {
    id = static_cast<double>(sock->stack().id());
    return 0;
  });
  return id < 0 ? result : number(info.Env(), id);
}

Napi::Value SetOption(const Napi::CallbackInfo& info) {
  return with_sock(info, [&](Sock* sock) {
    return sock->set_option(integer(info[1]), integer(info[2]), integer(info[3]), bytes(info[4]));
  });
}

Napi::Value GetOption(const Napi::CallbackInfo& info) {
  return with_sock(info, [&](Sock* sock) { return get_option(sock, integer(info[1]), integer(info[2]), bytes(info[3])); });
}

// map(id, fd, size): a new descriptor of the memory of a packet socket's ring.
Napi::Value Map(const Napi::CallbackInfo& info) {
  return with_sock(info, [&](Sock* sock) {
    return map_ring(sock, integer(info[1]), static_cast<std::size_t>(identifier(info[2])));
  });
}

Napi::Value TakeQueued(const Napi::CallbackInfo& info) {
  return with_sock(info, [&](Sock* sock) { return take_queued(sock, bytes(info[1])); });
}

Napi::Value Look(const Napi::CallbackInfo& info) {
  return with_sock(info, [](Sock* sock) { return look(sock); });
}

Napi::Value FinishReset(const Napi::CallbackInfo& info) {
  return with_sock(info, [](Sock* sock) { return finish_reset(sock); });
}

Napi::Value Send(const Napi::CallbackInfo& info) {
  Meta meta;
  const bool has_meta = info[2].IsTypedArray();
  if (has_meta) std::memcpy(&meta, bytes(info[2]).data(), sizeof meta);
  return with_sock(info, [&](Sock* sock) { return send_message(sock, bytes(info[1]), has_meta ? &meta : nullptr); });
}

// accept(fd, flags, name): the descriptor; `name`, of 128 bytes, gets the peer's address after its length.
Napi::Value Accept(const Napi::CallbackInfo& info) {
  LwipState* state = state_of(info);
  const int fd = accept_now(integer(info[0]), integer(info[1]));
  const std::span<uint8_t> out = bytes(info[2]);
  out[0] = 0;
  if (fd < 0 || !state->host) return number(info.Env(), fd);
  state->pump->call([&] {
    Sock* sock = state->host->identify(fd);
    if (sock == nullptr) return 0;
    uint8_t name[kLongestAddress];
    const int size = sock->stack().run([&] { return sock->name(true, name); });
    if (size <= 0) return 0;
    out[0] = static_cast<uint8_t>(size);
    std::copy_n(name, size, out.begin() + 1);
    return 0;
  });
  return number(info.Env(), fd);
}

Napi::Value Receive(const Napi::CallbackInfo& info) {
  Meta meta;
  const int result = receive_marked(integer(info[0]), bytes(info[1]), integer(info[2]), &meta);
  std::memcpy(bytes(info[3]).data(), &meta, sizeof meta);
  return number(info.Env(), result);
}

// The next message of a netlink socket, and one for it.
Napi::Value Take(const Napi::CallbackInfo& info) {
  return with_sock(info, [&](Sock* sock) {
    auto* netlink = dynamic_cast<NetlinkSock*>(sock);
    return netlink == nullptr ? -EOPNOTSUPP : netlink->take(bytes(info[1]));
  });
}

Napi::Value Put(const Napi::CallbackInfo& info) {
  return with_sock(info, [&](Sock* sock) {
    auto* netlink = dynamic_cast<NetlinkSock*>(sock);
    return netlink == nullptr ? -EOPNOTSUPP : netlink->put(bytes(info[1]), static_cast<uint32_t>(integer(info[2])));
  });
}

}  // namespace

void define_sock_calls(Napi::Env env, Napi::Object calls, LwipState* state) {
  const auto add = [&](const char* name, Napi::Value (*function)(const Napi::CallbackInfo&)) {
    calls.Set(name, Napi::Function::New(env, function, name, state));
  };
  add("open", Open);
  add("identify", Identify);
  add("bind", Bind);
  add("connect", Connect);
  add("listen", Listen);
  add("shutdown", Shutdown);
  add("name", Name);
  add("stackOf", StackOf);
  add("setOption", SetOption);
  add("getOption", GetOption);
  add("takeQueued", TakeQueued);
  add("look", Look);
  add("finishReset", FinishReset);
  add("map", Map);
  add("accept", Accept);
  add("send", Send);
  add("receive", Receive);
  add("take", Take);
  add("put", Put);
}

}  // namespace umvu::lwip
