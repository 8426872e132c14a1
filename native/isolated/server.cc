#include "server.h"

#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "lists.h"
#include "lwip/configuration.h"
#include "lwip/endpoint.h"
#include "lwip/packet_io.h"
#include "lwip/sock_calls.h"
#include "status.h"

namespace umvu::isolated {
namespace {

std::string text_of(std::span<const uint8_t> bytes) { return {bytes.begin(), bytes.end()}; }

void put_kind(const lwip::Sock& sock, std::vector<uint8_t>* out) {
  const Kind kind{sock.id(), sock.domain(), sock.type(), sock.protocol(), 0};
  const auto* data = reinterpret_cast<const uint8_t*>(&kind);
  out->assign(data, data + sizeof kind);
}

}  // namespace

Server::Server(int requests, int events)
    : channel_(requests), events_(&pump_, events),
      host_(&pump_, [this](uint64_t id, lwip::Event event, int value) { heard(id, event, value); }) {
  host_.tell_ends();
}

Server::~Server() { close(); }

int Server::run() {
  for (;;) {
    Call call;
    if (!channel_.receive(&call)) return 0;
    if (!channel_.reply(answer(&call), call)) return 0;
  }
}

void Server::heard(uint64_t id, lwip::Event event, int value) {
  // The stack has said why, and has cut its sockets. lwIP must not be called any more.
  if (stack_ && id == stack_->id() && event == lwip::Event::kFailed) _exit(kFailed);
  events_.tell(id, static_cast<uint32_t>(event), value);
}

void Server::close() {
  if (!stack_) return;
  pump_.call([this] {
    stack_->close();
    for (const auto& network : networks_) network->close();
    events_.shut();
    host_.close();
    pump_.retire(std::move(stack_));
    return 0;
  });
}

int Server::answer(Call* call) {
  const Op op = call->head.op;
  if (op == Op::kHello) return hello(call);
  if (!stack_) return -ENETDOWN;
  if (op >= Op::kSetLink && op <= Op::kSetForwarding) return inside([&] { return configure(call); });
  if (op >= Op::kLinks && op <= Op::kConnections) return begin_list(call);
  if (op >= Op::kBind && op < Op::kCount) return with_sock(call);
  switch (op) {
    case Op::kAddInterface: return add_interface(call);
    case Op::kSocket: return make_socket(call);
    case Op::kIdentify: return identify(call);
    case Op::kMore: return go_on(call);
    case Op::kCountSockets:
      return pump_.call([this] {
        host_.sweep();
        return static_cast<int>(stack_->socks().size());
      });
    case Op::kMemory: return inside([this] { return static_cast<int>(stack_->memory().used() >> 10); });
    case Op::kFail: return inside([] { return static_cast<int>(pbuf_free(nullptr)); });
    case Op::kClose: close(); return 0;
    default: return -ENOSYS;
  }
}

int Server::hello(Call* call) {
  if (call->head.a != kVersion || stack_) return -EPROTO;
  const std::size_t memory = call->head.id != 0 ? call->head.id : lwip::Memory::kDefault;
  const int result = pump_.call([this, memory] {
    const int opened = host_.open();
    if (opened == 0) stack_ = std::make_unique<lwip::Stack>(&host_, memory);
    return opened;
  });
  if (result != 0) return result;
  const std::string name = host_.name_of(7);
  call->out.assign(name.begin() + 1, name.end() - 1);
  return static_cast<int>(stack_->id());
}

int Server::add_interface(Call* call) {
  if (!call->fd) return -EBADF;
  auto made = std::make_unique<net::Network>(&pump_, net::NetworkOptions{}, [](int) {});
  net::Network* network = made.get();
  networks_.push_back(std::move(made));
  net::PortConfig config;
  config.kind = net::PortKind::kProcess;
  config.fd = std::move(call->fd);
  config.vnet_header = true;
  config.keeps_reading = true;
  // Without the way out the interface has no carrier.
  config.on_removed = [network] { network->close(); };
  return pump_.call([&] {
    const int port = network->add_port(std::move(config));
    if (port < 0) return port;
    return stack_->run([&] { return stack_->add_interface(text_of(call->bytes), network, call->head.a); });
  });
}

int Server::make_socket(Call* call) {
  const Request& head = call->head;
  const int fd = inside([&] { return lwip::make_socket(stack_.get(), head.a, head.b, head.c); });
  if (fd < 0) return fd;
  call->out_fd.reset(fd);
  return pump_.call([&] {
    const lwip::Sock* sock = host_.identify(fd);
    if (sock == nullptr) return -ENETDOWN;
    put_kind(*sock, &call->out);
    return 0;
  });
}

int Server::identify(Call* call) {
  return pump_.call([&] {
    const lwip::Sock* sock = host_.identify(call->fd.get());
    if (sock == nullptr) return -ENOENT;
    put_kind(*sock, &call->out);
    return 0;
  });
}

int Server::configure(Call* call) {
  const Request& head = call->head;
  const std::span<const uint8_t> bytes = call->bytes;
  switch (head.op) {
    case Op::kSetLink:
      if (bytes.size() < 7) return -EINVAL;
      return lwip::set_link(stack_.get(), head.a, text_of(bytes.subspan(6)), head.b != 0, head.c, bytes.first(6));
    case Op::kSetAddress: return lwip::set_address(stack_.get(), head.a, bytes, head.b, head.c != 0);
    case Op::kSetRoute: return lwip::set_route(stack_.get(), head.a != 0, bytes);
    case Op::kSetNeighbour: {
      const auto size = static_cast<std::size_t>(head.b);
      if (size > bytes.size()) return -EINVAL;
      return lwip::set_neighbour(stack_.get(), head.a, bytes.first(size), bytes.subspan(size));
    }
    default:
      stack_->set_forwarding(false, head.a != 0);
      stack_->set_forwarding(true, head.b != 0);
      return 0;
  }
}

int Server::begin_list(Call* call) {
  const int result = inside([&] {
    list_ = list(call->head.op, stack_.get());
    return 0;
  });
  return result < 0 ? result : go_on(call);
}

int Server::go_on(Call* call) {
  const std::size_t size = std::min(list_.size(), kMostBytes);
  const auto end = list_.begin() + static_cast<std::ptrdiff_t>(size);
  call->out.assign(list_.begin(), end);
  list_.erase(list_.begin(), end);
  call->more = static_cast<uint32_t>(list_.size());
  return 0;
}

int Server::with_sock(Call* call) {
  const auto once = [&] {
    lwip::Sock* sock = host_.find(call->head.id);
    if (sock == nullptr) return -EBADF;
    return sock->stack().run([&] { return on_sock(call, sock); });
  };
  return pump_.call([&] {
    const int result = once();
    if (result != -EADDRINUSE) return result;
    // The guest may have closed what has the address, of which the thread has not taken notice yet.
    pump_.catch_up();
    return once();
  });
}

int Server::on_sock(Call* call, lwip::Sock* sock) {
  const Request& head = call->head;
  std::span<const uint8_t> bytes = call->bytes;
  std::vector<uint8_t>& out = call->out;
  const int guest = call->fd.get();
  int result;
  switch (head.op) {
    case Op::kBind: return sock->bind(guest, bytes);
    case Op::kConnect: return sock->connect(guest, bytes, head.a != 0);
    case Op::kListen: return sock->listen(guest, head.a);
    case Op::kShutdown: return sock->shutdown(guest, head.a);
    case Op::kSetOption: return sock->set_option(guest, head.a, head.b, bytes);
    case Op::kLook: return lwip::look(sock);
    case Op::kFinishReset: return lwip::finish_reset(sock);
    case Op::kName:
      out.resize(lwip::kLongestAddress);
      result = sock->name(head.a != 0, out.data());
      break;
    case Op::kGetOption:
      out.assign(bytes.begin(), bytes.end());
      result = lwip::get_option(sock, head.a, head.b, out);
      break;
    case Op::kTakeQueued:
      out.resize(std::min(static_cast<std::size_t>(std::max(head.a, 0)), kMostBytes));
      result = lwip::take_queued(sock, out);
      break;
    case Op::kMap:
      result = lwip::map_ring(sock, guest, static_cast<uint32_t>(head.a));
      if (result < 0) return result;
      call->out_fd.reset(result);
      return 0;
    case Op::kSend: {
      lwip::Meta meta;
      if (head.a == 0) return lwip::send_message(sock, bytes, nullptr);
      if (bytes.size() < sizeof meta) return -EINVAL;
      std::memcpy(&meta, bytes.data(), sizeof meta);
      return lwip::send_message(sock, bytes.subspan(sizeof meta), &meta);
    }
    default: return -ENOSYS;
  }
  // What was written is as long as the result says.
  out.resize(std::min(out.size(), static_cast<std::size_t>(std::max(result, 0))));
  return result;
}

}  // namespace umvu::isolated
