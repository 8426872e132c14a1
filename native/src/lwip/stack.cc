#include "lwip/stack.h"

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>

#include "lwip/host.h"
#include "lwip/icmp_errors.h"
#include "lwip/packet.h"
#include "lwip/sock.h"

namespace umvu::lwip {
namespace {

// How long the slow timers of lwIP go on after the last work, in ms: as long as address resolution, duplicate address
// detection and reassembly may take. What is longer (aging) is made up for when there is work again.
constexpr uint64_t kActive = 16000;
constexpr uint64_t kFast = 100, kSlow = 1000;
// lwIP has 255 places for them and their IPv4 addresses.
constexpr std::size_t kMostInterfaces = 64;

}  // namespace

Stack::Stack(Host* host, std::size_t limit)
    : host_(host), id_(host->next_id()), memory_(limit), image_(this), routes_(this) {
  const Inside inside(&image_);
  lwip_init();
  interfaces_.push_back(std::make_unique<Interface>(this, 1, "lo", nullptr, 65536));
  Interface& lo = loopback();
  lo.set_up(true);
  ip_addr_t address;
  ip_addr_set_loopback(0, &address);
  lo.add_address(address, 8, false);
  ip_addr_set_loopback(1, &address);
  lo.add_address(address, 128, false);
  icmp_ = std::make_unique<IcmpWatch>(this);
}

Stack::~Stack() { close(); }

int Stack::fail(const AssertionFailed& failure) {
  const char* slash = std::strrchr(failure.file, '/');
  std::fprintf(stderr, "umvu: lwIP: %s (%s:%d): the stack is taken down\n", failure.text,
               slash == nullptr ? failure.file : slash + 1, failure.line);
  failed_ = true;
  deadline_ = 0;
  host_->schedule(this);
  for (Sock* sock : socks_) sock->cut();
  for (const auto& interface : interfaces_) interface->disconnect();
  received_.clear();
  host_->notify(id_, Event::kFailed, ENETDOWN);
  return -ENETDOWN;
}

void Stack::close() {
  const Inside inside(&image_);
  while (!socks_.empty()) (*socks_.begin())->abandon();
  if (failed_) {
    // What it has in lwIP stays there.
    static_cast<void>(icmp_.release());
    interfaces_.clear();
    host_->forget(this);
    return;
  }
  icmp_.reset();
  for (const Received& received : received_) pbuf_free(received.packet);
  received_.clear();
  // Packets that wait for further fragments; nobody is told.
  for (const auto& interface : interfaces_) interface->set_up(false);
  for (int age = 0; age <= std::max(IP_REASS_MAXAGE, IPV6_REASS_MAXAGE); ++age) {
    ip_reass_tmr();
    ip6_reass_tmr();
  }
  // Connections that no socket has: not yet accepted by lwIP, or not over.
  for (tcp_pcb** list : {&tcp_active_pcbs, &tcp_tw_pcbs}) {
    while (*list != nullptr) {
      tcp_err(*list, nullptr);
      tcp_abandon(*list, 0);
    }
  }
  while (!interfaces_.empty()) interfaces_.pop_back();
  host_->forget(this);
}

Interface* Stack::interface(int index) const {
  for (const auto& interface : interfaces_) {
    if (interface->index() == index) return interface.get();
  }
  return nullptr;
}

Interface* Stack::interface(const std::string& name) const {
  for (const auto& interface : interfaces_) {
    if (interface->name() == name) return interface.get();
  }
  return nullptr;
}

Interface* Stack::holder(const ip_addr_t& ip) const {
  if (IP_IS_V4_VAL(ip) && ip4_addr_isloopback(ip_2_ip4(&ip))) return interfaces_.front().get();
  for (const auto& interface : interfaces_) {
    for (const Address& address : interface->addresses()) {
      if (ip_addr_cmp_zoneless(&address.ip, &ip)) return interface.get();
    }
  }
  return nullptr;
}

std::size_t Stack::places() const {
  std::size_t sum = 0;
  for (const auto& interface : interfaces_) sum += interface->places();
  return sum;
}

bool Stack::is_local(const ip_addr_t& ip) const { return holder(ip) != nullptr; }

int Stack::add_interface(const std::string& name, net::Network* network, int mtu) {
  if (name.empty() || name.size() > 15) return -EINVAL;
  if (interface(name) != nullptr) return -EEXIST;
  if (interfaces_.size() >= kMostInterfaces) return -ENOBUFS;
  const Inside inside(&image_);
  const int index = interfaces_.back()->index() + 1;
  interfaces_.push_back(std::make_unique<Interface>(this, index, name, network, mtu));
  if (const int result = interfaces_.back()->connect(); result < 0) {
    interfaces_.pop_back();
    return result;
  }
  return index;
}

void Stack::receive(const Received& received) {
  received_.push_back(received);
  host_->pump().soon(this);
}

void Stack::writable() {
  resend_ = true;
  host_->pump().soon(this);
}

void Stack::retry_later(Sock* sock) {
  retries_.insert(sock);
  touch();
}

void Stack::see(const Seen& seen) {
  for (PacketSock* sock : packet_socks_) sock->see(seen);
}

void Stack::forget(Sock* sock) {
  socks_.erase(sock);
  retries_.erase(sock);
}

void Stack::on_turn() {
  run([this] {
    turn();
    return 0;
  });
}

void Stack::turn() {
  if (resend_) output_all();
  // What comes in while this goes on waits for the next turn.
  for (std::size_t left = received_.size(); left > 0 && !received_.empty(); --left) {
    const Received received = received_.front();
    received_.pop_front();
    received.interface->input(received);
  }
  finish();
  touch();
}

void Stack::finish() {
  for (const auto& interface : interfaces_) {
    if (interface->network() != nullptr) interface->network()->finish();
  }
}

void Stack::output_all() {
  resend_ = false;
  for (tcp_pcb* pcb = tcp_active_pcbs; pcb != nullptr; pcb = pcb->next) {
    if (pcb->unsent != nullptr) tcp_output(pcb);
  }
  for (Sock* sock : socks_) sock->network_writable();
}

void Stack::tell_changes() {
  // FNV-1a.
  uint64_t hash = 0xcbf29ce484222325;
  const auto add = [&hash](const void* data, std::size_t size) {
    const auto* bytes = static_cast<const uint8_t*>(data);
    for (std::size_t i = 0; i < size; ++i) hash = (hash ^ bytes[i]) * 0x100000001b3;
  };
  for (const auto& interface : interfaces_) {
    const bool connected = interface->connected();
    add(&connected, sizeof connected);
    netif* place = interface->base();
    for (s8_t i = 0; i < LWIP_IPV6_NUM_ADDRESSES; ++i) {
      // Of an address that is being tried, the number of the attempt is not of interest.
      const u8_t state = netif_ip6_addr_state(place, i);
      const u8_t kept = ip6_addr_istentative(state) != 0 ? u8_t{IP6_ADDR_TENTATIVE} : state;
      add(&kept, sizeof kept);
      if (!ip6_addr_isinvalid(state)) add(netif_ip6_addr(place, i)->addr, 16);
    }
  }
  for (int i = 0; i < LWIP_ND6_NUM_ROUTERS; ++i) {
    const nd6_neighbor_cache_entry* router = default_router_list[i].neighbor_entry;
    if (router != nullptr) add(router->next_hop_address.addr, 16);
  }
  if (hash == told_) return;
  told_ = hash;
  host_->notify(id_, Event::kChanged, 0);
}

bool Stack::tcp_waits() {
  connections_.park();
  return tcp_active_pcbs != nullptr || tcp_tw_pcbs != nullptr;
}

void Stack::touch() {
  if (failed_) return;
  const uint64_t now = host_->clock();
  active_until_ = now + kActive;
  if (deadline_ != 0) return;
  deadline_ = now + TCP_TMR_INTERVAL;
  if (last_slow_ == 0) last_slow_ = now;
  last_fast_ = now;
  // Nothing waited for TCP's timers meanwhile; its clock goes on all the same.
  const Inside inside(&image_);
  advance_tcp(now);
  host_->schedule(this);
}

void Stack::tick(uint64_t now) {
  run([&] {
    work(now);
    return 0;
  });
}

void Stack::work(uint64_t now) {
  // What is sent meanwhile must not set the clocks: touch() leaves them alone while there is a deadline.
  deadline_ = now;
  const bool tcp = tcp_waits();
  if (tcp) {
    run_tcp(now);
  } else {
    advance_tcp(now);
  }
  slow_ticks(now);
  const std::set<Sock*> again = std::move(retries_);
  retries_.clear();
  for (Sock* sock : again) {
    if (socks_.contains(sock) && sock->retry()) retries_.insert(sock);
  }
  for (const auto& interface : interfaces_) interface->collect_addresses();
  finish();
  tell_changes();
  if (!retries_.empty() || tcp_waits()) {
    deadline_ = now + TCP_TMR_INTERVAL;
  } else if (now < active_until_) {
    deadline_ = last_fast_ + kFast;
  } else {
    deadline_ = 0;
  }
  host_->schedule(this);
}

void Stack::advance_tcp(uint64_t now) {
  if (last_tcp_ != 0) tcp_ticks += static_cast<u32_t>((now - last_tcp_) / TCP_SLOW_INTERVAL);
  last_tcp_ = now;
}

void Stack::run_tcp(uint64_t now) {
  // A thread that was held up must not make connections time out: a few ticks are made up for, not all.
  constexpr uint64_t kMost = 4;
  const uint64_t due = std::min((now - last_tcp_) / TCP_TMR_INTERVAL, kMost);
  for (uint64_t i = 0; i < due; ++i) tcp_tmr();
  last_tcp_ = due == kMost ? now : last_tcp_ + due * TCP_TMR_INTERVAL;
}

void Stack::slow_ticks(uint64_t now) {
  if (now - last_fast_ >= kFast) {
    last_fast_ = now;
    igmp_tmr();
    mld6_tmr();
  }
  constexpr uint64_t kMost = 600;
  const uint64_t due = std::min((now - last_slow_) / kSlow, kMost);
  for (uint64_t i = 0; i < due; ++i) {
    etharp_tmr();
    ip_reass_tmr();
    nd6_tmr();
    neighbours_.hold();
    ip6_reass_tmr();
  }
  if (due > 0) neighbours_.verify();
  last_slow_ = due == kMost ? now : last_slow_ + due * kSlow;
}

}  // namespace umvu::lwip
