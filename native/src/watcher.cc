// Ends of processes, told by their pidfds (pidfd_open(2)) through one epoll instance.
#include "watcher.h"

#include <sys/epoll.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <memory>
#include <unordered_map>

#include "poller.h"

namespace umvu {
namespace {

class ProcessWatcher : public Napi::ObjectWrap<ProcessWatcher> {
 public:
  static Napi::Function Define(Napi::Env env) {
    return DefineClass(env, "ProcessWatcher",
                       {InstanceMethod<&ProcessWatcher::Add>("add"),
                        InstanceMethod<&ProcessWatcher::Remove>("remove"),
                        InstanceMethod<&ProcessWatcher::Flush>("flush"),
                        InstanceMethod<&ProcessWatcher::Close>("close")});
  }

  explicit ProcessWatcher(const Napi::CallbackInfo& info) : Napi::ObjectWrap<ProcessWatcher>(info) {
    on_end_ = Napi::Persistent(info[0].As<Napi::Function>());
    epoll_ = epoll_create1(EPOLL_CLOEXEC);
    if (epoll_ < 0) throw Napi::Error::New(info.Env(), "epoll_create1 failed");
    poller_ = std::make_unique<Poller>(info.Env(), epoll_, [this] { Report(); });
    Ref();
  }

  ~ProcessWatcher() override { Shut(); }

 private:
  Napi::Value Add(const Napi::CallbackInfo& info) {
    const pid_t pid = info[0].As<Napi::Number>().Int32Value();
    const int pidfd = static_cast<int>(syscall(SYS_pidfd_open, pid, 0));
    if (pidfd < 0) return Napi::Number::New(info.Env(), -errno);
    epoll_event event{};
    event.events = EPOLLIN;
    event.data.u64 = static_cast<uint64_t>(pid);
    if (epoll_ctl(epoll_, EPOLL_CTL_ADD, pidfd, &event) != 0) {
      const int error = errno;
      close(pidfd);
      return Napi::Number::New(info.Env(), -error);
    }
    Drop(pid);
    pidfds_[pid] = pidfd;
    return Napi::Number::New(info.Env(), pidfd);
  }

  void Remove(const Napi::CallbackInfo& info) { Drop(info[0].As<Napi::Number>().Int32Value()); }
  void Flush(const Napi::CallbackInfo&) { Report(); }
  void Close(const Napi::CallbackInfo&) { Shut(); }

  void Drop(pid_t pid) {
    const auto found = pidfds_.find(pid);
    if (found == pidfds_.end()) return;
    // A duplicate of the pidfd may live on elsewhere, so closing it would not be enough.
    epoll_ctl(epoll_, EPOLL_CTL_DEL, found->second, nullptr);
    close(found->second);
    pidfds_.erase(found);
  }

  void Report() {
    if (epoll_ < 0) return;
    Napi::HandleScope scope(Env());
    [[maybe_unused]] const Napi::Object self = Value();  // the callback may close the watcher
    epoll_event events[64];
    for (;;) {
      const int n = epoll_wait(epoll_, events, 64, 0);
      if (n <= 0) return;
      for (int i = 0; i < n; i++) {
        const auto pid = static_cast<pid_t>(events[i].data.u64);
        // The callback removes the process; if it forgets to, the event must not come again for ever.
        on_end_.MakeCallback(Env().Global(), {Napi::Number::New(Env(), pid)});
        if (epoll_ < 0) return;
        Drop(pid);
      }
    }
  }

  void Shut() {
    if (epoll_ < 0) return;
    poller_->Stop();
    for (const auto& entry : pidfds_) close(entry.second);
    pidfds_.clear();
    close(epoll_);
    epoll_ = -1;
    Unref();
  }

  int epoll_ = -1;
  std::unordered_map<pid_t, int> pidfds_;
  Napi::FunctionReference on_end_;
  std::unique_ptr<Poller> poller_;
};

}  // namespace

void init_watcher(Napi::Env env, Napi::Object exports) {
  exports.Set("ProcessWatcher", ProcessWatcher::Define(env));
}

}  // namespace umvu
