#include "lwip/binding.h"

#include <fcntl.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <memory>

#include "lwip/datagram.h"
#include "lwip/host.h"
#include "lwip/netlink.h"
#include "lwip/packet.h"
#include "lwip/packet_io.h"
#include "lwip/stream.h"
#include "net/network_binding.h"
#include "poller.h"

namespace umvu {
namespace {

using lwip::Event;
using lwip::Host;
using lwip::Sock;
using lwip::Stack;

// What the stacks of an environment share. Made when the addon is loaded; the host opens with the first stack.
struct LwipState {
  net::Pump* pump = nullptr;
  std::unique_ptr<Host> host;
  Napi::ThreadSafeFunction events;
  std::size_t stacks = 0;
};

int integer(const Napi::Value& value) { return value.As<Napi::Number>().Int32Value(); }
uint64_t identifier(const Napi::Value& value) { return static_cast<uint64_t>(value.As<Napi::Number>().Int64Value()); }
std::span<uint8_t> bytes(const Napi::Value& value) {
  auto array = value.As<Napi::Uint8Array>();
  return {array.Data(), array.ByteLength()};
}
Napi::Value number(Napi::Env env, double value) { return Napi::Number::New(env, value); }
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

class StackObject : public Napi::ObjectWrap<StackObject> {
 public:
  static Napi::Function Define(Napi::Env env, LwipState* state) {
    return DefineClass(env, "LwipStack",
                       {InstanceMethod<&StackObject::AddInterface>("addInterface"),
                        InstanceMethod<&StackObject::Socket>("socket"), InstanceMethod<&StackObject::Sockets>("sockets"),
                        InstanceMethod<&StackObject::Device>("device"), InstanceMethod<&StackObject::Fail>("fail"),
                        InstanceMethod<&StackObject::Close>("close")},
                       state);
  }

  explicit StackObject(const Napi::CallbackInfo& info) : ObjectWrap(info), state_(state_of(info)) {
    if (!state_->host) {
      LwipState* state = state_;
      state->host = std::make_unique<Host>(state->pump, [state](uint64_t id, Event event, int value) {
        if (!state->events) return;
        state->events.NonBlockingCall([id, event, value](Napi::Env env, Napi::Function callback) {
          callback.Call({number(env, static_cast<double>(id)), number(env, static_cast<int>(event)), number(env, value)});
        });
      });
    }
    const int result = state_->pump->call([this] {
      const int opened = state_->stacks == 0 ? state_->host->open() : 0;
      if (opened == 0) stack_ = std::make_unique<Stack>(state_->host.get());
      return opened;
    });
    if (result != 0) throw Napi::Error::New(info.Env(), "no user-space stack: errno " + std::to_string(-result));
    ++state_->stacks;
    napi_add_env_cleanup_hook(info.Env(), OnExit, this);
  }
  ~StackObject() override { Shut(); }

 private:
  static void OnExit(void* self) { static_cast<StackObject*>(self)->Shut(); }

  void Shut() {
    if (!stack_) return;
    napi_remove_env_cleanup_hook(Env(), OnExit, this);
    state_->pump->call([this] {
      stack_->close();
      // Events that the thread has in hand may still name it.
      state_->pump->retire(std::move(stack_));
      if (--state_->stacks == 0) state_->host->close();
      return 0;
    });
  }

  Napi::Value AddInterface(const Napi::CallbackInfo& info) {
    const std::string name = info[0].As<Napi::String>().Utf8Value();
    net::Network* network = network_of(info[1]);
    if (!stack_ || network == nullptr) return number(info.Env(), -EBADF);
    const int mtu = integer(info[2]);
    return number(info.Env(), Run([&] { return stack_->add_interface(name, network, mtu); }));
  }

  Napi::Value Socket(const Napi::CallbackInfo& info) {
    if (!stack_) return number(info.Env(), -ENETDOWN);
    const int domain = integer(info[0]), type = integer(info[1]), protocol = integer(info[2]);
    return number(info.Env(), Run([&] { return lwip::make_socket(stack_.get(), domain, type, protocol); }));
  }

