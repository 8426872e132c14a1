#include "error.h"

#include <cstring>

namespace umvu::broker {

void FailSystem(const std::string& what) {
  const int error = errno;
  throw Failure(error, what + ": " + std::strerror(error));
}

}  // namespace umvu::broker
