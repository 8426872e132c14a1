#pragma once

#include <linux/seccomp.h>
#include <napi.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <unordered_map>

#include "fast_answer.h"

namespace umvu {

// Answers calls about paths before JavaScript is asked (docs/design/paths.md): those that the kernel may do because
// nothing of the view is met, and those that look at what a FastTree has. Everything else it leaves alone.
//
// JavaScript tells for which threads: enter(tid, pid, table, acts, devices). What it has told is good until the number in
// the array that the front was made with becomes another, or leave(pid).
class PathFront : public Napi::ObjectWrap<PathFront> {
 public:
  static Napi::Function Define(Napi::Env env);
  // The front that `value` is; null for other values.
  static PathFront* Of(const Napi::Value& value);

  explicit PathFront(const Napi::CallbackInfo& info);

  // The answer to a notification: a value, a negated errno, or one of those of notify.h. Nothing when it is for
  // JavaScript.
  std::optional<int64_t> Answer(int listener, const seccomp_notif& notification);

 private:
  struct Guest {
    pid_t pid;
    uint32_t epoch;
    FastAnswer::Guest known;
  };
  struct Count {
    uint32_t calls = 0;
    uint32_t passed = 0;
    uint32_t failed = 0;
    uint64_t time = 0;
  };

  Guest* Find(pid_t tid);
  void Enter(const Napi::CallbackInfo& info);
  void Leave(const Napi::CallbackInfo& info);
  Napi::Value Counts(const Napi::CallbackInfo& info);

  uint32_t* epoch_ = nullptr;
  bool measure_ = false;
  Napi::Reference<Napi::Uint32Array> epoch_ref_;
  std::unordered_map<pid_t, Guest> guests_;
  std::unordered_map<int, Count> counts_;
};

void init_path_front(Napi::Env env, Napi::Object exports);

}  // namespace umvu
