// Reads requests, answers them.
#ifndef UMVU_BROKER_SERVER_H_
#define UMVU_BROKER_SERVER_H_

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "janitor.h"
#include "protocol.h"
#include "stack.h"
#include "unique_fd.h"

namespace umvu::broker {

class Server {
 public:
  // `channel` is the socket to the supervisor; not owned.
  explicit Server(int channel) : channel_(channel) {}

  // Serves until the supervisor closes its end, then removes what it left. Returns the exit status.
  int Run();

 private:
  struct Reply {
    int32_t result = 0;
    std::vector<UniqueFd> fds;
    std::string reason;
  };

  Reply Answer(const char* message, size_t size);
  Reply Dispatch(const RequestHeader& request, const std::string& text);
  // False when the supervisor is gone.
  bool Send(const Reply& reply);

  Reply AddStack(const RequestHeader& request);
  Reply AddInterface(const RequestHeader& request, const std::string& name);
  Reply MakeSockets(const RequestHeader& request);
  Reply MountSysfs(const RequestHeader& request);
  Reply DelStack(const RequestHeader& request);
  // Waits for the next request; removes what waits for its removal when none comes for a while.
  void AwaitRequest();
  // Gets ready for the first stack.
  void Prepare();
  Stack& Find(uint32_t id);

  int channel_;
  Janitor janitor_;
  // The namespace of the main thread between requests, and of the far ends of veth pairs.
  UniqueFd backstage_;
  std::map<uint32_t, std::unique_ptr<Stack>> stacks_;
  uint32_t far_ends_ = 0;
  // Stacks that were released and are waited for when there is nothing else to do.
  std::vector<std::unique_ptr<Stack>> dying_;
};

}  // namespace umvu::broker

#endif  // UMVU_BROKER_SERVER_H_
