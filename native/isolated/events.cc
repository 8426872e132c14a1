#include "events.h"

#include <sys/epoll.h>
#include <sys/socket.h>

#include <cerrno>

#include "protocol.h"

namespace umvu::isolated {

void Events::tell(uint64_t id, uint32_t event, int value) {
  const Event record{id, event, value};
  kept_.append(reinterpret_cast<const char*>(&record), sizeof record);
  flush();
}

void Events::flush() {
  std::size_t done = 0;
  while (done < kept_.size()) {
    const ssize_t sent = send(fd_, kept_.data() + done, kept_.size() - done, MSG_DONTWAIT | MSG_NOSIGNAL);
    if (sent < 0 && errno == EINTR) continue;
    // Without a supervisor nobody wants to know; the requests end too.
    if (sent < 0 && errno != EAGAIN) done = kept_.size();
    if (sent <= 0) break;
    done += static_cast<std::size_t>(sent);
  }
  kept_.erase(0, done);
  const bool waits = !kept_.empty();
  if (waits == waits_) return;
  waits_ = waits;
  if (waits) {
    pump_->watch(fd_, EPOLLOUT, this);
  } else {
    pump_->unwatch(fd_);
  }
}

void Events::shut() {
  if (waits_) pump_->unwatch(fd_);
  waits_ = false;
}

}  // namespace umvu::isolated
