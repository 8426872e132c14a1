// The supervisor's own system calls. One general function serves all of them, because policy lives in
// TypeScript and the kernel's interface is documented better than any wrapper of it would be.
#include "door.h"

#include <poll.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <ctime>
#include <string>

#include "net/passed_fd.h"

namespace umvu {
namespace {

// A value of JavaScript as a register; strings are kept alive in `text`.
long Register(const Napi::Value& value, std::string& text) {
  if (value.IsNumber()) return static_cast<long>(value.As<Napi::Number>().Int64Value());
  if (value.IsBigInt()) {
    bool lossless = false;
    return static_cast<long>(value.As<Napi::BigInt>().Uint64Value(&lossless));
  }
  if (value.IsString()) {
    size_t length = 0;
    napi_get_value_string_latin1(value.Env(), value, nullptr, 0, &length);
    text.resize(length + 1);
    napi_get_value_string_latin1(value.Env(), value, text.data(), length + 1, &length);
    text.resize(length);
    return reinterpret_cast<long>(text.c_str());
  }
  if (value.IsTypedArray()) {
    auto array = value.As<Napi::TypedArray>();
    return reinterpret_cast<long>(static_cast<char*>(array.ArrayBuffer().Data()) + array.ByteOffset());
  }
  return 0;
}

Napi::Value Syscall(const Napi::CallbackInfo& info) {
  std::array<long, 6> r{};
  std::array<std::string, 6> texts;
  for (size_t i = 0; i < r.size() && i + 1 < info.Length(); i++) r[i] = Register(info[i + 1], texts[i]);
  const long result = syscall(info[0].As<Napi::Number>().Int64Value(), r[0], r[1], r[2], r[3], r[4], r[5]);
  return Napi::Number::New(info.Env(), static_cast<double>(result == -1 ? -errno : result));
}

int64_t Milliseconds() {
  timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return now.tv_sec * 1000LL + now.tv_nsec / 1000000;
}

// Waits until `fd` is readable; 0 or a negated errno.
int WaitReadable(int fd, int64_t timeout_ms) {
  const int64_t deadline = Milliseconds() + timeout_ms;
  for (;;) {
    const int64_t left = deadline - Milliseconds();
    if (left < 0) return -ETIMEDOUT;
    pollfd p{fd, POLLIN, 0};
    const int n = poll(&p, 1, static_cast<int>(left));
    if (n > 0) return 0;
    if (n < 0 && errno != EINTR) return -errno;
  }
}

// Receives one message; descriptors beyond the room in `fds` are closed, unused places are set to -1.
ssize_t ReceiveWithDescriptors(int fd, void* data, size_t size, int32_t* fds, size_t room) {
  constexpr size_t kMost = 253;  // SCM_MAX_FD
  alignas(cmsghdr) char control[CMSG_SPACE(kMost * sizeof(int))];
  iovec io{data, size};
  msghdr message{};
  message.msg_iov = &io;
  message.msg_iovlen = 1;
  message.msg_control = control;
  message.msg_controllen = sizeof control;
  for (size_t i = 0; i < room; i++) fds[i] = -1;
  const ssize_t n = recvmsg(fd, &message, MSG_CMSG_CLOEXEC);
  if (n < 0) return -errno;
  size_t have = 0;
  for (cmsghdr* c = CMSG_FIRSTHDR(&message); c != nullptr; c = CMSG_NXTHDR(&message, c)) {
    if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS) continue;
    const size_t count = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
    for (size_t i = 0; i < count; i++) {
      int received;
      std::memcpy(&received, CMSG_DATA(c) + i * sizeof(int), sizeof received);
      if (have < room) {
        fds[have++] = received;
      } else {
        close(received);
      }
    }
  }
  return n == 0 ? -EPIPE : n;
}

// Sends one message, with a copy of descriptor `with` where that is not -1.
ssize_t SendWithDescriptor(int fd, void* data, size_t size, int with) {
  iovec io{data, size};
  msghdr message{};
  message.msg_iov = &io;
  message.msg_iovlen = 1;
  const net::PassedFd passed(&message, with);
  ssize_t n;
  do {
    n = sendmsg(fd, &message, MSG_NOSIGNAL);
  } while (n < 0 && errno == EINTR);
  return n;
}

// request(fd, request, reply, fds, timeout, with)
Napi::Value Request(const Napi::CallbackInfo& info) {
  const int fd = info[0].As<Napi::Number>().Int32Value();
  auto request = info[1].As<Napi::Uint8Array>();
  auto reply = info[2].As<Napi::Uint8Array>();
  auto fds = info[3].As<Napi::Int32Array>();
  const int with = info[5].IsNumber() ? info[5].As<Napi::Number>().Int32Value() : -1;
  ssize_t n = SendWithDescriptor(fd, request.Data(), request.ByteLength(), with);
  if (n < 0) return Napi::Number::New(info.Env(), errno == ECONNRESET ? -EPIPE : -errno);
  n = WaitReadable(fd, info[4].As<Napi::Number>().Int64Value());
  if (n == 0) n = ReceiveWithDescriptors(fd, reply.Data(), reply.ByteLength(), fds.Data(), fds.ElementLength());
  return Napi::Number::New(info.Env(), static_cast<double>(n == -ECONNRESET ? -EPIPE : n));
}

Napi::Value SocketPair(const Napi::CallbackInfo& info) {
  int pair[2];
  const int type = info[0].As<Napi::Number>().Int32Value() | SOCK_CLOEXEC;
  if (socketpair(AF_UNIX, type, 0, pair) != 0) return Napi::Number::New(info.Env(), -errno);
  auto result = Napi::Array::New(info.Env(), 2);
  result.Set(0u, pair[0]);
  result.Set(1u, pair[1]);
  return result;
}

void DieBySignal(const Napi::CallbackInfo& info) {
  const int number = info[0].As<Napi::Number>().Int32Value();
  const rlimit none{0, 0};
  setrlimit(RLIMIT_CORE, &none);
  signal(number, SIG_DFL);
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, number);
  pthread_sigmask(SIG_UNBLOCK, &set, nullptr);
  kill(getpid(), number);
  _exit(128 + number);
}

}  // namespace

void init_door(Napi::Env env, Napi::Object exports) {
  exports.Set("syscall", Napi::Function::New<Syscall>(env));
  exports.Set("request", Napi::Function::New<Request>(env));
  exports.Set("socketPair", Napi::Function::New<SocketPair>(env));
  exports.Set("dieBySignal", Napi::Function::New<DieBySignal>(env));
}

}  // namespace umvu
