#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "net/link_conditions.h"
#include "net/mac_table.h"
#include "net/port.h"
#include "net/pump.h"

namespace umvu::net {

class VdeServer;

struct NetworkOptions {
  bool learning = false;  // a switch; otherwise a hub
  std::size_t hash_size = 256;
  uint32_t expire_seconds = 120;
  LinkConditions conditions;
};

struct ListenOptions {
  std::string path;  // of the directory, which must not exist
  mode_t mode = 0600;
  mode_t dir_mode = 02700;
  int group = -1;
};

// One Ethernet segment. All members run on the pump thread.
class Network {
 public:
  // `on_gone` is told the number of a port that has failed or whose peer hung up.
  Network(Pump* pump, NetworkOptions options, std::function<void(int)> on_gone);
  ~Network();

  // The number of the new port, or a negated errno.
  int add_port(PortConfig config);
  void remove_port(int number);
  // 0 or a negated errno; EBUSY when the network is served already.
  int listen(const ListenOptions& options);
  std::optional<PortCounters> counters(int number) const;
  // Records the interfaces of stacks that join from now on. `description` tells of the network.
  void record(Capture* capture, std::string description);
  void close();

  // For its ports.
  const std::string& description() const { return description_; }
  Pump& pump() { return *pump_; }
  // Passes a frame on, at once or (conditions) later. True when its memory must stay as it is until flush().
  bool receive(Port* from, const Frame& frame);
  // Gives a frame to the ports it is for; as receive().
  bool forward(Port* from, const Frame& frame);
  // Null: it is gone.
  Port* port(int number) const;
  void flush();
  // The end of a batch: flushes, and removes the ports that turned out to be broken.
  void finish();
  // `port` failed while it was sent to. It stays until finish(), because targets are being visited.
  void broken(Port* port) { broken_.push_back(port); }
  // `port` has something to flush.
  void wants_flush(Port* port) { unflushed_.push_back(port); }
  // A port takes no more, or does so again: nothing is read while any is full.
  void pause();
  void resume();
  // Whether all ports take frames that the hardware would finish, and nothing happens to them on the way.
  bool offloads() const;
  bool paused() const { return full_ports_ > 0; }
  // `port` is broken, or its peer is gone.
  void gone(Port* port);

 private:
  template <typename Visit>
  void for_targets(const Port* from, Port* only, Visit visit);
  bool any_plain_target(const Port* from, Port* only);
  bool send_software(Port* from, Port* only, const Frame& frame);
  std::unique_ptr<Port> take(const Port* port);
  void dispose(std::unique_ptr<Port> port);

  Pump* const pump_;
  Capture* capture_ = nullptr;
  std::string description_;
  std::function<void(int)> on_gone_;
  std::optional<MacTable> table_;
  std::unique_ptr<Link> link_;
  std::vector<std::unique_ptr<Port>> ports_;
  std::vector<Port*> unflushed_;
  std::vector<Port*> broken_;
  std::unique_ptr<VdeServer> server_;
  std::size_t full_ports_ = 0;
  std::size_t segments_used_ = 0;
  int next_number_ = 1;
};

}  // namespace umvu::net
