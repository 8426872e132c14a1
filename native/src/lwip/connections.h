#pragma once

#include <array>
#include <deque>
#include <unordered_map>

#include "lwip/engine.h"

namespace umvu::lwip {

class Memory;

// The connections of a stack by their two ends, those in TIME_WAIT included. lwIP has lists only, and asks here instead
// of searching them (hooks.h), so that a segment costs the same however many connections there are. Inside the image.
class Connections {
 public:
  // `pcb`, both ends of which are known, leaves by itself when lwIP frees it.
  void add(tcp_pcb* pcb);
  // Those that come to `listener` are added before their SYN is answered.
  static void add_accepted(tcp_pcb* listener);

  // Makes room for another connection that a peer opens: those that it has not completed yet give way to new ones, the
  // oldest first, where they are too many or the memory is full. False: there is no room.
  bool make_room(const Memory& memory);

  // Null: there is none.
  tcp_pcb* find(const ip_addr_t& local, u16_t local_port, const ip_addr_t& remote, u16_t remote_port) const;
  // In no order.
  template <typename Use>
  void each(Use use) const {
    for (const auto& [ends, pcb] : table_) use(pcb);
  }
  // Whether a connection has this port at our end.
  bool uses(u16_t local_port) const { return ports_.contains(local_port); }

  // Takes those that need no timer out of lwIP's list of active ones, which the timers walk. What comes in wakes them;
  // who uses one of them otherwise does so.
  void park();
  static void wake(tcp_pcb* pcb);

 private:
  // Addresses, then ports, zones and families.
  using Ends = std::array<uint64_t, 6>;
  struct Hash {
    std::size_t operator()(const Ends& ends) const;
  };
  // Most that are not complete. An honest peer has as long as it takes others to open so many.
  static constexpr std::size_t kMostHalfOpen = 4096;

  using Table = std::unordered_map<Ends, tcp_pcb*, Hash>;

  static Ends ends_of(const ip_addr_t& local, u16_t local_port, const ip_addr_t& remote, u16_t remote_port);
  static u16_t local_port_of(const Ends& ends) { return static_cast<u16_t>(ends[4]); }
  void remove(const Table::value_type& entry);
  tcp_pcb* half_open(const Ends& ends) const;

  static void on_freed(u8_t, void* entry);
  static err_t on_passive_open(u8_t, tcp_pcb_listen*, tcp_pcb* pcb);
  static const tcp_ext_arg_callbacks kCallbacks;

  Table table_;
  // How many connections have a port.
  std::unordered_map<u16_t, unsigned> ports_;
  // In the order in which they came; those that have been completed are in it until they are the first.
  std::deque<Ends> half_open_;
};

}  // namespace umvu::lwip
