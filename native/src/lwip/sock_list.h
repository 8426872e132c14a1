#pragma once

#include <sys/types.h>

#include <vector>

#include "lwip/endpoint.h"

namespace umvu::lwip {

// A socket as /proc/net/{tcp,udp,raw,icmp} shows it.
struct Connection {
  int domain;
  int type;
  int protocol;
  int state;  // as Linux numbers those of TCP (TCP_ESTABLISHED, …); 7 of others that are not connected
  Endpoint local, remote;
  ino_t inode;  // 0: not known
  uint32_t unsent;  // bytes that were not acknowledged
  bool v6only;
};

// All sockets that have an address. Inside the image.
std::vector<Connection> list_connections(Stack& stack);

}  // namespace umvu::lwip
