#pragma once

#include <memory>
#include <string>
#include <vector>

#include "net/network.h"
#include "net/vde_protocol.h"

namespace umvu::net {

// Serves a VDE switch directory: `PATH/ctl` takes connections, each becomes a port with a data
// socket `PATH/fdN` (IOTH-FACTS 11.5). Clients are other programs and may be hostile.
class VdeServer : public Pollable {
 public:
  static std::unique_ptr<VdeServer> open(Network* network, const ListenOptions& options,
                                         int* error);
  ~VdeServer() override;
  // Removes the directory and all in it. The ports must have been removed.
  void shut();
  void on_events(uint32_t events) override;

 private:
  class Client;
  // Connections, waiting or joined. A client that never sends its request cannot keep others out:
  // the oldest waiting one makes room.
  static constexpr std::size_t kMaxClients = 256;
  // So that a flood of connections leaves turns to the ports.
  static constexpr int kAcceptsPerTurn = 16;

  VdeServer(Network* network, const ListenOptions& options);
  int make_directory();
  int make_control();
  // Binds `name` in the directory and gives the file its mode and group.
  int bind_socket(int fd, const std::string& name) const;
  void admit(UniqueFd connection);
  // Takes one connection off the backlog with the spare descriptor and closes it.
  void turn_away();
  void drop(Client* client);
  // Answers a request; the connection becomes the control stream of a port.
  void join(Client* client, const VdeRequest& request);
  void remove_files() const;

  Network* const network_;
  const ListenOptions options_;
  UniqueFd directory_;
  UniqueFd control_;
  UniqueFd spare_;
  std::vector<std::unique_ptr<Client>> waiting_;  // oldest first
  std::size_t joined_ = 0;
  unsigned next_name_ = 1;
};

}  // namespace umvu::net
