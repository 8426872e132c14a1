#include "lwip_frames.h"

#include <initializer_list>

namespace {

void put(Bytes* out, std::initializer_list<int> bytes) {
  for (const int byte : bytes) out->push_back(static_cast<uint8_t>(byte));
}
void append(Bytes* out, const Bytes& more) { out->insert(out->end(), more.begin(), more.end()); }

void put_v6(Bytes* out, int host) { put(out, {0xfc, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, host}); }

Bytes ethernet(const Station& to, const Station& from, int type) {
  Bytes frame(to.mac.begin(), to.mac.end());
  frame.insert(frame.end(), from.mac.begin(), from.mac.end());
  put(&frame, {type >> 8, type});
  return frame;
}

Bytes ipv4(const Station& to, const Station& from, int protocol, const Bytes& payload, int fragment = 0) {
  Bytes frame = ethernet(to, from, 0x0800);
  put(&frame, {0x45, 0, 0, 0, 0x12, 0x34, fragment >> 8, fragment, 64, protocol, 0, 0, 10, 0, 0, from.host, 10, 0, 0, to.host});
  append(&frame, payload);
  return frame;
}

Bytes ipv6(const Station& to, const Station& from, int next, const Bytes& payload) {
  Bytes frame = ethernet(to, from, 0x86dd);
  put(&frame, {0x60, 0, 0, 0, 0, 0, next, 255});
  put_v6(&frame, from.host);
  put_v6(&frame, to.host);
  append(&frame, payload);
  return frame;
}

Bytes arp(const Station& to, const Station& from, int operation) {
  Bytes frame = ethernet(to, from, 0x0806);
  put(&frame, {0, 1, 8, 0, 6, 4, 0, operation});
  frame.insert(frame.end(), from.mac.begin(), from.mac.end());
  put(&frame, {10, 0, 0, from.host});
  frame.insert(frame.end(), to.mac.begin(), to.mac.end());
  put(&frame, {10, 0, 0, to.host});
  return frame;
}

Bytes tcp(int flags, bool options) {
  Bytes segment;
  put(&segment, {0x90, 0x01, 0, 7, 0, 0, 1, 0, 0, 0, 2, 0, options ? 0xa0 : 0x50, flags, 0x40, 0, 0, 0, 0, 0});
  // MSS, window scale, timestamps, SACK permitted.
  if (options) put(&segment, {2, 4, 5, 0xb4, 3, 3, 7, 1, 8, 10, 0, 0, 0, 1, 0, 0, 0, 0, 4, 2});
  return segment;
}

Bytes udp(int port, std::size_t size) {
  Bytes datagram;
  put(&datagram, {0x90, 0x02, 0, port, static_cast<int>((size + 8) >> 8), static_cast<int>(size + 8), 0, 0});
  datagram.resize(8 + size, 'x');
  return datagram;
}

// An ICMP message of either family.
Bytes icmp(int type, int code, const Bytes& rest) {
  Bytes message;
  put(&message, {type, code, 0, 0});
  append(&message, rest);
  return message;
}

// What stands behind the Ethernet header, as an error message quotes it.
Bytes quoted(const Bytes& frame) { return Bytes(frame.begin() + 14, frame.end()); }
Bytes with(Bytes first, const Bytes& second) {
  append(&first, second);
  return first;
}

// IPv4 options: record route, time stamp, loose source route, router alert, nothing but ends.
std::vector<Bytes> options4() {
  return {{7, 11, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0}, {68, 12, 5, 1, 0, 0, 0, 0, 0, 0, 0, 0}, {131, 7, 4, 10, 0, 0, 7, 0},
          {148, 4, 0, 0}, Bytes(40, 1)};
}

Bytes with_options(Bytes frame, const Bytes& options) {
  frame.insert(frame.begin() + 34, options.begin(), options.end());
  frame[14] = static_cast<uint8_t>(0x40 | (5 + options.size() / 4));
  return frame;
}

}  // namespace

