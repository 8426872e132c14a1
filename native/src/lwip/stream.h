#pragma once

#include <deque>
#include <memory>
#include <vector>

#include "lwip/icmp_errors.h"
#include "lwip/sock.h"

namespace umvu::lwip {

// A TCP socket. The guest's descriptor is an AF_UNIX stream socket: unconnected at first (it polls as an unconnected
// TCP one does), later a listener, or connected to `far_`.
class StreamSock : public Sock {
 public:
  StreamSock(Stack* stack, int domain, int protocol);

  int bind(int guest, std::span<const uint8_t> address) override;
  int connect(int guest, std::span<const uint8_t> address, bool wait) override;
  int listen(int guest, int backlog) override;
  int shutdown(int guest, int how) override;
  int name(bool peer, uint8_t* out) override;
  int option_changed(int guest, int level, int name) override;
  int special_option(int level, int name, std::span<uint8_t> out) override;
  bool unseen() const override { return !far_ && state_ != State::kConnecting; }
  bool alive();
  void abandon() override;
  void network_writable() override { pull(); }
  bool retry() override;

  void on_events(uint32_t events) override;
  // Whether it holds a port that conflicts with binding `other` to `wanted`; `listening`: only listeners count.
  bool conflicts(const StreamSock& other, const Endpoint& wanted, bool listening) const;
  // The socket that segments for `pcb` concern; null: none.
  static StreamSock* of(const tcp_pcb* pcb);
  // Whether a SYN for that listener is taken.
  static bool takes_connections(const tcp_pcb* listener);
  // Whether SO_ATTACH_FILTER lets a segment through.
  bool passes(const Segment& segment) const;
  using Sock::hears_current;
  // An ICMP error for a segment that was sent.
  void icmp_error(const IcmpError& error);
  // Whether its connection has waited long enough for the peer.
  bool gives_up(const tcp_pcb* pcb);
  // Whether there is room in its queue for connections, which is a bit longer than the guest has asked for.
  bool takes_more() const { return waiting_.size() < kMostWaiting; }
  // Whether what comes for it would have to wait here for the guest.
  bool crowded() const;
  // After Event::kReset.
  void finish_reset();

 private:
  enum class State { kFresh, kBound, kListening, kConnecting, kConnected, kFailed };
  static constexpr std::size_t kMostWaiting = 256;
  // Bytes of the guest that lwIP refers to until they are acknowledged.
  struct Chunk {
    std::unique_ptr<uint8_t[]> bytes;
    std::size_t left;
    std::size_t charged = 0;  // to the memory of the stack
  };

  // Whether the guest has not closed a listener.
  bool still_listens();
  // Its guest has closed it: whether another one goes on listening with its PCB.
  bool succeeded();
  // Whether it, or one that listens for the same port, is bound to where a SYN comes from.
  bool somebody_hears() const;
  void happened(uint32_t events);
  bool taken(const Endpoint& wanted, bool listening);
  int make_pcb();
  void set_callbacks();
  void apply_options();
  int choose_local(const Endpoint& remote);
  int hold_back(int guest);
  void keep_urgent();
  void established();
  void failed(int error);
  // Others that listen at the same address, with SO_REUSEPORT or bound to other interfaces.
  std::vector<StreamSock*> sharers() const;
  // Whether another one listens for this one too.
  bool share_listener();
  // Leaves the PCB of a listener to another one; false: there is none.
  bool leave_listener(tcp_pcb* pcb);
  // The one that gets a new connection.
  StreamSock* choose_listener(const tcp_pcb* pcb);
  int connect_self(int guest);
  void on_own_events(uint32_t events);
  void adopt(StreamSock* listener, tcp_pcb* pcb);
  int offer(StreamSock* listener);
  // Puts a connection into the guest's queue, or lets it wait; 0 or a negated errno.
  int admit(StreamSock* child);
  void leave_queue();
  // There is something to read of a connection that was deferred.
  void come_forth();
  void boost();
  void limit_buffers();
  void restore_window();
  // Guest to network, and back.
  void pull();
  void pull_now();
  std::size_t uncorked();
  int segment_size() const;
  void timing_changed(int name);
  std::size_t room() const;
  bool read(std::unique_ptr<uint8_t[]>* scratch, std::size_t size);
  bool write(const uint8_t* bytes, std::size_t size);
  void forget_chunks();
  void push();
  void consumed(std::size_t size);
  void acknowledged(std::size_t size);
  void guest_finished();
  void guest_closed(bool reset);
  void finish_close();
  void reset(int error);
  void update_interest();
  void drop_pcb();
  void drop_received();

  static err_t on_connected(void* self, tcp_pcb* pcb, err_t error);
  static err_t on_accept(void* self, tcp_pcb* pcb, err_t error);
  static err_t on_received(void* self, tcp_pcb* pcb, pbuf* data, err_t error);
  static err_t on_sent(void* self, tcp_pcb* pcb, u16_t size);
  static void on_error(void* self, err_t error);

  State state_ = State::kFresh;
  tcp_pcb* pcb_ = nullptr;  // or a tcp_pcb_listen
  net::UniqueFd place_;     // of the bound AF_UNIX socket
  net::UniqueFd guest_;     // a copy of the guest's descriptor, while connecting
  Endpoint local_, remote_;
  std::size_t filler_ = 0;  // bytes in far_ that keep the guest's end from being writable
  int guest_buffer_ = 0;    // SO_SNDBUF to restore then
  std::deque<Chunk> chunks_;
  std::deque<pbuf*> received_;  // at most a window full
  bool self_ = false;            // connected to itself
  bool told_connected_ = true;   // connect(2) has returned, or will return, success
  bool peer_finished_ = false;   // FIN received
  bool told_finished_ = false;   // and the guest has been told
  bool guest_finished_ = false;  // the guest sends no more
  bool guest_gone_ = false;      // it has closed its end
  bool reads_off_ = false;       // it receives no more
  unsigned withheld_ = 0;        // bytes of lwIP's window that are not offered (SO_RCVBUF)
  bool send_full_ = false;       // lwIP takes no more for now
  bool quick_ = false;           // TCP_QUICKACK was asked for
  bool corked_ = false;          // TCP_CORK
  uint64_t corked_since_ = 0;    // clock of the host, when less than a segment waits (TCP_CORK)
  int soft_error_ = 0;           // of ICMP, for when the peer does not answer any more
  u32_t stalled_at_ = 0;         // the sequence number that was acknowledged last, …
  uint64_t stalled_since_ = 0;   // … and since when
  uint64_t looked_ = 0;          // when gives_up() was asked last
  std::deque<StreamSock*> waiting_;  // accepted, but the guest's queue is full, or they are deferred
  StreamSock* queued_at_ = nullptr;  // the listener in whose waiting_ this is
  uint64_t deferred_until_ = 0;      // TCP_DEFER_ACCEPT, clock of the host
};

}  // namespace umvu::lwip
