#pragma once

#include <functional>
#include <set>
#include <string>
#include <unordered_map>

#include "lwip/markers.h"
#include "lwip/sock.h"
#include "lwip/stack.h"

namespace umvu::lwip {

// What the stacks of an environment share. Under the lock of the pump.
class Host : public net::Pollable {
 public:
  using Notify = std::function<void(uint64_t id, Event event, int value)>;
  Host(net::Pump* pump, Notify notify);
  ~Host() override;

  net::Pump& pump() { return *pump_; }
  Markers& markers() { return markers_; }
  // 0 or a negated errno.
  int open();
  void close();

  // Milliseconds of CLOCK_MONOTONIC.
  uint64_t clock() const;
  // The deadline of `stack` has changed.
  void schedule(Stack* stack);
  void forget(Stack* stack);

  uint64_t next_id() { return ++last_id_; }
  void add(Sock* sock) { socks_[sock->id()] = sock; }
  void remove(Sock* sock);
  void set_inode(Sock* sock, ino_t inode);
  Sock* find(uint64_t id) const;
  // The socket that descriptor `fd` is the guest's end of; null: none of ours.
  Sock* identify(int fd);
  // Abandons sockets that their guests have closed, where nothing else tells (Sock::unseen()). Costs as much as the
  // machine has AF_UNIX sockets.
  void sweep();
  // The same, when there are twice as many as after the last time.
  void sweep_sometimes();
  // The same, for who has no memory for another socket; once a second at most.
  void sweep_when_full();
  void notify(uint64_t id, Event event, int value) { notify_(id, event, value); }
  // Event::kClosed is told of every socket from now on, not only of those of netlink.
  void tell_ends() { tells_ends_ = true; }

  // Connects the AF_UNIX stream socket `guest`; the other end, or a negated errno.
  int attach(int guest);
  // The abstract name by which the guest's end of an accepted connection is known again.
  std::string name_of(uint64_t id) const;
  // place_alive() (place.h).
  bool alive(int place) const;

  void on_events(uint32_t) override;

 private:
  static constexpr std::size_t kLeastSweep = 64;

  net::Pump* const pump_;
  const Notify notify_;
  Markers markers_;
  net::UniqueFd timer_;
  net::UniqueFd listener_;
  net::UniqueFd place_;
  net::UniqueFd probe_;
  std::string prefix_;
  bool tells_ends_ = false;
  uint64_t last_id_ = 0;
  uint64_t armed_ = 0;
  std::size_t sweep_at_ = kLeastSweep;
  uint64_t swept_ = 0;  // ms
  std::set<std::pair<uint64_t, Stack*>> deadlines_;
  std::unordered_map<Stack*, uint64_t> scheduled_;
  std::unordered_map<uint64_t, Sock*> socks_;
  std::unordered_map<ino_t, Sock*> inodes_;
};

}  // namespace umvu::lwip
