// What becomes of frames before they are sent by the fuzzer, and what they are.
#pragma once

#include <random>

#include "lwip_frames.h"

// The one source of chance.
extern std::mt19937_64 generator;
// 0 to `most`.
unsigned pick(unsigned most);
bool chance(unsigned percent);

// A few random changes, mostly of the headers.
void change(Bytes* frame);
// Makes lengths and the IPv4 header's checksum what they should be.
void mend(Bytes* frame);
// A segment of a connection: other sequence numbers (near by, at the ends of windows, far away), flags, windows, options.
// Nothing happens to what is none.
void play(Bytes* frame);
// An ICMP error about `frame`, from whom it went to, to whom it came from; what is neither IPv4 nor IPv6 comes back as it is.
Bytes complaint(const Bytes& frame);
// Around the frame: a VLAN tag, an end before its end, or much behind its end.
void wrap(Bytes* frame);

// The innermost layer of a frame that is known here, by name.
const char* layer_of(const Bytes& frame);
