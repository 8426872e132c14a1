#pragma once

#include <cerrno>
#include <deque>
#include <memory>
#include <set>
#include <vector>

#include "lwip/connections.h"
#include "lwip/image.h"
#include "lwip/interface.h"
#include "lwip/memory.h"
#include "lwip/neighbours.h"
#include "lwip/routes.h"

namespace umvu::lwip {

class Host;
class IcmpWatch;
class PacketSock;
class Sock;
struct Seen;

// One TCP/IP stack. All members are called under the lock of the pump; those that say so, inside the image.
class Stack : public net::Pollable {
 public:
  // `limit`: of its memory, in bytes.
  explicit Stack(Host* host, std::size_t limit = Memory::kDefault);
  ~Stack() override;

  // The stack that is entered; only in callbacks of lwIP.
  static Stack* current() { return static_cast<Stack*>(Image::owner()); }

  // Names it in events.
  uint64_t id() const { return id_; }
  Host& host() { return *host_; }
  Memory& memory() { return memory_; }
  Image& image() { return image_; }
  Routes& routes() { return routes_; }
  Connections& connections() { return connections_; }
  const std::vector<std::unique_ptr<Interface>>& interfaces() const { return interfaces_; }
  Interface* interface(int index) const;
  Interface* interface(const std::string& name) const;
  // The interface that has the address `ip`; null: none.
  Interface* holder(const ip_addr_t& ip) const;
  // Netifs of lwIP, one or more for each interface.
  std::size_t places() const;
  Interface& loopback() { return *interfaces_.front(); }
  bool is_local(const ip_addr_t& ip) const;

  // Adds an interface to a network. Its index or a negated errno.
  int add_interface(const std::string& name, net::Network* network, int mtu);
  // Whether packets for others are passed on.
  bool forwards(bool v6) const { return forwards_[v6]; }
  void set_forwarding(bool v6, bool on) { forwards_[v6] = on; }
  Neighbours& neighbours() { return neighbours_; }
  // Sockets of guests.
  std::set<Sock*>& socks() { return socks_; }
  // Those of AF_PACKET, which see every frame.
  std::vector<PacketSock*>& packet_socks() { return packet_socks_; }
  void see(const Seen& seen);
  // Takes everything down.
  void close();
  // What `job`, called inside the image, returns; all that uses lwIP comes through here. Where lwIP fails an assertion,
  // the stack is taken down with a line to standard error, now and for ever after the result is -ENETDOWN.
  template <typename Job>
  int run(Job job) {
    if (failed_) return -ENETDOWN;
    try {
      const Inside inside(&image_);
      return job();
    } catch (const AssertionFailed& failure) {
      return fail(failure);
    }
  }
  // lwIP must not be called any more, not even to free anything.
  bool failed() const { return failed_; }

  // Bytes that wait for guests (waiting.h).
  std::size_t& waiting_bytes() { return waiting_bytes_; }

  // Takes a packet that will be given to lwIP at the next turn.
  void receive(const Received& received);
  // A network that was full takes frames again.
  void writable();
  // sock->retry() is called in a moment.
  void retry_later(Sock* sock);
  void forget(Sock* sock);
  // What was sent goes on its way, where networks gather frames.
  void finish();
  // There was work: timers of lwIP may have to run.
  void touch();
  // Milliseconds of CLOCK_MONOTONIC when tick() wants to be called; 0: not at all.
  uint64_t deadline() const { return deadline_; }
  void tick(uint64_t now);

  void on_events(uint32_t) override {}
  void on_turn() override;

 private:
  int fail(const AssertionFailed& failure);
  void turn();
  void work(uint64_t now);
  bool tcp_waits();
  void advance_tcp(uint64_t now);
  void run_tcp(uint64_t now);
  void slow_ticks(uint64_t now);
  void output_all();
  void tell_changes();

  Host* const host_;
  const uint64_t id_;
  Memory memory_;
  Image image_;
  Routes routes_;
  Connections connections_;
  Neighbours neighbours_;
  bool forwards_[2] = {};
  uint64_t told_ = 0;  // a hash of what JavaScript was told of
  std::vector<std::unique_ptr<Interface>> interfaces_;
  std::set<Sock*> socks_;
  std::set<Sock*> retries_;
  std::vector<PacketSock*> packet_socks_;
  std::unique_ptr<IcmpWatch> icmp_;
  std::deque<Received> received_;
  std::size_t waiting_bytes_ = 0;
  bool resend_ = false;
  bool failed_ = false;
  uint64_t deadline_ = 0;
  uint64_t active_until_ = 0;
  uint64_t last_tcp_ = 0;
  uint64_t last_fast_ = 0;
  uint64_t last_slow_ = 0;
};

}  // namespace umvu::lwip
