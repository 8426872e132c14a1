// Hostile frames for the stack in user space: what other hosts can send to an interface, as it passes through the
// network, our glue and lwIP. Built with sanitizers (native/CMakeLists.txt), run by test/sanitized/lwip.test.ts.
//
// Two stacks talk on a hub (TCP, UDP, ping sockets); a third port hears all of it. It sends seeds of every protocol and
// what it heard, changed at random, mostly with lengths and checksums mended so that it gets far. From time to time all
// is taken down and made again; then the two must still understand each other.
//
// One of four times their memory is so small that it is always full.
//
// Usage: lwip-fuzz [SECONDS [SEED [FRAMES]]], whichever comes first. Prints how many frames of which layer there were; exit
// status 1 when the stacks did not work, or a sanitizer's.
#include <arpa/inet.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <limits>
#include <map>
#include <string>
#include <vector>

#include "lwip_changes.h"
#include "lwip/host.h"
#include "lwip/packet_io.h"
#include "net/network.h"

using namespace umvu;

namespace {

constexpr std::size_t kFramesPerTurn = 64;
constexpr std::size_t kFramesPerWorld = 100'000;
constexpr std::size_t kHeard = 256;
constexpr std::size_t kTight = 1 << 20;
constexpr uint8_t kDataValid = 2;  // VIRTIO_NET_HDR_F_DATA_VALID

[[noreturn]] void fail(const char* what) {
  std::printf("not ok: %s\n", what);
  std::exit(1);
}

// ---------------------------------------------------------------------------------------------- the world

// The port that hears and speaks.
class Intruder : public net::Port {
 public:
  Intruder(net::Network* network, int number, net::PortConfig config) : Port(network, number, std::move(config)) {}
  std::deque<Bytes> heard;  // with virtio header

  void speak(const Bytes& frame, const net::VnetHeader& header) {
    net::Frame out{network_->pump().buffers().slot(0), frame.size()};
    std::memcpy(out.data(), frame.data(), frame.size());
    out.set_header(header);
    if (network_->receive(this, out)) network_->flush();
  }

 private:
  bool receive() override { return true; }
  bool transmit(const uint8_t* bytes, std::size_t size) override {
    if (heard.size() == kHeard) heard.pop_front();
    heard.emplace_back(bytes, bytes + size);
    return false;
  }
  int write_now(const uint8_t*, std::size_t) override { return 0; }
  bool recover(uint32_t) override { return true; }
};

// A host on the network, and the guest's ends of its sockets.
struct Side {
  std::unique_ptr<lwip::Stack> stack;
  Station station;
  std::vector<int> fds;
};

// How many frames of each layer were sent.
std::map<std::string, std::size_t> layers;

class World {
 public:
  // `memory` of each stack.
  explicit World(std::size_t memory);
  ~World();
  // Sends one frame after the other.
  void attack(std::size_t frames);
  // Whether bytes pass from one stack to the other.
  bool works();

 private:
  void make_side(Side* side, uint8_t host);
  int new_socket(Side* side, int family, int type, int protocol, int port);
  void connect(Side* side, int fd, int family, int port, int host);
  void live();
  Bytes next_frame(net::VnetHeader* header);

