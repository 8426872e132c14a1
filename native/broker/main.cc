// umvu-broker: owns the network namespaces of one virtual machine. Started by the runtime
// (runtime/ioth/vdestack/broker.ts) with a SOCK_SEQPACKET socket as descriptor 3; ends with it.
#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstdio>

#include "server.h"

namespace {

constexpr int kChannel = 3;

// The terminal's signals are for the guests. The broker ends when its work does.
void LeaveTerminal() {
  setsid();  // Fails when the runtime has done it for us.
  for (const int number : {SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGTSTP, SIGPIPE}) {
    signal(number, SIG_IGN);
  }
}

// One descriptor per stack: as many as may be.
void RaiseFileLimit() {
  rlimit limit{};
  if (getrlimit(RLIMIT_NOFILE, &limit) < 0) return;
  limit.rlim_cur = limit.rlim_max;
  setrlimit(RLIMIT_NOFILE, &limit);
}

}  // namespace

int main() {
  LeaveTerminal();
  int type = 0;
  socklen_t size = sizeof type;
  if (getsockopt(kChannel, SOL_SOCKET, SO_TYPE, &type, &size) < 0 || type != SOCK_SEQPACKET) {
    std::fputs("umvu-broker: started by umvu, not by hand (descriptor 3 is not its socket)\n",
               stderr);
    return 2;
  }
  fcntl(kChannel, F_SETFD, FD_CLOEXEC);
  // Whoever stopped this process, it cleans up when the supervisor dies.
  prctl(PR_SET_PDEATHSIG, SIGCONT);
  if (close_range(kChannel + 1, ~0U, 0) < 0) std::perror("umvu-broker: close_range");
  RaiseFileLimit();
  // Where it was started must not stay busy.
  if (chdir("/") < 0) std::perror("umvu-broker: chdir");
  umvu::broker::Server server(kChannel);
  return server.Run();
}