std::vector<Bytes> seeds(const Station& to, const Station& from) {
  // Requests and answers, and what claims the address of another (gratuitous, and in vain).
  std::vector<Bytes> all{arp(to, from, 1), arp(to, from, 2), arp(to, {from.mac, to.host}, 1), arp(to, {from.mac, to.host}, 2),
                         arp({to.mac, from.host}, from, 1)};
  const auto four = [&](int protocol, const Bytes& payload, int fragment = 0) {
    all.push_back(ipv4(to, from, protocol, payload, fragment));
  };
  const auto six = [&](int next, const Bytes& payload) { all.push_back(ipv6(to, from, next, payload)); };
  const Bytes four_zeroes(4, 0);
  four(1, icmp(8, 0, Bytes(60, 'p')));
  // The frames that errors are about went the other way.
  for (const int code : {1, 3, 4}) {
    four(1, icmp(3, code, with({0, 0, 5, 0}, quoted(ipv4(from, to, 17, udp(9, 8))))));
    four(1, icmp(3, code, with({0, 0, 5, 0}, quoted(ipv4(from, to, 6, tcp(2, false))))));
  }
  four(1, icmp(11, 0, with(four_zeroes, quoted(ipv4(from, to, 17, udp(9, 8))))));
  four(2, {0x11, 10, 0, 0, 224, 0, 0, 251});                                 // IGMPv2 query
  four(2, {0x11, 10, 0, 0, 224, 0, 0, 1, 2, 125, 0, 1, 10, 0, 0, from.host});   // IGMPv3 query
  for (const int type : {0x12, 0x16, 0x17}) four(2, {static_cast<uint8_t>(type), 0, 0, 0, 224, 0, 0, 251});
  for (const Bytes& options : options4()) all.push_back(with_options(ipv4(to, from, 17, udp(9, 8)), options));
  all.push_back(with_options(ipv4(to, from, 6, tcp(2, false)), options4().front()));
  four(17, udp(9, 100));
  four(17, udp(9, 64), 0x2000);                                              // fragments
  four(17, Bytes(64, 'f'), 0x2009);
  four(17, Bytes(40, 'f'), 0x0011);
  for (const int flags : {2, 0x12, 0x10, 0x18, 0x11, 4, 0x29, 0}) {
    four(6, tcp(flags, flags == 2));
    six(6, tcp(flags, flags == 2));
  }
  six(58, icmp(128, 0, Bytes(60, 'p')));
  six(17, udp(9, 100));
  for (const int type : {1, 2, 3, 4}) six(58, icmp(type, 0, with({0, 0, 5, 0}, quoted(ipv6(from, to, 17, udp(9, 8))))));
  Bytes target(4, 0), link{1, 1};
  put_v6(&target, to.host);
  link.insert(link.end(), from.mac.begin(), from.mac.end());
  six(58, icmp(135, 0, with(target, link)));
  link[0] = 2;
  six(58, icmp(136, 0, with(with({0x60}, Bytes(target.begin() + 1, target.end())), link)));
  // A router's advertisement: lifetimes, link-layer address, MTU, prefix, DNS server.
  Bytes advert{64, 0, 7, 8, 0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 2, 0, 0, 0, 0, 9, 5, 1, 0, 0, 0, 0, 5, 0, 3, 4, 64, 0xc0};
  put(&advert, {0, 0, 14, 16, 0, 0, 7, 8, 0, 0, 0, 0, 0xfd, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0});
  put(&advert, {25, 3, 0, 0, 0, 0, 0, 60});
  put_v6(&advert, from.host);
  six(58, icmp(134, 0, advert));
  Bytes redirect = target;
  put_v6(&redirect, 77);
  six(58, icmp(137, 0, redirect));
  link[0] = 1;
  six(58, icmp(133, 0, with(four_zeroes, link)));                            // router solicitation
  link[0] = 2;
  for (const int type : {130, 131, 132, 143}) six(58, icmp(type, 0, Bytes(20, 0)));   // MLD
  // Who claims an address of the other, unsolicited.
  six(58, icmp(136, 0, with(with({0x20}, Bytes(target.begin() + 1, target.end())), link)));
  six(0, with({44, 0, 1, 4, 0, 0, 0, 0}, with({60, 0, 0, 1, 0, 0, 0, 8}, with({6, 0, 1, 4, 0, 0, 0, 0}, tcp(2, true)))));
  six(58, icmp(1, 4, with(four_zeroes, quoted(ipv6(from, to, 6, tcp(2, false))))));
  six(0, with({58, 0, 5, 2, 0, 0, 1, 0}, icmp(130, 0, Bytes(20, 0))));       // hop-by-hop: router alert
  six(60, with({17, 0, 1, 4, 0, 0, 0, 0}, udp(9, 8)));                       // destination options
  six(43, with({17, 0, 0, 0, 0, 0, 0, 0}, udp(9, 8)));                       // routing
  six(44, with({17, 0, 0, 1, 0, 0, 0, 9}, udp(9, 64)));                      // fragments
  six(44, with({17, 0, 0, 0x40, 0, 0, 0, 9}, Bytes(40, 'f')));
  return all;
}
