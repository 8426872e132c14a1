#include "lwip/sock_calls.h"

#include <algorithm>
#include <cerrno>
#include <vector>

#include "lwip/datagram.h"
#include "lwip/packet.h"
#include "lwip/stream.h"

namespace umvu::lwip {

int get_option(Sock* sock, int level, int name, std::span<uint8_t> out) {
  const int special = sock->special_option(level, name, out);
  if (special != -ENOPROTOOPT) return special;
  const std::vector<uint8_t>* value = sock->options().find(level, name);
  if (value == nullptr || value->empty()) return -ENOPROTOOPT;
  const std::size_t size = std::min(value->size(), out.size());
  std::copy_n(value->begin(), size, out.begin());
  return static_cast<int>(size);
}

int map_ring(Sock* sock, int guest, std::size_t size) {
  auto* packet = dynamic_cast<PacketSock*>(sock);
  return packet == nullptr ? -ENODEV : packet->map(guest, size);
}

int take_queued(Sock* sock, std::span<uint8_t> out) {
  auto* internet = dynamic_cast<InternetSock*>(sock);
  return internet == nullptr ? -EAGAIN : internet->take_queued(out);
}

int look(Sock* sock) {
  if (auto* datagram = dynamic_cast<DatagramSock*>(sock)) datagram->look();
  return 0;
}

int finish_reset(Sock* sock) {
  if (auto* stream = dynamic_cast<StreamSock*>(sock)) stream->finish_reset();
  return 0;
}

int send_message(Sock* sock, std::span<const uint8_t> bytes, const Meta* meta) {
  auto* datagram = dynamic_cast<DatagramSock*>(sock);
  return datagram == nullptr ? -EOPNOTSUPP : datagram->send_message(bytes, meta);
}

}  // namespace umvu::lwip