  const std::size_t memory_;
  net::Pump pump_;
  std::unique_ptr<net::Network> network_;
  std::unique_ptr<lwip::Host> host_;
  Intruder* intruder_ = nullptr;
  Side left_, right_;
  std::vector<Bytes> seeds_;
};

std::vector<uint8_t> address_of(int family, int host, int port) {
  if (family == AF_INET) {
    sockaddr_in in = {};
    in.sin_family = AF_INET;
    in.sin_port = htons(static_cast<uint16_t>(port));
    in.sin_addr.s_addr = host == 0 ? 0 : htonl(0x0a000000u + static_cast<uint32_t>(host));
    const auto* bytes = reinterpret_cast<const uint8_t*>(&in);
    return {bytes, bytes + sizeof in};
  }
  sockaddr_in6 in6 = {};
  in6.sin6_family = AF_INET6;
  in6.sin6_port = htons(static_cast<uint16_t>(port));
  if (host != 0) {
    in6.sin6_addr.s6_addr[0] = 0xfc;
    in6.sin6_addr.s6_addr[15] = static_cast<uint8_t>(host);
  }
  const auto* bytes = reinterpret_cast<const uint8_t*>(&in6);
  return {bytes, bytes + sizeof in6};
}

World::World(std::size_t memory) : memory_(memory) {
  pump_.call([&] {
    network_ = std::make_unique<net::Network>(&pump_, net::NetworkOptions{}, [](int) {});
    host_ = std::make_unique<lwip::Host>(&pump_, [](uint64_t, lwip::Event, int) {});
    if (host_->open() != 0) fail("the host does not open");
    make_side(&left_, 1);
    make_side(&right_, 2);
    net::PortConfig config;
    config.kind = net::PortKind::kInternal;
    config.vnet_header = true;
    config.make = [&](net::Network* network, int number, net::PortConfig made) {
      auto port = std::make_unique<Intruder>(network, number, std::move(made));
      intruder_ = port.get();
      return port;
    };
    return network_->add_port(std::move(config));
  });
  const Station stranger{{2, 0, 0, 0, 0, 9}, 9};
  seeds_ = seeds(left_.station, stranger);
  for (Bytes& seed : seeds(left_.station, right_.station)) seeds_.push_back(std::move(seed));
  for (Bytes& seed : seeds(right_.station, left_.station)) seeds_.push_back(std::move(seed));
  const Station all{{255, 255, 255, 255, 255, 255}, 255};
  for (Bytes& seed : seeds(all, stranger)) seeds_.push_back(std::move(seed));
  live();
}

World::~World() {
  for (Side* side : {&left_, &right_}) {
    for (const int fd : side->fds) close(fd);
  }
  pump_.call([&] {
    for (Side* side : {&left_, &right_}) {
      side->stack->close();
      if (side->stack->memory().used() != 0 && !side->stack->failed()) fail("memory is not given back");
      pump_.retire(std::move(side->stack));
    }
    network_->close();
    host_->close();
    return 0;
  });
}

void World::make_side(Side* side, uint8_t host) {
  side->stack = std::make_unique<lwip::Stack>(host_.get(), memory_);
  const int index = side->stack->add_interface("vde0", network_.get(), 1500);
  if (index < 0) fail("no interface");
  const lwip::Inside inside(&side->stack->image());
  lwip::Interface* interface = side->stack->interface(index);
  interface->set_up(true);
  ip_addr_t four, six;
  ip_addr_set_ip4_u32_val(four, htonl(0x0a000000u + host));
  ip6_addr_t ip = {};
  IP6_ADDR(&ip, PP_HTONL(0xfc000000u), 0, 0, lwip_htonl(host));
  ip_addr_copy_from_ip6(six, ip);
  if (interface->add_address(four, 24, false) != 0 || interface->add_address(six, 64, false) != 0) fail("no address");
  for (const ip_addr_t& address : {four, six}) {
    lwip::Route route;
    route.destination = address;
    route.prefix = IP_IS_V6_VAL(address) ? 64 : 24;
    route.interface = index;
    side->stack->routes().add(route);
  }
  side->station = {interface->mac(), host};
  new_socket(side, AF_INET6, SOCK_STREAM, 0, 7);
  new_socket(side, AF_INET6, SOCK_DGRAM, 0, 9);
  new_socket(side, AF_INET, SOCK_DGRAM, IPPROTO_ICMP, 0);
  new_socket(side, AF_INET, SOCK_RAW, IPPROTO_ICMP, 0);
  new_socket(side, AF_INET6, SOCK_RAW, IPPROTO_ICMPV6, 0);
}

// The guest's end; under the lock. Streams with a port listen.
int World::new_socket(Side* side, int family, int type, int protocol, int port) {
  const int fd = lwip::make_socket(side->stack.get(), family, type, protocol);
  if (fd == -ENOBUFS && memory_ == kTight) return fd;
  if (fd < 0) fail("no socket");
  fcntl(fd, F_SETFL, O_NONBLOCK);
  side->fds.push_back(fd);
  lwip::Sock* sock = host_->identify(fd);
  const lwip::Inside inside(&side->stack->image());
  if (port != 0 && sock->bind(fd, address_of(family, 0, port)) != 0) fail("bind");
  if (port != 0 && type == SOCK_STREAM && sock->listen(fd, 16) != 0) fail("listen");
  return fd;
}

void World::connect(Side* side, int fd, int family, int port, int host) {
  if (fd < 0) return;
  lwip::Sock* sock = host_->identify(fd);
  const lwip::Inside inside(&side->stack->image());
  sock->connect(fd, address_of(family, host, port), false);
}

// The guests' life: they accept, read, write, close and connect.
void World::live() {
  char bytes[4096];
  for (Side* side : {&left_, &right_}) {
    const int accepted = accept4(side->fds[0], nullptr, nullptr, SOCK_NONBLOCK);
    if (accepted >= 0) side->fds.push_back(accepted);
    for (std::size_t i = 1; i < side->fds.size(); ++i) {
      const int fd = side->fds[i];
      if (recv(fd, bytes, sizeof bytes, MSG_DONTWAIT) == 0 && i >= 5) {
        close(fd);
        side->fds.erase(side->fds.begin() + static_cast<long>(i--));
      } else if (chance(50)) {
        send(fd, bytes, pick(1999) + 1, MSG_DONTWAIT | MSG_NOSIGNAL);
      }
    }
    if (side->fds.size() > 40) {
      close(side->fds.back());
      side->fds.pop_back();
    }
  }
  pump_.call([&] {
    const int family = chance(50) ? AF_INET : AF_INET6;
    const int fd = new_socket(&left_, family, SOCK_STREAM, 0, 0);
    connect(&left_, fd, family, 7, 2);
    const int datagrams = new_socket(&right_, family, SOCK_DGRAM, 0, 0);
    connect(&right_, datagrams, family, 9, 1);
    return 0;
  });
}

Bytes World::next_frame(net::VnetHeader* header) {
  Bytes frame;
  if (chance(50) && !intruder_->heard.empty()) {
    frame = intruder_->heard[pick(static_cast<unsigned>(intruder_->heard.size() - 1))];
    std::memcpy(header, frame.data(), sizeof *header);
    frame.erase(frame.begin(), frame.begin() + sizeof *header);
    if (chance(15)) {
      frame = complaint(frame);
      *header = {};
    } else {
      play(&frame);
    }
  } else {
    frame = seeds_[pick(static_cast<unsigned>(seeds_.size() - 1))];
  }
  if (chance(70)) change(&frame);
  if (chance(80)) mend(&frame);
  wrap(&frame);
  if (chance(80)) {
    header->flags = kDataValid;
  } else if (chance(10)) {
    for (std::size_t i = 0; i < sizeof *header; ++i) reinterpret_cast<uint8_t*>(header)[i] = static_cast<uint8_t>(pick(255));
  }
  if (frame.size() > net::kMaxPlainFrame) frame.resize(net::kMaxPlainFrame);
  return frame;
}

void World::attack(std::size_t frames) {
  for (std::size_t done = 0; done < frames; done += kFramesPerTurn) {
    pump_.call([&] {
      for (std::size_t i = 0; i < kFramesPerTurn; ++i) {
        net::VnetHeader header = {};
        const Bytes frame = next_frame(&header);
        ++layers[layer_of(frame)];
        intruder_->speak(frame, header);
      }
      return 0;
    });
    if (left_.stack->failed() || right_.stack->failed()) fail("a frame has taken a stack down");
    if (done % (kFramesPerTurn * 16) == 0) live();
  }
}

bool World::works() {
  for (const int family : {AF_INET, AF_INET6}) {
    int fd = -1;
    pump_.call([&] {
      fd = new_socket(&left_, family, SOCK_STREAM, 0, 0);
      connect(&left_, fd, family, 7, 2);
      return 0;
    });
    pollfd state{fd, POLLOUT, 0};
    if (poll(&state, 1, 5000) != 1 || send(fd, "ciao\n", 5, MSG_NOSIGNAL) != 5) return false;
    for (bool found = false; !found;) {
      pollfd waiting{right_.fds[0], POLLIN, 0};
      if (poll(&waiting, 1, 5000) != 1) return false;
      const int accepted = accept(right_.fds[0], nullptr, nullptr);
      char bytes[16] = {};
      pollfd ready{accepted, POLLIN, 0};
      found = poll(&ready, 1, 1000) == 1 && recv(accepted, bytes, sizeof bytes, 0) == 5 && std::strcmp(bytes, "ciao\n") == 0;
      close(accepted);
    }
  }
  return true;
}

}  // namespace

