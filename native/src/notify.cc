// The notification loop: seccomp user notifications on the JavaScript thread (seccomp_unotify(2)).
//
// A listener is polled by libuv. Each notification is copied into a typed array that JavaScript shares, then a
// JavaScript function is called and its result is the answer. The call is made without a callback scope, which
// costs as much as the rest of the loop; a scope is opened once per batch when a handler became asynchronous,
// so that its microtasks run.
#include "notify.h"

#include <fcntl.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <memory>

#include "path_front.h"
#include "signals_blocked.h"
#include "staying_poller.h"

#ifndef SECCOMP_IOCTL_NOTIF_SET_FLAGS  // Linux 6.6
#define SECCOMP_IOCTL_NOTIF_SET_FLAGS SECCOMP_IOW(4, __u64)
#define SECCOMP_USER_NOTIF_FD_SYNC_WAKE_UP (1UL << 0)
#endif

namespace umvu {
namespace {

// Notifications taken per wake-up before other events of the loop get their turn.
constexpr int kBatch = 64;
// One of so many wake-ups looks whether a second notification waits, while there is none as a rule.
constexpr unsigned kProbe = 8;
constexpr size_t kSlotWords = 18;
// Room for the kernel's struct seccomp_notif, which may grow (SECCOMP_GET_NOTIF_SIZES).
constexpr size_t kNotificationRoom = 512;

class Listener : public Napi::ObjectWrap<Listener> {
 public:
  static Napi::Function Define(Napi::Env env) {
    return DefineClass(env, "Listener",
                       {InstanceMethod<&Listener::SendValue>("sendValue"),
                        InstanceMethod<&Listener::SendContinue>("sendContinue"),
                        InstanceMethod<&Listener::Inject>("inject"),
                        InstanceMethod<&Listener::AddFd>("addFd"),
                        InstanceMethod<&Listener::Alive>("alive"),
                        InstanceMethod<&Listener::Close>("close"),
                        InstanceAccessor<&Listener::Descriptor>("fd")});
  }

  explicit Listener(const Napi::CallbackInfo& info) : Napi::ObjectWrap<Listener>(info) {
    Napi::Env env = info.Env();
    fd_ = info[0].As<Napi::Number>().Int32Value();
    auto slot = info[1].As<Napi::Uint32Array>();
    if (slot.ElementLength() < kSlotWords) throw Napi::RangeError::New(env, "slot too small");
    slot_ = slot.Data();
    slot_ref_ = Napi::Persistent(slot);
    on_call_ = Napi::Persistent(info[2].As<Napi::Function>());
    on_end_ = Napi::Persistent(info[3].As<Napi::Function>());
    front_ = PathFront::Of(info[4]);
    if (front_ != nullptr) front_ref_ = Napi::Persistent(info[4].As<Napi::Object>());
    // Worth ten times in latency where the kernel has it; not an error where it has not.
    ioctl(fd_, SECCOMP_IOCTL_NOTIF_SET_FLAGS, SECCOMP_USER_NOTIF_FD_SYNC_WAKE_UP);
    poller_ = std::make_unique<StayingPoller>(env, fd_, [this] { Readable(); });
    Ref();
  }

  ~Listener() override { Shut(); }

 private:
  void Readable() {
    Napi::Env env = Env();
    Napi::HandleScope scope(env);
    // A handler may close this listener: keep it until the batch is done.
    [[maybe_unused]] const Napi::Object self = Value();
    bool asynchronous = false;
    // With one busy guest asking for more would be in vain; what is overlooked wakes us again at once.
    const bool look = several_ || ++wakeups_ % kProbe == 0;
    several_ = false;
    for (int i = 0; i < kBatch && fd_ >= 0; i++) {
      // RECV blocks when nothing is there, so every round but the first asks before.
      if (i > 0 && !(look && Waiting())) break;
      several_ = i > 0;
      if (!Receive()) {
        if (errno == ENOENT && !Waiting()) break;
        if (errno == ENOENT || errno == EINTR) continue;
        break;
      }
      asynchronous |= Dispatch(env);
    }
    if (asynchronous) RunMicrotasks(env);
    if (fd_ >= 0 && ended_) End(env);
  }

  // Is a notification waiting? Also notices that the last process of the tree has gone.
  bool Waiting() {
    pollfd p{fd_, POLLIN, 0};
    if (poll(&p, 1, 0) <= 0) return false;
    if (p.revents & POLLIN) return true;
    if (p.revents & (POLLHUP | POLLERR)) ended_ = true;
    return false;
  }

  bool Receive() {
    std::memset(notification_, 0, sizeof notification_);
    return ioctl(fd_, SECCOMP_IOCTL_NOTIF_RECV, notification_) == 0;
  }

