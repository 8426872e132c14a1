#pragma once

#include <sys/types.h>

#include <map>
#include <span>
#include <vector>

#include "lwip/endpoint.h"
#include "lwip/socket_filter.h"
#include "net/pump.h"

namespace umvu::lwip {

class Host;
class Interface;
class Stack;

// What JavaScript is told about a socket, or (kChanged) about a stack (runtime/native.ts, LWIP_EVENT).
enum class Event {
  kConnected = 0,
  kFailed = 1,
  kAcceptable = 2,
  kReset = 3,
  kMessage = 4,   // a netlink socket has messages of the guest
  kWritable = 5,  // it has room again
  kClosed = 6,    // it is gone
  kChanged = 7,   // addresses, routers or carriers of a stack are others now
};

// Values of socket options that were set, by level and name. An accepted socket inherits them.
class Options {
 public:
  void set(int level, int name, std::span<const uint8_t> value) {
    values_[key(level, name)].assign(value.begin(), value.end());
  }
  const std::vector<uint8_t>* find(int level, int name) const {
    const auto at = values_.find(key(level, name));
    return at == values_.end() ? nullptr : &at->second;
  }
  // Of the values and their keys.
  std::size_t bytes() const;
  // As int; `otherwise` where it was not set.
  int number(int level, int name, int otherwise = 0) const;

 private:
  static uint64_t key(int level, int name) {
    return static_cast<uint64_t>(static_cast<uint32_t>(level)) << 32 | static_cast<uint32_t>(name);
  }
  std::map<uint64_t, std::vector<uint8_t>> values_;
};

// A socket of a stack. A guest holds an AF_UNIX socket, whose other end (`far`) is here; what the guest writes into its
// own comes out here, and the other way round. Calls that name addresses or options come from the supervisor, which
// has a copy of the guest's descriptor (`guest`, borrowed) while it makes them. All members: under the lock of the
// pump and inside the image of the stack; results below zero are negated errnos.
class Sock : public net::Pollable {
 public:
  Sock(Stack* stack, int domain, int type, int protocol);
  ~Sock() override;
  Sock(const Sock&) = delete;
  Sock& operator=(const Sock&) = delete;

  uint64_t id() const { return id_; }
  int domain() const { return domain_; }
  int type() const { return type_; }
  int protocol() const { return protocol_; }
  Stack& stack() { return *stack_; }
  Host& host();
  Options& options() { return options_; }
  // Inode of the guest's socket; 0: not seen yet.
  ino_t inode = 0;

  virtual int bind(int guest, std::span<const uint8_t> address) = 0;
  virtual int connect(int guest, std::span<const uint8_t> address, bool wait) = 0;
  virtual int listen(int guest, int backlog);
  virtual int shutdown(int guest, int how);
  // Length of the sockaddr that was written.
  virtual int name(bool peer, uint8_t* out) = 0;
  // Sets an option. 0, or a negated errno that refuses it.
  int set_option(int guest, int level, int name, std::span<const uint8_t> value);
  // An option has been set; 0, or a negated errno that refuses it.
  virtual int option_changed(int guest, int level, int name);
  // Option that is not just what was set; its length, or -ENOPROTOOPT.
  virtual int special_option(int level, int name, std::span<uint8_t> out);
  // A network that was full takes packets again.
  virtual void network_writable() {}
  // Asked for with Stack::retry_later(); true: again.
  virtual bool retry() { return false; }
  // lwIP does not work any more: the guest sees the end of its connection.
  virtual void cut();
  // Whether nothing tells when the guest closes it: then Host::sweep() finds out.
  virtual bool unseen() const { return false; }
  // The stack goes away, or the guest has closed its end.
  virtual void abandon() = 0;

  // The error that SO_ERROR tells, once.
  int take_error() {
    const int error = error_;
    error_ = 0;
    return error;
  }

 protected:
  // Options that name interfaces: checks them and notes what they mean. 0 or a negated errno.
  int interface_option(int level, int name);
  // The interface that an option of interface_option() has chosen; null: none.
  Interface* chosen_interface(int level, int name) const;
  // Whether a packet that lwIP is handing out has come by the interface of SO_BINDTODEVICE.
  bool hears_current() const;
  // Whether both are bound to interfaces, and to different ones.
  bool other_device(const Sock& other) const;

  // Makes `far_`; events as of epoll_ctl(2).
  void watch(uint32_t events);
  void unwatch();
  // Deletes this object, later.
  void retire();
  // Options of another socket.
  void inherit(const Options& options);

  Stack* const stack_;
  const uint64_t id_;
  const int domain_;
  const int type_;
  const int protocol_;
  net::UniqueFd far_;
  Options options_;
  SocketFilter filter_;
  int error_ = 0;

 private:
  void charge_options();

  bool watched_ = false;
  uint32_t events_ = 0;
  std::size_t charged_ = 0;  // for the options
};

// A segment of TCP as lwIP's hook shows it (hooks.h).
struct Segment {
  tcp_hdr* header;
  uint16_t options_size;
  uint16_t first_options_size;
  const uint8_t* more_options;
  const pbuf* data;
};
// For that hook: whether a segment for `pcb` is taken.
err_t tcp_admits(tcp_pcb* pcb, const Segment& segment);
// And whether it is answered where it is not acceptable (unacceptable.cc).
err_t answers(tcp_pcb* pcb, const tcp_hdr* header, const pbuf* data);

}  // namespace umvu::lwip
