#pragma once

#include <sys/socket.h>
#include <sys/uio.h>

#include <functional>
#include <memory>
#include <string>

#include "net/frame_queue.h"
#include "net/pump.h"

namespace umvu::net {

class Capture;
class Network;
class Port;

// kInternal: no descriptor; its frames go to and come from code in this process (a stack in user space).
// kProcess: an AF_UNIX SOCK_SEQPACKET socket, to another process of this VM (an isolated stack).
enum class PortKind { kTap, kPacket, kDatagram, kProcess, kInternal };

struct PortConfig {
  PortKind kind = PortKind::kDatagram;
  UniqueFd fd;
  bool vnet_header = false;
  std::string name;                  // of the interface of a stack that it is; a capture records these
  UniqueFd control;                  // its end of file removes the port; may be none
  unsigned patience = 0;             // how long the network waits for it when it takes nothing, in ms; 0: for ever
  // It is read even while it takes nothing itself: what comes from it goes only to ports that always take frames.
  bool keeps_reading = false;
  // Makes the port where `kind` is kInternal.
  std::function<std::unique_ptr<Port>(Network*, int number, PortConfig)> make;
  std::function<void()> on_removed;  // on the pump thread, also when the network is closed
};

struct PortCounters {
  uint64_t rx_frames = 0, rx_bytes = 0, tx_frames = 0, tx_bytes = 0, dropped = 0;
};

// A port of a network: a descriptor that gives and takes Ethernet frames.
//
// What happens when the descriptor takes no more: frames wait in a bounded queue. Tap and packet
// ports belong to this VM and drain by themselves, so the network stops reading until they have (no
// loss). Datagram ports lead to other programs, which may be dead: beyond the bound their frames
// are dropped and counted. Process ports are waited for too, but not longer than their patience:
// then they are treated as datagram ports, until they have drained.
class Port : public Pollable {
 public:
  // Takes the descriptors over; on failure they are closed. 0, or a negated errno in `error`.
  static std::unique_ptr<Port> open(Network* network, int number, PortConfig config, int* error);
  ~Port() override;

  int number() const { return number_; }
  bool vnet_header() const { return config_.vnet_header; }
  PortCounters& counters() { return counters_; }
  const PortCounters& counters() const { return counters_; }

  // Every frame that goes in or out is recorded from now on.
  void record(Capture* capture);
  // Records a frame that its interface has sent.
  void record_sent(const Frame& frame) const;
  // Sends a frame. True when its memory must stay as it is until flush().
  bool send(const Frame& frame);
  // Hands over what send() has gathered.
  virtual void flush() {}
  virtual void set_reading(bool reading);
  // Stops watching. The object is deleted by Pump::retire.
  void shut();

  void on_events(uint32_t events) final;

 protected:
  Port(Network* network, int number, PortConfig config);
  // Makes the descriptor ready; 0 or a negated errno.
  virtual int prepare() { return 0; }
  // Reads at most one batch and gives it to the network. False when the port is broken.
  virtual bool receive() = 0;
  // Takes a frame (with header where the port has one) for sending; true when it refers to `bytes`
  // afterwards.
  virtual bool transmit(const uint8_t* bytes, std::size_t size) = 0;
  // One frame now: 0, or a negated errno.
  virtual int write_now(const uint8_t* bytes, std::size_t size) = 0;
  // What the error condition EPOLLERR or EPOLLHUP means; false when the port is broken.
  virtual bool recover(uint32_t events) = 0;

  void enqueue(const uint8_t* bytes, std::size_t size);
  void count_sent(std::size_t size);
  std::size_t header_bytes() const { return config_.vnet_header ? sizeof(VnetHeader) : 0; }
  std::size_t max_frame() const { return config_.vnet_header ? kMaxOffloadFrame : kMaxPlainFrame; }
  PortKind kind() const { return config_.kind; }
  bool lossless() const { return config_.kind != PortKind::kDatagram; }
  int fd() const { return config_.fd.get(); }

  Network* const network_;
  FrameQueue queue_;

 private:
  class Control;
  class Patience;
  void drain();
  void drained();
  void give_up();
  void update_interest();

  const int number_;
  PortConfig config_;
  PortCounters counters_;
  std::unique_ptr<Control> control_;
  std::unique_ptr<Patience> patience_;
  bool holds_up_ = false;  // the network waits for it
  bool reading_ = true;
  Capture* capture_ = nullptr;
  uint32_t recorded_as_ = 0;  // number of the interface in the capture
};

}  // namespace umvu::net
