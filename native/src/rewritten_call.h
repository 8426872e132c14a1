#pragma once

#include <sys/types.h>
#include <sys/user.h>

#include <array>
#include <cstdint>
#include <functional>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

namespace umvu {

// A call that a guest is to make in the place of the one that it waits in.
struct Substitute {
  long number = 0;
  std::array<uint64_t, 6> arguments{};
  // Of ours, perhaps made with O_PATH: a copy is lent to the guest for the time of the call; -1 for none.
  int descriptor = -1;
  // The argument that takes the number of the copy; -1 for none.
  int descriptor_argument = -1;
  // Where the substitute is an execve of umvu-exec (guests/libexec): what that executes. Its arguments are those
  // of the first execve with `arguments_in_front` in the place of argv[0].
  struct Program {
    std::string path;
    int descriptor = -1;  // of ours: the program itself, instead of a path
    std::vector<std::string> arguments_in_front;
  };
  std::optional<Program> program;
};

// Makes a guest thread that waits in a notification do another system call, whose result the trapped one has.
//
// A notification can be answered with a value but cannot change a call. So a thread of ours seizes the caller
// (ptrace(2)), answers the notification, and takes the stop that follows. With signals blocked, the caller then
// does the substitute from its own system call instruction, gives the lent descriptor back in the same way, gets
// its registers and its signal mask back, and is let go. No memory of the guest is written, because there is none
// that may be: children made with vfork(2) share theirs, and the stack of a goroutine ends where it ends.
//
// An execve(2) needs a path in memory even so, unless it is execveat(2) of a descriptor with an empty path. One
// that needs other arguments too is done twice: first of umvu-exec, which gives the caller memory of its own with
// all arguments in it, and from there with the arguments changed.
//
// There is a thread for each because ptrace requests belong to the thread that attached, and the JavaScript thread
// must stay free for the notification of the substitute itself, which is to be let pass: see Runs().
class RewrittenCall {
 public:
  enum class Outcome {
    kRefused,  // the caller has another tracer, or is not ours to trace: the notification is still to be answered
    kGone,     // it has ended
    kDone,     // it was let go, with the result
  };

  // For thread `tid`, which waits in notification `id` of `listener`; the listener and the descriptor are
  // duplicated. `report` is called once, with the result of the call, as the last act of the thread.
  RewrittenCall(int listener, uint64_t id, pid_t tid, Substitute substitute,
                std::function<void(Outcome, int64_t)> report);
  // Waits for the thread.
  ~RewrittenCall();
  RewrittenCall(const RewrittenCall&) = delete;
  RewrittenCall& operator=(const RewrittenCall&) = delete;

  // 0, or a negated errno.
  int Start();
  // True while thread `tid` is about a call that we make it do.
  bool Runs(pid_t tid);
  // Ends the caller, so that the thread ends soon.
  void Kill();

 private:
  enum class Stop { kGone, kExecuted, kReturned };

  void Run();
  Outcome Perform();
  int64_t Lend();
  int Put(int descriptor, int flags);
  bool Fetch();
  bool Answer(int64_t error);
  void Withdraw();
  Outcome Substituted();
  Outcome ExecuteProgram();
  std::optional<std::array<uint64_t, 3>> PlaceArguments(uint64_t stack);
  bool Wait(int* status);
  Stop Execute(long number, const std::array<uint64_t, 6>& arguments);
  Stop Return();
  Outcome Release(const user_regs_struct* registers);

  const int listener_;
  const uint64_t id_;
  Substitute substitute_;
  bool complete_ = false;  // all descriptors could be duplicated
  const std::function<void(Outcome, int64_t)> report_;
  std::thread thread_;

  // Of the thread only.
  user_regs_struct original_{};
  user_regs_struct at_call_{};  // about to execute a system call instruction
  std::optional<uint64_t> signal_mask_;
  bool fetched_ = false;
  std::vector<int> lent_;  // numbers of the guest
  int64_t result_ = 0;

  std::mutex mutex_;  // guards what follows
  pid_t tid_;         // changes when a thread other than the main one executes a program
  bool held_ = false;
};

}  // namespace umvu
