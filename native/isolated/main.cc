// umvu-lwip: one stack in user space in a process of its own. Started by the runtime (runtime/ioth/lwip/isolated) with
// the sockets of protocol.h as descriptors 3 and 4; ends with them.
#include <linux/capability.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cstdio>

#include "server.h"
#include "status.h"

namespace {

constexpr int kRequests = 3;
constexpr int kEvents = 4;

bool is_socket(int fd, int wanted) {
  int type = 0;
  socklen_t size = sizeof type;
  return getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &size) == 0 && type == wanted;
}

// All input is hostile: what is not needed is given up. Errors leave the process as it was.
void give_up_privileges() {
  __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
  const __user_cap_data_struct none[2] = {};
  if (syscall(SYS_capset, &header, none) != 0) std::perror("umvu-lwip: capset");
  if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) std::perror("umvu-lwip: prctl");
}

// Some descriptors for each socket of a guest: as many as may be.
void raise_file_limit() {
  rlimit limit{};
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
  limit.rlim_cur = limit.rlim_max;
  setrlimit(RLIMIT_NOFILE, &limit);
}

}  // namespace

int main() {
  // A process that hangs in a loop does not see the end of its sockets.
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  // The terminal's signals are for the guests.
  for (const int number : {SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGTSTP, SIGPIPE}) signal(number, SIG_IGN);
  if (!is_socket(kRequests, SOCK_SEQPACKET) || !is_socket(kEvents, SOCK_STREAM)) {
    std::fputs("umvu-lwip: started by umvu, not by hand (descriptors 3 and 4 are not its sockets)\n", stderr);
    return umvu::isolated::kUsage;
  }
  if (close_range(kEvents + 1, ~0U, 0) != 0) std::perror("umvu-lwip: close_range");
  raise_file_limit();
  give_up_privileges();
  // Where it was started must not stay busy.
  if (chdir("/") != 0) std::perror("umvu-lwip: chdir");
  umvu::isolated::Server server(kRequests, kEvents);
  return server.run();
}
