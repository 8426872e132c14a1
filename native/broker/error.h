#ifndef UMVU_BROKER_ERROR_H_
#define UMVU_BROKER_ERROR_H_

#include <cerrno>
#include <stdexcept>
#include <string>

namespace umvu::broker {

// Why a request failed: the errno of the reply, and its reason.
class Failure : public std::runtime_error {
 public:
  Failure(int error, const std::string& reason) : std::runtime_error(reason), error_(error) {}
  int error() const { return error_; }

 private:
  int error_;
};

// Throws the Failure of the system call or file `what`, with `errno`.
[[noreturn]] void FailSystem(const std::string& what);

// Returns `result` of the system call `what` unless it is negative, which fails.
inline int CheckSystem(int result, const char* what) {
  if (result < 0) FailSystem(what);
  return result;
}

}  // namespace umvu::broker

#endif  // UMVU_BROKER_ERROR_H_
