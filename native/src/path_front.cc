#include "path_front.h"

#include <signal.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <cerrno>

#include "notify.h"

namespace umvu {
namespace {

constexpr napi_type_tag kTag = {0x756d767550617468, 0x46726f6e74000001};

uint64_t Now() {
  timespec time{};
  clock_gettime(CLOCK_MONOTONIC, &time);
  return static_cast<uint64_t>(time.tv_sec) * 1000000000u + static_cast<uint64_t>(time.tv_nsec);
}

}  // namespace

Napi::Function PathFront::Define(Napi::Env env) {
  return DefineClass(env, "PathFront",
                     {InstanceMethod<&PathFront::Enter>("enter"), InstanceMethod<&PathFront::Leave>("leave"),
                      InstanceMethod<&PathFront::Counts>("counts")});
}

PathFront* PathFront::Of(const Napi::Value& value) {
  if (!value.IsObject() || !value.As<Napi::Object>().CheckTypeTag(&kTag)) return nullptr;
  return PathFront::Unwrap(value.As<Napi::Object>());
}

// new PathFront(epoch, measure)
PathFront::PathFront(const Napi::CallbackInfo& info) : Napi::ObjectWrap<PathFront>(info) {
  Value().TypeTag(&kTag);
  auto epoch = info[0].As<Napi::Uint32Array>();
  epoch_ = epoch.Data();
  epoch_ref_ = Napi::Persistent(epoch);
  measure_ = info[1].ToBoolean().Value();
}

std::optional<int64_t> PathFront::Answer(int listener, const seccomp_notif& notification) {
  const auto call = FastCall::Of(notification.data);
  if (!call) return std::nullopt;
  const auto tid = static_cast<pid_t>(notification.pid);
  const Guest* guest = Find(tid);
  if (guest == nullptr) return std::nullopt;
  const uint64_t start = measure_ ? Now() : 0;
  const PathResolver::Caller caller{tid, guest->pid, false};
  const auto answer = FastAnswer(guest->known, caller, listener, notification.id).To(*call);
  if (!answer) return std::nullopt;
  Count& count = counts_[notification.data.nr];
  count.calls++;
  if (*answer == kPass) count.passed++;
  if (*answer < 0 && *answer > kPass) count.failed++;
  if (measure_) count.time += Now() - start;
  return answer;
}

// Of a main thread the end is told; the number of another one may have passed to another process.
PathFront::Guest* PathFront::Find(pid_t tid) {
  const auto found = guests_.find(tid);
  if (found == guests_.end() || found->second.epoch != *epoch_) return nullptr;
  if (found->second.pid == tid) return &found->second;
  if (syscall(SYS_tgkill, found->second.pid, tid, 0) == 0 || errno != ESRCH) return &found->second;
  guests_.erase(found);
  return nullptr;
}

// enter(tid, pid, table, acts, devices)
void PathFront::Enter(const Napi::CallbackInfo& info) {
  auto paths = ViewPathsOf(info[2]);
  if (!paths) throw Napi::TypeError::New(info.Env(), "no PathTable");
  guests_.insert_or_assign(info[0].As<Napi::Number>().Int32Value(),
                           Guest{info[1].As<Napi::Number>().Int32Value(), *epoch_,
                                 {std::move(paths), info[3].ToBoolean().Value(), info[4].ToBoolean().Value()}});
}

// leave(pid): all threads of the process.
void PathFront::Leave(const Napi::CallbackInfo& info) {
  const pid_t pid = info[0].As<Napi::Number>().Int32Value();
  std::erase_if(guests_, [pid](const auto& entry) { return entry.second.pid == pid; });
}

// counts(): [number of the call, calls, passed, failed, ns, number, …]
Napi::Value PathFront::Counts(const Napi::CallbackInfo& info) {
  auto list = Napi::Array::New(info.Env());
  uint32_t at = 0;
  for (const auto& [nr, count] : counts_) {
    for (const double number : {static_cast<double>(nr), static_cast<double>(count.calls),
                                static_cast<double>(count.passed), static_cast<double>(count.failed),
                                static_cast<double>(count.time)})
      list.Set(at++, number);
  }
  return list;
}

void init_path_front(Napi::Env env, Napi::Object exports) {
  exports.Set("PathFront", PathFront::Define(env));
}

}  // namespace umvu
