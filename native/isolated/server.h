#pragma once

#include <memory>
#include <vector>

#include "channel.h"
#include "events.h"
#include "lwip/host.h"
#include "net/network.h"

namespace umvu::isolated {

// One stack, for a supervisor that asks for one thing after the other. The pump runs it on a thread of its own; a thread
// that loops keeps the lock, so that there are no more replies.
class Server {
 public:
  Server(int requests, int events);
  ~Server();
  // Until the supervisor goes away. The status to exit with.
  int run();

 private:
  void heard(uint64_t id, lwip::Event event, int value);
  int answer(Call* call);
  int hello(Call* call);
  int add_interface(Call* call);
  int make_socket(Call* call);
  int identify(Call* call);
  int configure(Call* call);
  int begin_list(Call* call);
  int go_on(Call* call);
  int with_sock(Call* call);
  int on_sock(Call* call, lwip::Sock* sock);
  void close();

  // `job` inside the image of the stack.
  template <typename Job>
  int inside(Job job) {
    return pump_.call([&] { return stack_->run(job); });
  }

  Channel channel_;
  net::Pump pump_;
  Events events_;
  lwip::Host host_;
  std::unique_ptr<lwip::Stack> stack_;
  std::vector<std::unique_ptr<net::Network>> networks_;
  std::vector<uint8_t> list_;  // what was not sent yet of one
};

}  // namespace umvu::isolated
