#include "parked_call.h"

#include <fcntl.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <system_error>

#include "proc_status.h"
#include "signals_blocked.h"

namespace umvu {
namespace {

// Codes by which the kernel tells itself how to go on after an interrupted call (include/linux/errno.h).
constexpr int kRestartSys = 512;          // after SA_RESTART handlers and without any; else EINTR
constexpr int kRestartNoInterrupt = 513;  // always

// Runs in a parking thread, whose wait for the tracee it need not end: the interruption makes the tracee stop,
// and that is reported, whether the wait has begun or not. On a thread that is no tracee of ours it fails.
void OnWake(int, siginfo_t* info, void*) {
  const int saved = errno;
  ptrace(PTRACE_INTERRUPT, info->si_value.sival_int, 0, 0);
  errno = saved;
}

// The signal that wakes parking threads: the last real-time signal that nobody uses, or -1. Signal handlers
// belong to the whole process, hence the static.
int WakeSignal() {
  static const int number = [] {
    for (int candidate = SIGRTMAX; candidate >= SIGRTMIN; candidate--) {
      struct sigaction action {};
      if (sigaction(candidate, nullptr, &action) != 0 || action.sa_handler != SIG_DFL) continue;
      action.sa_sigaction = OnWake;
      action.sa_flags = SA_SIGINFO | SA_RESTART;
      sigfillset(&action.sa_mask);
      if (sigaction(candidate, &action, nullptr) == 0) return candidate;
    }
    return -1;
  }();
  return number;
}

// Would the kernel discard the signal? Then a real call would not have noticed it.
bool Ignored(pid_t tid, int signal) {
  const ProcStatus status(tid);
  const uint64_t bit = uint64_t{1} << (signal - 1);
  const auto ignored = status.Hex("SigIgn");
  const auto caught = status.Hex("SigCgt");
  if (!ignored || !caught || (*caught & bit)) return false;
  if (*ignored & bit) return true;
  return signal == SIGCHLD || signal == SIGCONT || signal == SIGURG || signal == SIGWINCH;
}

// A guest with a filter of its own (a sandbox) may forbid ppoll, perhaps at the price of its life.
bool HasOwnFilter(pid_t tid) {
  static const auto ours = ProcStatus(getpid()).Decimal("Seccomp_filters");
  const auto its = ProcStatus(tid).Decimal("Seccomp_filters");
  return !ours || !its || *its > *ours + 1;
}

}  // namespace

ParkedCall::ParkedCall(int listener, uint64_t id, pid_t tid, std::function<void(Outcome)> report)
    : listener_(fcntl(listener, F_DUPFD_CLOEXEC, 3)), id_(id), tid_(tid), report_(std::move(report)) {}

ParkedCall::~ParkedCall() {
  if (thread_.joinable()) thread_.join();
  if (listener_ >= 0) close(listener_);
}

int ParkedCall::Start() {
#if defined(__x86_64__)
  if (listener_ < 0) return -EMFILE;
  if (WakeSignal() < 0) return -EAGAIN;
  // No signal of the process is for the thread, but the one that wakes it.
  const SignalsBlocked blocked(WakeSignal());
  try {
    thread_ = std::thread([this] { Run(); });
  } catch (const std::system_error& failure) {
    return -failure.code().value();
  }
  return 0;
#else
  return -ENOSYS;
#endif
}

ParkedCall::Delivery ParkedCall::Settle(std::optional<int64_t> value) {
  const std::lock_guard lock(mutex_);
  if (stage_ == Stage::kLeft) return Delivery::kTooLate;
  settled_ = true;
  value_ = value;
  if (stage_ != Stage::kHeld) return Delivery::kByNotification;
  // The thread cannot have ended: before that it sets kLeft under the lock.
  sigval tid{};
  tid.sival_int = tid_;
  pthread_sigqueue(thread_.native_handle(), WakeSignal(), tid);
  return Delivery::kTaken;
}

bool ParkedCall::Holds() {
  const std::lock_guard lock(mutex_);
  return stage_ == Stage::kHeld;
}

void ParkedCall::Run() {
  std::optional<Outcome> end = Attach();
  if (!end) end = Attend();
  {
    const std::lock_guard lock(mutex_);
    stage_ = end == Outcome::kRefused ? Stage::kRefused : Stage::kLeft;
  }
  report_(*end);
}

// From the notification into the hands of this thread, without an outcome, unless a result was there first.
// The lock makes sure that exactly one of us and Settle() has the notification to answer.
std::optional<ParkedCall::Outcome> ParkedCall::Attach() {
  if (HasOwnFilter(tid_)) return Outcome::kRefused;
  std::unique_lock lock(mutex_);
  if (settled_) return Outcome::kRefused;
  // Should we be killed, the caller must not go on with the registers of another call.
  if (ptrace(PTRACE_SEIZE, tid_, 0, PTRACE_O_EXITKILL) != 0) return Outcome::kRefused;
  ptrace(PTRACE_INTERRUPT, tid_, 0, 0);
  seccomp_notif_resp response{};
  response.id = id_;
  response.error = -kRestartNoInterrupt;
  if (ioctl(listener_, SECCOMP_IOCTL_NOTIF_SEND, &response) != 0) {
    // The caller was killed, or its thread id is another's by now.
    stage_ = Stage::kLeft;
    lock.unlock();
    Withdraw();
    return Outcome::kGone;
  }
  stage_ = Stage::kHeld;
  return std::nullopt;
}

// Lets a thread go that was seized but does not wait in our notification.
void ParkedCall::Withdraw() {
  int status;
  while (waitpid(tid_, &status, __WALL | __WNOTHREAD) == tid_ && WIFSTOPPED(status)) {
    const int signal = status >> 16 ? 0 : WSTOPSIG(status);
    ptrace(PTRACE_DETACH, tid_, 0, signal);
  }
}

ParkedCall::Outcome ParkedCall::Attend() {
  for (;;) {
    int status = 0;
    const pid_t pid = waitpid(tid_, &status, __WALL | __WNOTHREAD);
    if (pid < 0 && errno == EINTR) continue;
    // A main thread whose process is replaced by execve(2) of another thread just disappears (ECHILD).
    if (pid < 0 || !WIFSTOPPED(status)) return Outcome::kGone;
    // Where a request fails the caller was killed while it stopped, which the next wait will tell.
    if (const auto outcome = Stopped(status)) return *outcome;
  }
}

// Decides what a stop means; without an outcome the wait goes on.
std::optional<ParkedCall::Outcome> ParkedCall::Stopped(int status) {
  if (!original_) {
    user_regs_struct registers;
    if (ptrace(PTRACE_GETREGS, tid_, 0, &registers) != 0) return std::nullopt;
    original_ = registers;
  }
  const int signal = WSTOPSIG(status);
  const bool event = status >> 16 == PTRACE_EVENT_STOP;
  bool settled;
  {
    const std::lock_guard lock(mutex_);
    settled = settled_;
  }
  // Of the process (SIGSTOP and the like): let go, it stops as it would without us.
  if (event && signal != SIGTRAP) return Leave(0);
  if (event) return settled ? Leave(0) : Idle();
  return !settled && Ignored(tid_, signal) ? Idle() : Leave(signal);
}

// Lets the caller wait in ppoll(NULL, 0, NULL, NULL).
std::optional<ParkedCall::Outcome> ParkedCall::Idle() {
  user_regs_struct registers = *original_;
  registers.orig_rax = SYS_ppoll;
  registers.rax = static_cast<uint64_t>(-kRestartNoInterrupt);
  registers.rdi = registers.rsi = registers.rdx = registers.r10 = registers.r8 = 0;
  if (ptrace(PTRACE_SETREGS, tid_, 0, &registers) == 0) ptrace(PTRACE_CONT, tid_, 0, 0);
  return std::nullopt;
}

// Gives the caller its registers back and lets it go, with the signal (if not 0) that it stopped for.
std::optional<ParkedCall::Outcome> ParkedCall::Leave(int signal) {
  user_regs_struct registers = *original_;
  bool settled;
  {
    const std::lock_guard lock(mutex_);
    stage_ = Stage::kLeft;
    settled = settled_;
    if (settled && value_) {
      registers.rax = static_cast<uint64_t>(*value_);
      registers.orig_rax = ~uint64_t{0};  // not in a system call: there is nothing to restart
    } else {
      registers.rax = static_cast<uint64_t>(settled ? -kRestartNoInterrupt : -kRestartSys);
    }
  }
  if (ptrace(PTRACE_SETREGS, tid_, 0, &registers) != 0) return std::nullopt;
  if (ptrace(PTRACE_DETACH, tid_, 0, signal) != 0) return std::nullopt;
  return settled ? Outcome::kSettled : Outcome::kInterrupted;
}

}  // namespace umvu
