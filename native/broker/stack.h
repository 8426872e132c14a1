// A network stack of the kernel: a network namespace, a thread that lives in it, its interfaces.
#ifndef UMVU_BROKER_STACK_H_
#define UMVU_BROKER_STACK_H_

#include <pthread.h>
#include <semaphore.h>
#include <sys/types.h>

#include <string>
#include <vector>

#include "protocol.h"
#include "unique_fd.h"

namespace umvu::broker {

// A thread that sleeps from its first moment to the last: as long as it does,
// /proc/PID/task/TID/net shows the network namespace that its maker was in.
class ParkedThread {
 public:
  ParkedThread();
  ~ParkedThread();
  ParkedThread(const ParkedThread&) = delete;
  ParkedThread& operator=(const ParkedThread&) = delete;
  pid_t tid() const { return tid_; }
  // Lets it close `fds` and end; the destructor waits for that. Closing a packet socket takes 15
  // ms, in which the kernel waits for the readers of its list: several threads wait together.
  void Release(std::vector<UniqueFd> fds);

 private:
  static void* Run(void* self);

  bool released_ = false;
  std::vector<UniqueFd> last_fds_;
  sem_t started_;
  sem_t release_;
  pthread_t thread_{};
  pid_t tid_ = 0;
};

// What an interface was made of.
struct Interface {
  Carrier carrier;
  UniqueFd fd;
};

class Stack {
 public:
  // Must be made by a thread that is in `ns`, the new network namespace of the stack.
  explicit Stack(UniqueFd ns) : ns_(std::move(ns)) {}
  Stack(const Stack&) = delete;
  Stack& operator=(const Stack&) = delete;

  int ns() const { return ns_.get(); }
  pid_t tid() const { return thread_.tid(); }
  // Gives back the namespace and all that holds it, except the far ends. The destructor waits for
  // it.
  void Release();
  // Names of the backstage ends of its veth pairs.
  const std::vector<std::string>& far_ends() const { return far_ends_; }

  // Adds interface `name`; called in `backstage`, the namespace where the far ends of pairs live.
  // `far_name` must be new there.
  Interface AddInterface(const std::string& name, unsigned mtu, Carrier wanted,
                         const std::string& far_name, int backstage);

 private:
  UniqueFd ns_;
  ParkedThread thread_;
  std::vector<std::string> far_ends_;
  // Copies of the packet sockets: so it is the broker, not the supervisor, that closes the last
  // one.
  std::vector<UniqueFd> packet_sockets_;
};

// Settings of a new network namespace that the calling thread is in: `lo` is up, every user may
// bind any port and ping. A text for the user where that is not so for everybody: /proc/sys is
// read-only in some containers. The owner of the namespace needs none of these settings.
std::string PrepareStackNamespace();

// Settings of the namespace of the far ends of veth pairs: its kernel says nothing on them.
void PrepareBackstage();

}  // namespace umvu::broker

#endif  // UMVU_BROKER_STACK_H_
