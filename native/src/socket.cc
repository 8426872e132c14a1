// Sockets of the supervisor itself: sendmsg(2) and recvmsg(2), whose arguments hold pointers, and the wait for
// a descriptor to become readable or writable on the event loop. Everything else goes through the door.
#include "socket.h"

#include "call_back.h"

#include <sys/socket.h>

#include <array>
#include <cerrno>
#include <cstdlib>
#include <new>

#include "uv_abi.h"

namespace umvu {
namespace {

// More pieces than any caller has; sendmsg(2) takes UIO_MAXIOV (1024).
constexpr uint32_t kMaxPieces = 64;

// A typed array as memory; undefined and null are no memory.
iovec MemoryOf(const Napi::Value& value) {
  if (!value.IsTypedArray()) return {nullptr, 0};
  auto array = value.As<Napi::TypedArray>();
  return {static_cast<char*>(array.ArrayBuffer().Data()) + array.ByteOffset(), array.ByteLength()};
}

// The arguments (fd, pieces, flags, name, control) that both calls have. `pieces` is one view or an array of them.
class Message {
 public:
  explicit Message(const Napi::CallbackInfo& info)
      : fd_(info[0].As<Napi::Number>().Int32Value()), flags_(info[2].As<Napi::Number>().Int32Value()) {
    header_.msg_iov = pieces_.data();
    header_.msg_iovlen = info[1].IsArray() ? Gather(info[1].As<Napi::Array>()) : 1;
    if (!info[1].IsArray()) pieces_[0] = MemoryOf(info[1]);
    const iovec name = MemoryOf(info[3]);
    const iovec control = MemoryOf(info[4]);
    header_.msg_name = name.iov_base;
    header_.msg_namelen = static_cast<socklen_t>(name.iov_len);
    header_.msg_control = control.iov_base;
    header_.msg_controllen = control.iov_len;
  }

  ssize_t Send() { return Result(sendmsg(fd_, &header_, flags_ | MSG_DONTWAIT | MSG_NOSIGNAL)); }
  ssize_t Receive() { return Result(recvmsg(fd_, &header_, flags_ | MSG_DONTWAIT)); }
  const msghdr& header() const { return header_; }

 private:
  static ssize_t Result(ssize_t n) { return n < 0 ? -errno : n; }

  size_t Gather(const Napi::Array& array) {
    const uint32_t count = array.Length();
    if (count > kMaxPieces) throw Napi::RangeError::New(array.Env(), "too many pieces");
    for (uint32_t i = 0; i < count; i++) pieces_[i] = MemoryOf(array.Get(i));
    return count;
  }

  int fd_;
  int flags_;
  std::array<iovec, kMaxPieces> pieces_;  // only the used ones are filled
  msghdr header_{};
};

Napi::Value SendMessage(const Napi::CallbackInfo& info) {
  return Napi::Number::New(info.Env(), static_cast<double>(Message(info).Send()));
}

// The last argument receives the lengths of name and control messages and the flags (MSG_TRUNC and its like).
Napi::Value ReceiveMessage(const Napi::CallbackInfo& info) {
  Message message(info);
  const ssize_t n = message.Receive();
  if (n >= 0 && info[5].IsTypedArray()) {
    auto lengths = info[5].As<Napi::Int32Array>();
    if (lengths.ElementLength() < 3) throw Napi::RangeError::New(info.Env(), "no room for the lengths");
    lengths[0] = static_cast<int32_t>(message.header().msg_namelen);
    lengths[1] = static_cast<int32_t>(message.header().msg_controllen);
    lengths[2] = message.header().msg_flags;
  }
  return Napi::Number::New(info.Env(), static_cast<double>(n));
}

// Tells when a descriptor is readable or writable. It keeps the event loop alive while something is wanted.
class Readiness : public Napi::ObjectWrap<Readiness> {
 public:
  static Napi::Function Define(Napi::Env env) {
    return DefineClass(
        env, "Readiness",
        {InstanceMethod<&Readiness::Want>("want"), InstanceMethod<&Readiness::Close>("close")});
  }

  explicit Readiness(const Napi::CallbackInfo& info) : Napi::ObjectWrap<Readiness>(info) {
    uv_loop_s* loop = nullptr;
    if (napi_get_uv_event_loop(info.Env(), &loop) != napi_ok) throw Napi::Error::New(info.Env(), "no event loop");
    on_ready_ = Napi::Persistent(info[1].As<Napi::Function>());
    handle_ = std::calloc(1, uv_handle_size(kUvPoll));
    if (handle_ == nullptr) throw std::bad_alloc();
    if (uv_poll_init(loop, handle_, info[0].As<Napi::Number>().Int32Value()) != 0) {
      std::free(handle_);
      handle_ = nullptr;
      throw Napi::Error::New(info.Env(), "cannot poll this descriptor");
    }
    uv_handle_set_data(handle_, this);
    uv_unref(handle_);
    Ref();
  }

  ~Readiness() override { Shut(); }

 private:
  // The wish holds until the next call. An event that comes when nothing is wanted any more ends the polling, so
  // that a new wish for the same event soon after costs no system call.
  void Want(const Napi::CallbackInfo& info) {
    if (handle_ == nullptr) return;
    wanted_ = info[0].As<Napi::Number>().Int32Value();
    if (wanted_ == 0 || !info[1].ToBoolean()) {
      uv_unref(handle_);
    } else {
      uv_ref(handle_);
    }
    if (wanted_ == 0) return;
    if ((wanted_ & ~polled_) != 0) Poll(wanted_);
  }

  void Poll(int events) {
    polled_ = events;
    if (events == 0) {
      uv_poll_stop(handle_);
      return;
    }
    uv_poll_start(handle_, events, [](void* handle, int status, int ready) {
      auto* self = static_cast<Readiness*>(uv_handle_get_data(handle));
      if (self != nullptr) self->Report(status < 0 ? self->wanted_ : ready);
    });
  }

  void Report(int ready) {
    // What is ready without being wanted would be reported again and again.
    if ((ready & ~wanted_) != 0) Poll(wanted_);
    if ((ready & wanted_) == 0) return;
    Napi::HandleScope scope(Env());
    [[maybe_unused]] const Napi::Object self = Value();  // the callback may close it
    call_back([&] { on_ready_.MakeCallback(Env().Global(), {Napi::Number::New(Env(), ready & wanted_)}); });
  }

  void Close(const Napi::CallbackInfo&) {
    if (Shut()) Unref();
  }

  bool Shut() {
    if (handle_ == nullptr) return false;
    uv_handle_set_data(handle_, nullptr);
    uv_poll_stop(handle_);
    uv_close(handle_, [](void* handle) { std::free(handle); });
    handle_ = nullptr;
    return true;
  }

  void* handle_ = nullptr;  // a uv_poll_t; freed by its close callback
  int wanted_ = 0;
  int polled_ = 0;
  Napi::FunctionReference on_ready_;
};

}  // namespace

void init_socket(Napi::Env env, Napi::Object exports) {
  exports.Set("sendMessage", Napi::Function::New<SendMessage>(env));
  exports.Set("receiveMessage", Napi::Function::New<ReceiveMessage>(env));
  exports.Set("Readiness", Readiness::Define(env));
}

}  // namespace umvu