  Napi::Value Sockets(const Napi::CallbackInfo& info) {
    return number(info.Env(), !stack_ ? 0 : state_->pump->call([&] {
      state_->host->sweep();
      return static_cast<int>(stack_->socks().size());
    }));
  }

  Napi::Value Device(const Napi::CallbackInfo& info) {
    if (!stack_) return number(info.Env(), -ENETDOWN);
    const auto request = static_cast<unsigned>(info[0].As<Napi::Number>().Uint32Value());
    const std::span<uint8_t> ifreq = bytes(info[1]);
    return number(info.Env(), Run([&] { return lwip::device_request(stack_.get(), request, ifreq); }));
  }

  // Fails an assertion of lwIP, for tests.
  Napi::Value Fail(const Napi::CallbackInfo& info) {
    if (!stack_) return number(info.Env(), -ENETDOWN);
    return number(info.Env(), Run([] { return static_cast<int>(pbuf_free(nullptr)); }));
  }

  // Inside the image; -ENETDOWN where the stack has failed.
  template <typename Job>
  int Run(Job job) {
    return state_->pump->call([&] { return stack_->run(job); });
  }

  void Close(const Napi::CallbackInfo&) { Shut(); }

  LwipState* const state_;
  std::unique_ptr<Stack> stack_;
};

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

// device(id, request, ifreq): netdevice(7) on the stack of a socket.
Napi::Value Device(const Napi::CallbackInfo& info) {
  return with_sock(info, [&](Sock* sock) {
    return lwip::device_request(&sock->stack(), info[1].As<Napi::Number>().Uint32Value(), bytes(info[2]));
  });
}

Napi::Value SetOption(const Napi::CallbackInfo& info) {
  return with_sock(info, [&](Sock* sock) {
    const int level = integer(info[2]), name = integer(info[3]);
    const std::vector<uint8_t>* old = sock->options().find(level, name);
    const std::vector<uint8_t> before = old == nullptr ? std::vector<uint8_t>() : *old;
    sock->options().set(level, name, bytes(info[4]));
    const int result = sock->option_changed(integer(info[1]), level, name);
    if (result != 0) sock->options().set(level, name, before);
    return result;
  });
}

Napi::Value GetOption(const Napi::CallbackInfo& info) {
  return with_sock(info, [&](Sock* sock) {
    const int level = integer(info[1]), name = integer(info[2]);
    const std::span<uint8_t> out = bytes(info[3]);
    const int special = sock->special_option(level, name, out);
    if (special != -ENOPROTOOPT) return special;
    const std::vector<uint8_t>* value = sock->options().find(level, name);
    if (value == nullptr || value->empty()) return -ENOPROTOOPT;
    const std::size_t size = std::min(value->size(), out.size());
    std::copy_n(value->begin(), size, out.begin());
    return static_cast<int>(size);
  });
}

// map(id, fd, size): a new descriptor of the memory of a packet socket's ring.
Napi::Value Map(const Napi::CallbackInfo& info) {
  return with_sock(info, [&](Sock* sock) {
    auto* packet = dynamic_cast<lwip::PacketSock*>(sock);
    return packet == nullptr ? -ENODEV : packet->map(integer(info[1]), static_cast<std::size_t>(identifier(info[2])));
  });
}

Napi::Value TakeQueued(const Napi::CallbackInfo& info) {
  return with_sock(info, [&](Sock* sock) {
    auto* internet = dynamic_cast<lwip::InternetSock*>(sock);
    return internet == nullptr ? -EAGAIN : internet->take_queued(bytes(info[1]));
  });
}

Napi::Value FinishReset(const Napi::CallbackInfo& info) {
  return with_sock(info, [&](Sock* sock) {
    if (auto* stream = dynamic_cast<lwip::StreamSock*>(sock)) stream->finish_reset();
    return 0;
  });
}

Napi::Value Send(const Napi::CallbackInfo& info) {
  lwip::Meta meta;
  const bool has_meta = info[2].IsTypedArray();
  if (has_meta) std::memcpy(&meta, bytes(info[2]).data(), sizeof meta);
  return with_sock(info, [&](Sock* sock) {
    auto* datagram = dynamic_cast<lwip::DatagramSock*>(sock);
    if (datagram == nullptr) return -EOPNOTSUPP;
    return datagram->send_message(bytes(info[1]), has_meta ? &meta : nullptr);
  });
}

// accept(fd, flags, name): the descriptor; `name`, of 128 bytes, gets the peer's address after its length.
Napi::Value Accept(const Napi::CallbackInfo& info) {
  LwipState* state = state_of(info);
  const int fd = lwip::accept_now(integer(info[0]), integer(info[1]));
  const std::span<uint8_t> out = bytes(info[2]);
  out[0] = 0;
  if (fd < 0) return number(info.Env(), fd);
  state->pump->call([&] {
    Sock* sock = state->host->identify(fd);
    if (sock == nullptr) return 0;
    uint8_t name[lwip::kLongestAddress];
    const int size = sock->stack().run([&] { return sock->name(true, name); });
    if (size <= 0) return 0;
    out[0] = static_cast<uint8_t>(size);
    std::copy_n(name, size, out.begin() + 1);
    return 0;
  });
  return number(info.Env(), fd);
}

Napi::Value Receive(const Napi::CallbackInfo& info) {
  lwip::Meta meta;
  const int result = lwip::receive_marked(integer(info[0]), bytes(info[1]), integer(info[2]), &meta);
  std::memcpy(bytes(info[3]).data(), &meta, sizeof meta);
  return number(info.Env(), result);
}

void SetEvents(const Napi::CallbackInfo& info) {
  LwipState* state = state_of(info);
  if (state->events) state->events.Release();
  state->events = Napi::ThreadSafeFunction::New(info.Env(), info[0].As<Napi::Function>(), "umvu lwip", 0, 1);
  state->events.Unref(info.Env());
}

// Calls back when a descriptor is readable, until it is stopped. libuv makes what it polls non-blocking, and the
// guest shares that flag: so it gets an epoll(7) descriptor to poll, and that watches the guest's.
class Readable : public Napi::ObjectWrap<Readable> {
 public:
  static Napi::Function Define(Napi::Env env) {
    return DefineClass(env, "Readable", {InstanceMethod<&Readable::Stop>("stop")});
  }
  explicit Readable(const Napi::CallbackInfo& info) : ObjectWrap(info) {
    callback_ = Napi::Persistent(info[1].As<Napi::Function>());
    epoll_.reset(epoll_create1(EPOLL_CLOEXEC));
    epoll_event event{.events = EPOLLIN, .data = {}};
    if (!epoll_ || epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, integer(info[0]), &event) != 0) {
      throw Napi::Error::New(info.Env(), "cannot poll this descriptor: errno " + std::to_string(errno));
    }
    poller_ = std::make_unique<Poller>(info.Env(), epoll_.get(), [this] {
      const Napi::HandleScope scope(Env());
      callback_.MakeCallback(Env().Global(), {});
    });
  }

 private:
  void Stop(const Napi::CallbackInfo&) {
    poller_->Stop();
    epoll_.reset();
  }
  Napi::FunctionReference callback_;
  net::UniqueFd epoll_;
  std::unique_ptr<Poller> poller_;
};

}  // namespace

void init_lwip(Napi::Env env, Napi::Object exports, net::Pump* pump) {
  auto* state = new LwipState;
  state->pump = pump;
  env.AddCleanupHook([](LwipState* ended) { delete ended; }, state);
  exports.Set("LwipStack", StackObject::Define(env, state));
  auto calls = Napi::Object::New(env);
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
  add("device", Device);
  add("setOption", SetOption);
  add("getOption", GetOption);
  add("takeQueued", TakeQueued);
  add("finishReset", FinishReset);
  add("map", Map);
  add("accept", Accept);
  add("send", Send);
  add("receive", Receive);
  calls.Set("setEvents", Napi::Function::New(env, SetEvents, "setEvents", state));
  calls.Set("Readable", Readable::Define(env));
  exports.Set("lwip", calls);
}

}  // namespace umvu
