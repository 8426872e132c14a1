#include "rewritten_call.h"

#include <fcntl.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <system_error>

#include "signals_blocked.h"

namespace umvu {
namespace {

// The kernel's code for "repeat the call"; here only to get out of the old one.
constexpr int kRestartNoInterrupt = 513;
// Length of the `syscall` instruction of x86-64; calls by other instructions do not pass our filter.
constexpr uint64_t kInstruction = 2;
// Bytes below the stack pointer that the ABI lets a function use.
constexpr uint64_t kRedZone = 128;
constexpr int kSyscallStop = SIGTRAP | 0x80;  // PTRACE_O_TRACESYSGOOD

bool Write(pid_t tid, uint64_t address, const void* bytes, size_t length) {
  iovec local{const_cast<void*>(bytes), length};
  iovec remote{reinterpret_cast<void*>(address), length};
  return process_vm_writev(tid, &local, 1, &remote, 1, 0) == static_cast<ssize_t>(length);
}

}  // namespace

RewrittenCall::RewrittenCall(int listener, uint64_t id, pid_t tid, Substitute substitute,
                             std::function<void(Outcome, int64_t)> report)
    : listener_(fcntl(listener, F_DUPFD_CLOEXEC, 3)),
      id_(id),
      substitute_(std::move(substitute)),
      report_(std::move(report)),
      tid_(tid) {
  const auto copy = [](int& descriptor) {
    if (descriptor >= 0) descriptor = fcntl(descriptor, F_DUPFD_CLOEXEC, 3);
    return descriptor >= 0;
  };
  complete_ = copy(substitute_.descriptor) || substitute_.descriptor_argument < 0;
  if (substitute_.program && substitute_.program->descriptor >= 0) complete_ &= copy(substitute_.program->descriptor);
}

RewrittenCall::~RewrittenCall() {
  if (thread_.joinable()) thread_.join();
  if (listener_ >= 0) close(listener_);
  if (substitute_.descriptor >= 0) close(substitute_.descriptor);
  if (substitute_.program && substitute_.program->descriptor >= 0) close(substitute_.program->descriptor);
}

int RewrittenCall::Start() {
#if defined(__x86_64__)
  if (listener_ < 0 || !complete_) return -EMFILE;
  // No signal of the process is for the thread.
  const SignalsBlocked blocked;
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

bool RewrittenCall::Runs(pid_t tid) {
  const std::lock_guard lock(mutex_);
  return held_ && tid_ == tid;
}

void RewrittenCall::Kill() {
  const std::lock_guard lock(mutex_);
  // While it is held its id is its own.
  if (held_) syscall(SYS_tkill, tid_, SIGKILL);
}

void RewrittenCall::Run() {
  const Outcome outcome = Perform();
  {
    const std::lock_guard lock(mutex_);
    held_ = false;
  }
  report_(outcome, result_);
}

RewrittenCall::Outcome RewrittenCall::Perform() {
  // Should we be killed, the caller must not go on in the middle of another call.
  constexpr long kOptions = PTRACE_O_EXITKILL | PTRACE_O_TRACESYSGOOD | PTRACE_O_TRACEEXEC;
  if (ptrace(PTRACE_SEIZE, tid_, 0, kOptions) != 0) return Outcome::kRefused;
  ptrace(PTRACE_INTERRUPT, tid_, 0, 0);
  const int64_t error = Lend();
  {
    const std::lock_guard lock(mutex_);
    held_ = Answer(error != 0 ? error : -kRestartNoInterrupt);
  }
  if (!held_) {
    // The caller was killed, or its thread id is another's by now.
    Withdraw();
    return Outcome::kGone;
  }
  int status;
  if (!Wait(&status)) return Outcome::kGone;
  if (error != 0) {
    result_ = error;
    return Release(nullptr);
  }
  return Substituted();
}

// Puts the descriptors into the guest. 0, or the negated errno that the call then fails with. Descriptors made with
// O_PATH cannot be put into others: the guest gets a pidfd of ours, with which it then fetches one.
int64_t RewrittenCall::Lend() {
  if (substitute_.program && substitute_.program->descriptor >= 0) {
    // It has to last until the second execve.
    const int error = Put(substitute_.program->descriptor, 0);
    if (error != 0) return error;
  }
  if (substitute_.descriptor < 0) return 0;
  const int flags = fcntl(substitute_.descriptor, F_GETFL);
  fetched_ = flags >= 0 && (flags & O_PATH);
  if (!fetched_) return Put(substitute_.descriptor, O_CLOEXEC);
  const int pidfd = static_cast<int>(syscall(SYS_pidfd_open, getpid(), 0));
  if (pidfd < 0) return -errno;
  const int error = Put(pidfd, O_CLOEXEC);
  close(pidfd);
  return error;
}

// Puts a copy of `descriptor` into the guest. 0, or a negated errno.
int RewrittenCall::Put(int descriptor, int flags) {
  seccomp_notif_addfd request{};
  request.id = id_;
  request.srcfd = static_cast<uint32_t>(descriptor);
  request.newfd_flags = static_cast<uint32_t>(flags);
  const int number = ioctl(listener_, SECCOMP_IOCTL_NOTIF_ADDFD, &request);
  if (number < 0) return -errno;
  lent_.push_back(number);
  return 0;
}

// Lets the guest fetch the descriptor, where it could not be put there. False when the guest has ended.
bool RewrittenCall::Fetch() {
  const auto source = static_cast<uint64_t>(substitute_.descriptor);
  if (Execute(SYS_pidfd_getfd, {static_cast<uint64_t>(lent_.back()), source}) != Stop::kReturned) return false;
  if (result_ >= 0) lent_.push_back(static_cast<int>(result_));
  return true;
}

bool RewrittenCall::Answer(int64_t error) {
  seccomp_notif_resp response{};
  response.id = id_;
  response.error = static_cast<int32_t>(error);
  return ioctl(listener_, SECCOMP_IOCTL_NOTIF_SEND, &response) == 0;
}

// Lets a thread go that was seized but does not wait in our notification.
void RewrittenCall::Withdraw() {
  int status;
  while (waitpid(tid_, &status, __WALL | __WNOTHREAD) == tid_ && WIFSTOPPED(status)) {
    const int signal = status >> 16 ? 0 : WSTOPSIG(status);
    ptrace(PTRACE_DETACH, tid_, 0, signal);
  }
}

// Waits for the next stop; false when the caller has ended.
bool RewrittenCall::Wait(int* status) {
  for (;;) {
    // A thread that executes a program goes on as the main thread, so any of our tracees: there is one.
    const pid_t pid = waitpid(-1, status, __WALL | __WNOTHREAD);
    if (pid < 0 && errno == EINTR) continue;
    if (pid < 0) return false;
    if (!WIFSTOPPED(*status)) continue;
    const std::lock_guard lock(mutex_);
    tid_ = pid;
    return true;
  }
}

RewrittenCall::Outcome RewrittenCall::Substituted() {
  if (ptrace(PTRACE_GETREGS, tid_, 0, &original_) != 0) return Outcome::kGone;
  at_call_ = original_;
  at_call_.rip -= kInstruction;
  uint64_t mask = 0, all = ~uint64_t{0};
  if (ptrace(PTRACE_GETSIGMASK, tid_, sizeof mask, &mask) != 0) return Outcome::kGone;
  if (ptrace(PTRACE_SETSIGMASK, tid_, sizeof all, &all) != 0) return Outcome::kGone;
  signal_mask_ = mask;
  if (fetched_ && !Fetch()) return Outcome::kGone;
  if (result_ >= 0) {
    if (substitute_.descriptor_argument >= 0) {
      substitute_.arguments.at(static_cast<size_t>(substitute_.descriptor_argument)) =
          static_cast<uint64_t>(lent_.back());
    }
    const Stop stop = Execute(substitute_.number, substitute_.arguments);
    if (stop == Stop::kGone) return Outcome::kGone;
    if (stop == Stop::kExecuted) return substitute_.program ? ExecuteProgram() : Release(nullptr);
  }
  const int64_t result = result_;
  for (const int number : lent_) {
    if (Execute(SYS_close, {static_cast<uint64_t>(number)}) != Stop::kReturned) return Outcome::kGone;
  }
  result_ = result;
  user_regs_struct registers = original_;
  registers.rax = static_cast<uint64_t>(result);
  registers.orig_rax = ~uint64_t{0};  // not in a system call: there is nothing to restart
  return Release(&registers);
}

// The caller is at the start of umvu-exec, whose first instruction is a system call.
RewrittenCall::Outcome RewrittenCall::ExecuteProgram() {
  // The first execve has yet to return, which sets a register.
  if (Return() != Stop::kReturned) return Outcome::kGone;
  if (ptrace(PTRACE_GETREGS, tid_, 0, &at_call_) != 0) return Outcome::kGone;
  if (const auto placed = PlaceArguments(at_call_.rsp)) {
    const auto& [path, argv, envp] = *placed;
    Stop stop;
    if (substitute_.program->descriptor >= 0) {
      const auto number = static_cast<uint64_t>(lent_.front());
      if (Execute(SYS_fcntl, {number, F_SETFD, FD_CLOEXEC}) != Stop::kReturned) return Outcome::kGone;
      stop = Execute(SYS_execveat, {number, path, argv, envp, AT_EMPTY_PATH});
    } else {
      stop = Execute(SYS_execve, {path, argv, envp});
    }
    if (stop == Stop::kExecuted) return Release(nullptr);
    if (stop == Stop::kGone) return Outcome::kGone;
  }
  // There is no caller any more that an errno could go to. The kernel does the same where execve fails this late.
  Kill();
  int status;
  while (Wait(&status)) ptrace(PTRACE_CONT, tid_, 0, 0);
  return Outcome::kGone;
}

// Puts path and arguments on the stack of a program that has just started: addresses of the path, of argv and of
// envp. The new argv begins below the old one and goes on with it, so its length does not matter.
std::optional<std::array<uint64_t, 3>> RewrittenCall::PlaceArguments(uint64_t stack) {
  uint64_t count = 0;
  iovec local{&count, sizeof count};
  iovec remote{reinterpret_cast<void*>(stack), sizeof count};
  if (process_vm_readv(tid_, &local, 1, &remote, 1, 0) != sizeof count) return std::nullopt;
  const auto& texts = substitute_.program->arguments_in_front;
  const uint64_t argv = stack + 2 * sizeof count - texts.size() * sizeof count;
  const uint64_t envp = stack + (2 + count) * sizeof count;
  std::string bytes = substitute_.program->path + '\0';
  std::vector<uint64_t> pointers;
  for (const std::string& text : texts) {
    pointers.push_back(bytes.size());
    bytes += text + '\0';
  }
  const uint64_t base = std::min(argv, stack) - kRedZone - bytes.size();
  for (uint64_t& pointer : pointers) pointer += base;
  const bool written = Write(tid_, base, bytes.data(), bytes.size()) &&
                       Write(tid_, argv, pointers.data(), pointers.size() * sizeof pointers[0]);
  if (!written) return std::nullopt;
  return std::array{base, argv, envp};
}

// Lets the stopped caller do a system call. When it has returned, the result is in result_.
RewrittenCall::Stop RewrittenCall::Execute(long number, const std::array<uint64_t, 6>& arguments) {
  user_regs_struct registers = at_call_;
  registers.rax = static_cast<uint64_t>(number);
  registers.orig_rax = ~uint64_t{0};
  registers.rdi = arguments[0];
  registers.rsi = arguments[1];
  registers.rdx = arguments[2];
  registers.r10 = arguments[3];
  registers.r8 = arguments[4];
  registers.r9 = arguments[5];
  if (ptrace(PTRACE_SETREGS, tid_, 0, &registers) != 0) return Stop::kGone;
  return Return();
}

// Lets the stopped caller go on to the end of the system call that it is in or about to make.
RewrittenCall::Stop RewrittenCall::Return() {
  for (int signal = 0;;) {
    // Where a request fails the caller was killed, which the wait tells.
    ptrace(PTRACE_SYSCALL, tid_, 0, signal);
    int status;
    if (!Wait(&status)) return Stop::kGone;
    const int event = status >> 16;
    // Group stops are passed over; letting go makes the kernel stop the thread after all.
    signal = event == 0 && WSTOPSIG(status) != kSyscallStop ? WSTOPSIG(status) : 0;
    if (event == PTRACE_EVENT_EXEC) return Stop::kExecuted;
    if (event != 0 || WSTOPSIG(status) != kSyscallStop) continue;
    __ptrace_syscall_info info{};
    if (ptrace(PTRACE_GET_SYSCALL_INFO, tid_, sizeof info, &info) <= 0) continue;
    if (info.op != PTRACE_SYSCALL_INFO_EXIT) continue;
    result_ = info.exit.rval;
    return Stop::kReturned;
  }
}

// Lets the caller go, with these registers if they have to change.
RewrittenCall::Outcome RewrittenCall::Release(const user_regs_struct* registers) {
  if (registers && ptrace(PTRACE_SETREGS, tid_, 0, registers) != 0) return Outcome::kGone;
  if (signal_mask_) ptrace(PTRACE_SETSIGMASK, tid_, sizeof *signal_mask_, &*signal_mask_);
  {
    const std::lock_guard lock(mutex_);
    held_ = false;
  }
  return ptrace(PTRACE_DETACH, tid_, 0, 0) == 0 ? Outcome::kDone : Outcome::kGone;
}

}  // namespace umvu