  // Answers one notification, unless JavaScript did so; true when it became asynchronous.
  bool Dispatch(Napi::Env env) {
    const auto* n = reinterpret_cast<const seccomp_notif*>(notification_);
    const uint64_t id = n->id;
    if (front_ != nullptr) {
      if (const auto answer = front_->Answer(fd_, *n)) {
        if (*answer != kAnswered) Answer(id, *answer);
        return false;
      }
    }
    slot_[0] = static_cast<uint32_t>(id);
    slot_[1] = static_cast<uint32_t>(id >> 32);
    slot_[2] = n->pid;
    slot_[3] = static_cast<uint32_t>(n->data.nr);
    slot_[4] = n->data.arch;
    slot_[5] = n->flags;
    for (int i = 0; i < 6; i++) {
      slot_[6 + 2 * i] = static_cast<uint32_t>(n->data.args[i]);
      slot_[7 + 2 * i] = static_cast<uint32_t>(n->data.args[i] >> 32);
    }
    Napi::HandleScope scope(env);
    int64_t result = -EIO;
    napi_value answer = nullptr;
    napi_value undefined = env.Undefined();
    if (napi_call_function(env, undefined, on_call_.Value(), 0, nullptr, &answer) == napi_ok) {
      napi_get_value_int64(env, answer, &result);
    } else {
      // The dispatcher catches everything; what comes here is a bug, and still the guest is answered.
      napi_value error;
      napi_get_and_clear_last_exception(env, &error);
    }
    if (result == kPending) return true;
    if (result != kAnswered && fd_ >= 0) Answer(id, result);
    return false;
  }

  int Answer(uint64_t id, int64_t result) {
    seccomp_notif_resp response{};
    response.id = id;
    if (result == kPass) {
      response.flags = SECCOMP_USER_NOTIF_FLAG_CONTINUE;
    } else if (result < 0) {
      response.error = static_cast<int32_t>(result);
    } else {
      response.val = result;
    }
    return ioctl(fd_, SECCOMP_IOCTL_NOTIF_SEND, &response) == 0 ? 0 : -errno;
  }

  void RunMicrotasks(Napi::Env env) {
    // Closing a callback scope runs process.nextTick and promise jobs; the callee itself has nothing to do.
    Napi::Function noop = Napi::Function::New(env, [](const Napi::CallbackInfo&) {});
    noop.MakeCallback(env.Global(), 0, nullptr);
  }

  void End(Napi::Env env) {
    Shut();
    on_end_.MakeCallback(env.Global(), 0, nullptr);
  }

  void Shut() {
    if (fd_ < 0) return;
    poller_->Stop();
    close(fd_);
    fd_ = -1;
    Unref();
  }

  static uint64_t Id(const Napi::CallbackInfo& info) {
    bool lossless = false;
    return info[0].As<Napi::BigInt>().Uint64Value(&lossless);
  }

  Napi::Value SendValue(const Napi::CallbackInfo& info) {
    return Napi::Number::New(info.Env(), Answer(Id(info), info[1].As<Napi::Number>().Int64Value()));
  }

  Napi::Value SendContinue(const Napi::CallbackInfo& info) {
    return Napi::Number::New(info.Env(), Answer(Id(info), kPass));
  }

  Napi::Value Inject(const Napi::CallbackInfo& info) { return Add(info, SECCOMP_ADDFD_FLAG_SEND); }
  Napi::Value AddFd(const Napi::CallbackInfo& info) { return Add(info, 0); }

  Napi::Value Add(const Napi::CallbackInfo& info, uint32_t flags) {
    seccomp_notif_addfd request{};
    request.id = Id(info);
    request.flags = flags;
    request.srcfd = static_cast<uint32_t>(info[1].As<Napi::Number>().Int32Value());
    request.newfd_flags = info[2].ToBoolean().Value() ? O_CLOEXEC : 0;
    // The kernel waits for the guest to take the descriptor, and has answered the call before it does: were that wait
    // interrupted, the guest would go on with 0 as the result of its call.
    const SignalsBlocked blocked;
    const int result = ioctl(fd_, SECCOMP_IOCTL_NOTIF_ADDFD, &request);
    return Napi::Number::New(info.Env(), result >= 0 ? result : -errno);
  }

  Napi::Value Alive(const Napi::CallbackInfo& info) {
    uint64_t id = Id(info);
    return Napi::Boolean::New(info.Env(),
                              fd_ >= 0 && ioctl(fd_, SECCOMP_IOCTL_NOTIF_ID_VALID, &id) == 0);
  }

  void Close(const Napi::CallbackInfo&) { Shut(); }
  Napi::Value Descriptor(const Napi::CallbackInfo& info) { return Napi::Number::New(info.Env(), fd_); }

  int fd_ = -1;
  bool ended_ = false;
  bool several_ = false;  // the last look found a second notification
  unsigned wakeups_ = 0;
  uint32_t* slot_ = nullptr;
  Napi::Reference<Napi::Uint32Array> slot_ref_;
  // Asked before JavaScript is.
  PathFront* front_ = nullptr;
  Napi::ObjectReference front_ref_;
  Napi::FunctionReference on_call_;
  Napi::FunctionReference on_end_;
  std::unique_ptr<StayingPoller> poller_;
  alignas(8) unsigned char notification_[kNotificationRoom];
};

}  // namespace

void init_notify(Napi::Env env, Napi::Object exports) {
  exports.Set("Listener", Listener::Define(env));
}

}  // namespace umvu
