// The headers of lwIP, for the glue.
#pragma once

#include "lwip/etharp.h"
#include "lwip/ethip6.h"
#include "lwip/icmp.h"
#include "lwip/igmp.h"
#include "lwip/init.h"
#include "lwip/ip4_frag.h"
#include "lwip/ip6_frag.h"
#include "lwip/mld6.h"
#include "lwip/nd6.h"
#include "lwip/netif.h"
#include "lwip/pbuf.h"
#include "lwip/priv/nd6_priv.h"
#include "lwip/priv/tcp_priv.h"
#include "lwip/prot/ethernet.h"
#include "lwip/prot/ip4.h"
#include "lwip/prot/ip6.h"
#include "lwip/prot/tcp.h"
#include "lwip/raw.h"
#include "lwip/tcp.h"
#include "lwip/udp.h"

namespace umvu::lwip {

// Thrown through lwIP, whose data is worthless then: something that it takes for granted does not hold.
struct AssertionFailed {
  const char* text;
  const char* file;
  int line;
};

}  // namespace umvu::lwip
