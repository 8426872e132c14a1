#include "net/network.h"

#include <algorithm>
#include <cerrno>

#include "net/vde_server.h"

namespace umvu::net {

Network::Network(Pump* pump, NetworkOptions options, std::function<void(int)> on_gone)
    : pump_(pump), on_gone_(std::move(on_gone)) {
  if (options.learning) table_.emplace(options.hash_size, options.expire_seconds);
  if (options.conditions.any()) link_ = std::make_unique<Link>(this, options.conditions);
}

Network::~Network() = default;

int Network::add_port(PortConfig config) {
  int error = 0;
  if (link_) error = link_->open();
  if (error != 0) return error;
  const bool recorded = !config.name.empty();
  auto port = Port::open(this, next_number_, std::move(config), &error);
  if (!port) return error;
  if (paused()) port->set_reading(false);
  if (capture_ != nullptr && recorded) port->record(capture_);
  ports_.push_back(std::move(port));
  return next_number_++;
}

void Network::record(Capture* capture, std::string description) {
  capture_ = capture;
  description_ = std::move(description);
}

std::unique_ptr<Port> Network::take(const Port* port) {
  const auto at =
      std::find_if(ports_.begin(), ports_.end(), [port](auto& p) { return p.get() == port; });
  if (at == ports_.end()) return nullptr;
  auto taken = std::move(*at);
  ports_.erase(at);
  return taken;
}

void Network::dispose(std::unique_ptr<Port> port) {
  std::erase(unflushed_, port.get());
  std::erase(broken_, port.get());
  if (table_) table_->forget(port.get());
  port->shut();
  pump_->retire(std::move(port));
}

void Network::remove_port(int number) {
  for (const auto& port : ports_) {
    if (port->number() == number) return dispose(take(port.get()));
  }
}

void Network::gone(Port* port) {
  auto taken = take(port);
  if (!taken) return;
  const int number = taken->number();
  dispose(std::move(taken));
  on_gone_(number);
}

int Network::listen(const ListenOptions& options) {
  if (server_) return -EBUSY;
  int error = 0;
  server_ = VdeServer::open(this, options, &error);
  return error;
}

std::optional<PortCounters> Network::counters(int number) const {
  const Port* found = port(number);
  return found == nullptr ? std::nullopt : std::optional(found->counters());
}

Port* Network::port(int number) const {
  const auto at = std::find_if(ports_.begin(), ports_.end(), [number](auto& p) { return p->number() == number; });
  return at == ports_.end() ? nullptr : at->get();
}

void Network::close() {
  // The server outlives its ports, whose socket files it removes.
  while (!ports_.empty()) {
    auto port = std::move(ports_.back());
    ports_.pop_back();
    dispose(std::move(port));
  }
  if (server_) {
    server_->shut();
    pump_->retire(std::move(server_));
  }
  if (link_) {
    link_->shut();
    pump_->retire(std::move(link_));
  }
}

void Network::pause() {
  if (full_ports_++ > 0) return;
  for (const auto& port : ports_) port->set_reading(false);
}

void Network::resume() {
  if (--full_ports_ > 0) return;
  for (const auto& port : ports_) port->set_reading(true);
  if (link_) link_->resume();
}

bool Network::offloads() const {
  return !link_ && std::all_of(ports_.begin(), ports_.end(), [](auto& port) { return port->vnet_header(); });
}

void Network::flush() {
  for (Port* port : unflushed_) port->flush();
  unflushed_.clear();
  segments_used_ = 0;
}

void Network::finish() {
  flush();
  while (!broken_.empty()) {
    Port* port = broken_.back();
    broken_.pop_back();
    gone(port);
  }
}

template <typename Visit>
void Network::for_targets(const Port* from, Port* only, Visit visit) {
  if (only != nullptr) {
    if (only != from) visit(only);
    return;
  }
  for (const auto& port : ports_) {
    if (port.get() != from) visit(port.get());
  }
}

bool Network::any_plain_target(const Port* from, Port* only) {
  bool found = false;
  for_targets(from, only, [&](const Port* port) { found |= !port->vnet_header(); });
  return found;
}

bool Network::receive(Port* from, const Frame& frame) {
  if (frame.size < kEthernetHeader) {
    ++from->counters().dropped;
    return false;
  }
  ++from->counters().rx_frames;
  from->counters().rx_bytes += frame.size;
  from->record_sent(frame);
  if (!link_) return forward(from, frame);
  link_->take(from, frame.raw, frame.size);
  return false;
}

bool Network::forward(Port* from, const Frame& frame) {
  Port* only = nullptr;
  if (table_) {
    table_->learn(frame.data(), frame.size, from, pump_->now());
    only = table_->find(frame.data(), frame.size, pump_->now());
  }
  const VnetHeader header = frame.header();
  if (needs_offload(header) && any_plain_target(from, only))
    return send_software(from, only, frame);
  bool held = false;
  for_targets(from, only, [&](Port* port) { held |= port->send(frame); });
  return held;
}

// Some target takes complete frames only.
bool Network::send_software(Port* from, Port* only, const Frame& frame) {
  const VnetHeader header = frame.header();
  bool held = false;
  if (header.gso_type == kGsoNone) {
    if (!complete_checksum(frame.data(), frame.size, header)) {
      ++from->counters().dropped;
      return false;
    }
    frame.clear_header();
    for_targets(from, only, [&](Port* port) { held |= port->send(frame); });
    return held;
  }
  Segmenter segmenter;
  const bool plain = segmenter.plan(frame.data(), frame.size, header);
  if (!plain) ++from->counters().dropped;
  for_targets(from, only, [&](Port* port) {
    if (port->vnet_header()) held |= port->send(frame);
  });
  if (!plain) return held;
  for (std::size_t i = 0; i < segmenter.count(); ++i) {
    if (segments_used_ == kSegments) flush();
    Frame segment{pump_->buffers().segment(segments_used_), 0};
    segment.clear_header();
    segment.size = segmenter.write(i, segment.data());
    bool segment_held = false;
    for_targets(from, only, [&](Port* port) {
      if (!port->vnet_header()) segment_held |= port->send(segment);
    });
    if (segment_held) ++segments_used_;
  }
  return held;
}

}  // namespace umvu::net
