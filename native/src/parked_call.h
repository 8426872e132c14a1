#pragma once

#include <sys/types.h>
#include <sys/user.h>

#include <cstdint>
#include <functional>
#include <mutex>
#include <optional>
#include <thread>

namespace umvu {

// A guest thread whose trapped call waits for a promise, held so that signals reach it.
//
// A notification that was received can be waited for killably only (SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV),
// which keeps calls from being handled twice but makes a blocked accept(2) deaf to signals. So a call that
// blocks for long is parked: a thread of ours seizes the caller (ptrace(2)), answers the notification with the
// kernel's own ERESTARTNOINTR and changes the call that is then restarted into ppoll(NULL, 0, NULL, NULL),
// which idles until a signal comes. Whatever ends that wait, the caller's registers are put back and it is let
// go, with the kernel's restart codes doing the rest (arch/x86/kernel/signal.c):
//
// - a result: it is written into the registers, or the call is restarted and answered by notification;
// - a signal, or a stop: ERESTARTSYS, so the kernel returns EINTR or restarts the call, as the disposition
//   of the signal says. Signals that are ignored do not end the wait, as they would not end a real call.
//
// There is a thread for each parked call because ptrace requests belong to the thread that attached, and
// because attaching can have to wait for an execve(2) that itself waits until another tracee is reaped.
class ParkedCall {
 public:
  // How the caller was let go.
  enum class Outcome {
    kRefused,      // it never was held: the notification is still to be answered
    kInterrupted,  // by a signal; if its call is restarted, that is a new notification
    kGone,         // it has ended
    kSettled,      // with its result, or into a restart that was asked for
  };
  // Who delivers a result.
  enum class Delivery {
    kByNotification,  // the notification stands: answer it
    kTaken,           // the caller gets it when it is let go
    kTooLate,         // the caller was interrupted or has ended
  };

  // For thread `tid`, which waits in notification `id` of `listener` (which is duplicated). `report` is called
  // once, as the last act of the thread that start() makes.
  ParkedCall(int listener, uint64_t id, pid_t tid, std::function<void(Outcome)> report);
  // Waits for the thread; settle() before that, or it may take as long as the call.
  ~ParkedCall();
  ParkedCall(const ParkedCall&) = delete;
  ParkedCall& operator=(const ParkedCall&) = delete;

  // Starts parking. 0, or a negated errno.
  int Start();
  // The call has a result: lets the caller go with it (a negated errno is an error), or, without `value`,
  // makes it repeat the call, which becomes a new notification.
  Delivery Settle(std::optional<int64_t> value);
  // True while the caller is held, so that its thread id is its own.
  bool Holds();

 private:
  enum class Stage { kAttaching, kRefused, kHeld, kLeft };

  void Run();
  std::optional<Outcome> Attach();
  void Withdraw();
  Outcome Attend();
  std::optional<Outcome> Stopped(int status);
  std::optional<Outcome> Idle();
  std::optional<Outcome> Leave(int signal);

  const int listener_;
  const uint64_t id_;
  const pid_t tid_;
  const std::function<void(Outcome)> report_;
  std::thread thread_;
  std::optional<user_regs_struct> original_;  // registers at the first stop; of the thread only

  std::mutex mutex_;  // guards what follows; never held while waiting for the caller
  Stage stage_ = Stage::kAttaching;
  bool settled_ = false;
  std::optional<int64_t> value_;
};

}  // namespace umvu