int main(int argc, char** argv) {
  const double limit = argc > 1 ? std::strtod(argv[1], nullptr) : 10;
  const uint64_t seed = argc > 2 ? std::strtoull(argv[2], nullptr, 10) : std::random_device()();
  const std::size_t most = argc > 3 ? std::strtoull(argv[3], nullptr, 10) : std::numeric_limits<std::size_t>::max();
  std::printf("seed %llu\n", static_cast<unsigned long long>(seed));
  std::fflush(stdout);
  generator.seed(seed);
  const auto start = std::chrono::steady_clock::now();
  const auto seconds = [start] {
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  };
  std::size_t frames = 0;
  for (unsigned turn = 0; frames < most && (frames == 0 || seconds() < limit); ++turn) {
    World world(turn % 4 == 3 ? kTight : lwip::Memory::kDefault);
    if (!world.works()) fail("two new stacks do not reach each other");
    world.attack(kFramesPerWorld);
    frames += kFramesPerWorld;
  }
  for (const auto& [layer, count] : layers) std::printf("%9zu %s\n", count, layer.c_str());
  rusage usage;
  getrusage(RUSAGE_SELF, &usage);
  std::printf("ok: %zu frames, %.1f s, at most %ld MiB\n", frames, seconds(), usage.ru_maxrss / 1024);
}
