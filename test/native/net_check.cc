// Self-checking program for native/src/net: segmentation against an independent reading of the
// result, and random input for everything that reads bytes of others. Built with sanitizers by
// test/ioth/offload.test.ts.
//
// Usage: net_check [SECONDS [SEED]]; one line per check, exit status 1 at the first that fails.
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <random>
#include <string>
#include <vector>

#include "net/frame_queue.h"
#include "net/offload.h"
#include "net/vde_protocol.h"

using namespace umvu::net;
using Bytes = std::vector<uint8_t>;

namespace {

std::mt19937 generator;
unsigned pick(unsigned most) { return std::uniform_int_distribution<unsigned>(0, most)(generator); }

#define EXPECT(condition)                                                 \
  do {                                                                    \
    if (!(condition)) {                                                   \
      std::printf("not ok: %s:%d: %s\n", __FILE__, __LINE__, #condition); \
      std::exit(1);                                                       \
    }                                                                     \
  } while (false)

void put16(Bytes* out, unsigned value) {
  out->push_back(static_cast<uint8_t>(value >> 8));
  out->push_back(static_cast<uint8_t>(value));
}
unsigned get16(const uint8_t* at) { return at[0] << 8 | at[1]; }

// RFC 1071 in its simplest form.
unsigned slow_sum(const uint8_t* bytes, size_t size, unsigned long sum = 0) {
  for (size_t i = 0; i < size; ++i) sum += i % 2 == 0 ? bytes[i] << 8 : bytes[i];
  while (sum >> 16) sum = (sum & 0xffff) + (sum >> 16);
  return static_cast<unsigned>(sum);
}

struct Shape {
  bool ipv6, udp;
  unsigned tags, extensions, ip_options, tcp_options;
  size_t payload, mss;
};

struct Built {
  Bytes frame;
  size_t l3, l4, data;
  VnetHeader header;
};

void put_ip(const Shape& shape, Bytes* f, size_t length) {
  const uint8_t protocol = shape.udp ? 17 : 6;
  if (!shape.ipv6) {
    f->push_back(static_cast<uint8_t>(0x45 + shape.ip_options));
    f->push_back(0);
    put16(f, static_cast<unsigned>(20 + shape.ip_options * 4 + length));
    const uint8_t rest[] = {0xff, 0xfe, 0x40, 0, 64, protocol, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2};
    f->insert(f->end(), rest, rest + sizeof rest);
    f->insert(f->end(), shape.ip_options * 4, 1);
    return;
  }
  const uint8_t first[] = {0x60, 0, 0, 0};
  f->insert(f->end(), first, first + 4);
  put16(f, static_cast<unsigned>(shape.extensions * 8 + length));
  f->push_back(shape.extensions > 0 ? 60 : protocol);
  f->push_back(64);
  for (int i = 0; i < 32; ++i) f->push_back(static_cast<uint8_t>(i));
  for (unsigned i = 0; i < shape.extensions; ++i) {
    const uint8_t option[] = {
        i + 1 < shape.extensions ? uint8_t{60} : protocol, 0, 1, 4, 0, 0, 0, 0};
    f->insert(f->end(), option, option + 8);
  }
}

Built build(const Shape& shape) {
  Built b;
  Bytes& f = b.frame;
  f.assign(12, 2);
  for (unsigned i = 0; i < shape.tags; ++i) {
    put16(&f, i + 1 < shape.tags ? 0x88a8 : 0x8100);
    put16(&f, 7);
  }
  put16(&f, shape.ipv6 ? 0x86dd : 0x0800);
  b.l3 = f.size();
  const size_t transport = shape.udp ? 8 : 20 + shape.tcp_options * 4;
  put_ip(shape, &f, transport + shape.payload);
  b.l4 = f.size();
  put16(&f, 1000);
  put16(&f, 2000);
  if (shape.udp) {
    put16(&f, static_cast<unsigned>(8 + shape.payload));
    put16(&f, 0);
  } else {
    const uint8_t tcp[] = {0xff,
                           0xff,
                           0xff,
                           0,
                           0,
                           0,
                           0,
                           1,
                           static_cast<uint8_t>((5 + shape.tcp_options) << 4),
                           0x80 | 0x10 | 0x08 | 0x01,
                           1,
                           0,
                           0,
                           0,
                           0,
                           0};
    f.insert(f.end(), tcp, tcp + sizeof tcp);
    f.insert(f.end(), shape.tcp_options * 4, 1);
  }
  b.data = f.size();
  for (size_t i = 0; i < shape.payload; ++i) f.push_back(static_cast<uint8_t>(pick(255)));
  b.header = {kNeedsCsum,
              shape.udp    ? kGsoUdpL4
              : shape.ipv6 ? kGsoTcp6
                           : kGsoTcp4,
              0,
              static_cast<uint16_t>(shape.mss),
              static_cast<uint16_t>(b.l4),
              static_cast<uint16_t>(shape.udp ? 6 : 16)};
  return b;
}

void check_segment(const Shape& shape, const Built& b, const uint8_t* s, size_t size, size_t index,
                   size_t count) {
  const bool last = index + 1 == count;
  EXPECT(size <= b.data + shape.mss && (last || size == b.data + shape.mss));
  const size_t length = size - b.l4;
  if (shape.ipv6) {
    EXPECT(get16(s + b.l3 + 4) == size - b.l3 - 40);
  } else {
    EXPECT(get16(s + b.l3 + 2) == size - b.l3);
    EXPECT(get16(s + b.l3 + 4) == ((0xfffe + index) & 0xffff));
    EXPECT(slow_sum(s + b.l3, b.l4 - b.l3) == 0xffff);
  }
  const unsigned long pseudo = slow_sum(s + b.l3 + (shape.ipv6 ? 8 : 12), shape.ipv6 ? 32 : 8) +
                               (shape.udp ? 17 : 6) + length;
  EXPECT(slow_sum(s + b.l4, length, pseudo) == 0xffff);
  if (shape.udp) {
    EXPECT(get16(s + b.l4 + 4) == length && get16(s + b.l4 + 6) != 0);
    return;
  }
  const uint32_t sequence = get16(s + b.l4 + 4) << 16 | get16(s + b.l4 + 6);
  EXPECT(sequence == static_cast<uint32_t>(0xffffff00 + index * shape.mss));
  EXPECT(s[b.l4 + 13] == ((index == 0 ? 0x80 : 0) | 0x10 | (last ? 0x09 : 0)));
}

void check_shape(const Shape& shape) {
  Built b = build(shape);
  const size_t whole = b.frame.size();
  if (pick(1))
    b.frame.insert(b.frame.end(), pick(40), 0xee);  // bytes after the packet are not data
  Segmenter segmenter;
  EXPECT(segmenter.plan(b.frame.data(), b.frame.size(), b.header));
  Bytes joined;
  for (size_t i = 0; i < segmenter.count(); ++i) {
    Bytes out(kMaxPlainFrame);
    const size_t size = segmenter.write(i, out.data());
    check_segment(shape, b, out.data(), size, i, segmenter.count());
    joined.insert(joined.end(), out.begin() + static_cast<long>(b.data),
                  out.begin() + static_cast<long>(size));
  }
  EXPECT(joined == Bytes(b.frame.begin() + static_cast<long>(b.data),
                         b.frame.begin() + static_cast<long>(whole)));
}

Shape random_shape() {
  Shape shape{pick(1) == 1, pick(3) == 0, pick(2), pick(3),
              pick(10),     pick(10),     0,       500 + pick(2000)};
  shape.payload = pick(64000);
  return shape;
}

// Writes all that can be written of a frame that somebody hostile has made.
void swallow(const Bytes& frame, const VnetHeader& header) {
  Segmenter segmenter;
  if (segmenter.plan(frame.data(), frame.size(), header)) {
    Bytes out(kMaxPlainFrame);
    EXPECT(segmenter.count() <= kMaxSegments);
    for (size_t i = 0; i < segmenter.count(); ++i)
      EXPECT(segmenter.write(i, out.data()) <= kMaxPlainFrame);
  }
  Bytes copy = frame;
  complete_checksum(copy.data(), copy.size(), header);
}

void mutate() {
  Shape shape = random_shape();
  shape.payload = pick(300);
  shape.mss = 1 + pick(200);
  Built b = build(shape);
  for (unsigned i = pick(4); i > 0; --i)
    b.frame[pick(static_cast<unsigned>(b.data) - 1)] = static_cast<uint8_t>(pick(255));
  if (pick(1)) b.frame.resize(pick(static_cast<unsigned>(b.frame.size())));
  b.frame.shrink_to_fit();
  if (pick(1)) {
    uint8_t bytes[sizeof b.header];
    std::memcpy(bytes, &b.header, sizeof bytes);
    bytes[pick(sizeof bytes - 1)] = static_cast<uint8_t>(pick(255));
    std::memcpy(&b.header, bytes, sizeof bytes);
  }
  swallow(b.frame, b.header);
}

void check_requests() {
  VdeRequest request{pick(1) ? 0 : pick(300), "/" + std::string(pick(106), 'p'),
                     std::string(pick(200), 'd')};
  Bytes bytes = encode_request(request);
  const auto parsed = parse_request(bytes.data(), bytes.size());
  EXPECT(parsed && parsed->path == request.path && parsed->port == request.port);
  EXPECT(parsed->description == request.description.substr(0, 127));
  for (unsigned i = pick(3); i > 0; --i)
    bytes[pick(static_cast<unsigned>(bytes.size()) - 1)] = static_cast<uint8_t>(pick(255));
  bytes.resize(pick(300));
  bytes.shrink_to_fit();
  if (const auto hostile = parse_request(bytes.data(), bytes.size())) {
    EXPECT(hostile->path.size() < 108 && hostile->path[0] == '/');
  }
  parse_address(bytes.data(), bytes.size());
}

void check_queue() {
  FrameQueue queue(4096, 1 + pick(40));
  std::deque<Bytes> model;
  for (int i = 0; i < 300; ++i) {
    if (pick(2) > 0) {
      Bytes record(1 + pick(600), static_cast<uint8_t>(i));
      if (queue.push(record.data(), record.size())) model.push_back(record);
    } else if (!queue.empty()) {
      size_t size;
      const uint8_t* bytes = queue.front(&size);
      EXPECT(!model.empty() && model.front() == Bytes(bytes, bytes + size));
      queue.pop();
      model.pop_front();
    }
    EXPECT(queue.empty() == model.empty());
  }
}

template <typename Check>
void repeat(const char* name, double seconds, Check check) {
  const auto end = std::chrono::steady_clock::now() + std::chrono::duration<double>(seconds);
  long rounds = 0;
  do {
    check();
    ++rounds;
  } while (std::chrono::steady_clock::now() < end);
  std::printf("ok: %s (%ld rounds)\n", name, rounds);
}

}  // namespace

int main(int argc, char** argv) {
  const double seconds = argc > 1 ? std::atof(argv[1]) : 1;
  generator.seed(argc > 2 ? static_cast<unsigned>(std::atoi(argv[2])) : 1);
  repeat("segments are whole frames", seconds / 4, [] { check_shape(random_shape()); });
  repeat("hostile frames", seconds / 4, mutate);
  repeat("requests", seconds / 4, check_requests);
  repeat("queues", seconds / 4, check_queue);
  return 0;
}
