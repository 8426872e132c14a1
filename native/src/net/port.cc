#include "net/port.h"

#include <fcntl.h>
#include <sys/epoll.h>
#include <sys/timerfd.h>

#include <cerrno>
#include <utility>

#include "net/capture.h"
#include "net/network.h"
#include "net/socket_port.h"
#include "net/tap_port.h"

namespace umvu::net {
namespace {

// A lossless queue must hold one batch of the largest frames, since reading stops only after it.
constexpr std::size_t kLosslessBytes = 4 << 20, kLosslessFrames = SIZE_MAX;
static_assert(kLosslessBytes > kBatch * (kMaxOffloadFrame + 64));
constexpr std::size_t kLossyBytes = 1 << 20, kLossyFrames = 256;

}  // namespace

// The control stream of a VDE connection: silent, its end is the end of the port (IOTH-FACTS 11.5).
class Port::Control : public Pollable {
 public:
  explicit Control(Port* port) : port_(port) {}
  void on_events(uint32_t) override {
    char ignored[256];
    const ssize_t got = recv(port_->config_.control.get(), ignored, sizeof ignored, MSG_DONTWAIT);
    const bool alive = got > 0 || (got < 0 && (errno == EAGAIN || errno == EINTR));
    if (!alive) port_->network_->gone(port_);
  }

 private:
  Port* const port_;
};

// The time that the network waits for a port which takes nothing.
class Port::Patience : public Pollable {
 public:
  explicit Patience(Port* port) : port_(port) {}
  int open() {
    timer_.reset(timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK));
    return !timer_ ? -errno : port_->network_->pump().watch(timer_.get(), EPOLLIN, this);
  }
  void shut() {
    if (timer_) port_->network_->pump().unwatch(timer_.get());
  }
  // Begins anew; 0 ms: not any more.
  void set(unsigned ms) {
    itimerspec when = {};
    when.it_value.tv_sec = ms / 1000;
    when.it_value.tv_nsec = static_cast<long>(ms % 1000) * 1000000;
    timerfd_settime(timer_.get(), 0, &when, nullptr);
    sent_ = port_->counters_.tx_frames;
  }
  void on_events(uint32_t) override {
    uint64_t ignored;
    if (::read(timer_.get(), &ignored, sizeof ignored) < 0) return;
    // As long as it takes some, it is only slow.
    if (sent_ != port_->counters_.tx_frames) {
      set(port_->config_.patience);
    } else {
      port_->give_up();
    }
  }

 private:
  Port* const port_;
  UniqueFd timer_;
  uint64_t sent_ = 0;
};

std::unique_ptr<Port> Port::open(Network* network, int number, PortConfig config, int* error) {
  *error = 0;
  if (config.kind == PortKind::kInternal) {
    const auto make = std::move(config.make);
    return make(network, number, std::move(config));
  }
  const int fd = config.fd.get();
  std::unique_ptr<Port> port;
  if (config.kind == PortKind::kTap) {
    port = std::make_unique<TapPort>(network, number, std::move(config));
  } else {
    port = std::make_unique<SocketPort>(network, number, std::move(config));
  }
  Pump& pump = network->pump();
  const int flags = fcntl(fd, F_GETFL);
  *error = flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) != 0 ? -errno : port->prepare();
  if (*error == 0) *error = pump.watch(fd, EPOLLIN | EPOLLRDHUP, port.get());
  if (*error != 0) return nullptr;
  if (port->config_.control) {
    port->control_ = std::make_unique<Control>(port.get());
    *error = pump.watch(port->config_.control.get(), EPOLLIN | EPOLLRDHUP, port->control_.get());
    if (*error != 0) {
      pump.unwatch(fd);
      pump.retire(std::move(port));
      return nullptr;
    }
  }
  if (port->config_.patience != 0) {
    port->patience_ = std::make_unique<Patience>(port.get());
    *error = port->patience_->open();
    if (*error != 0) {
      pump.unwatch(fd);
      pump.retire(std::move(port));
      return nullptr;
    }
  }
  return port;
}

Port::Port(Network* network, int number, PortConfig config)
    : network_(network),
      queue_(config.kind == PortKind::kDatagram ? kLossyBytes : kLosslessBytes,
             config.kind == PortKind::kDatagram ? kLossyFrames : kLosslessFrames),
      number_(number),
      config_(std::move(config)) {}

Port::~Port() = default;

void Port::shut() {
  Pump& pump = network_->pump();
  pump.unwatch(fd());
  if (control_) {
    pump.unwatch(config_.control.get());
    pump.retire(std::move(control_));
  }
  if (patience_) {
    patience_->shut();
    pump.retire(std::move(patience_));
  }
  if (std::exchange(holds_up_, false)) network_->resume();
  if (config_.on_removed) config_.on_removed();
}

void Port::on_events(uint32_t events) {
  if ((events & EPOLLOUT) != 0) drain();
  bool healthy = true;
  if ((events & EPOLLIN) != 0 && reading_) healthy = receive();
  if (healthy && (events & (EPOLLERR | EPOLLHUP | EPOLLRDHUP)) != 0) healthy = recover(events);
  if (!healthy) network_->gone(this);
}

void Port::record(Capture* capture) {
  capture_ = capture;
  const std::string place = network_->description() + ", port " + std::to_string(number_);
  recorded_as_ = capture->add_interface(config_.name, place);
}

void Port::record_sent(const Frame& frame) const {
  if (capture_ != nullptr) capture_->write(recorded_as_, Direction::kOutbound, frame);
}

bool Port::send(const Frame& frame) {
  if (frame.size > max_frame()) {
    ++counters_.dropped;
    return false;
  }
  if (capture_ != nullptr) capture_->write(recorded_as_, Direction::kInbound, frame);
  const uint8_t* bytes = config_.vnet_header ? frame.raw : frame.data();
  const std::size_t size = frame.size + header_bytes();
  if (queue_.empty()) return transmit(bytes, size);
  enqueue(bytes, size);
  return false;
}

void Port::count_sent(std::size_t size) {
  ++counters_.tx_frames;
  counters_.tx_bytes += size - header_bytes();
}

void Port::enqueue(const uint8_t* bytes, std::size_t size) {
  const bool first = queue_.empty();
  if (!queue_.push(bytes, size)) {
    ++counters_.dropped;
    return;
  }
  if (!first) return;
  update_interest();
  if (!lossless()) return;
  holds_up_ = true;
  network_->pause();
  if (patience_) patience_->set(config_.patience);
}

void Port::drained() {
  update_interest();
  if (std::exchange(holds_up_, false)) network_->resume();
  if (patience_) patience_->set(0);
}

void Port::give_up() {
  if (std::exchange(holds_up_, false)) network_->resume();
}

void Port::drain() {
  if (queue_.empty()) return;
  while (!queue_.empty()) {
    std::size_t size;
    const uint8_t* bytes = queue_.front(&size);
    const int result = write_now(bytes, size);
    if (result == -EAGAIN) return;
    if (result == 0) {
      count_sent(size);
    } else {
      ++counters_.dropped;
    }
    queue_.pop();
  }
  drained();
}

void Port::set_reading(bool reading) {
  if (config_.keeps_reading) return;
  reading_ = reading;
  update_interest();
}

void Port::update_interest() {
  uint32_t events = 0;
  if (reading_) events |= EPOLLIN | EPOLLRDHUP;
  if (!queue_.empty()) events |= EPOLLOUT;
  network_->pump().change(fd(), events, this);
}

}  // namespace umvu::net
