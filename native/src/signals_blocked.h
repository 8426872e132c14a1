#pragma once

#include <pthread.h>
#include <signal.h>

namespace umvu {

// Blocks the signals of the calling thread while it lives. A thread that is made meanwhile inherits the mask, so
// that the signals of the process stay with Node's threads; `except` is left open (0: none).
class SignalsBlocked {
 public:
  explicit SignalsBlocked(int except = 0) {
    sigset_t blocked;
    sigfillset(&blocked);
    if (except != 0) sigdelset(&blocked, except);
    pthread_sigmask(SIG_SETMASK, &blocked, &before_);
  }
  ~SignalsBlocked() { pthread_sigmask(SIG_SETMASK, &before_, nullptr); }
  SignalsBlocked(const SignalsBlocked&) = delete;
  SignalsBlocked& operator=(const SignalsBlocked&) = delete;

 private:
  sigset_t before_;
};

}  // namespace umvu
