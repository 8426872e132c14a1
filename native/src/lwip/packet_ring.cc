#include "lwip/packet_ring.h"

#include <fcntl.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <ctime>

namespace umvu::lwip {
namespace {

constexpr std::size_t kMost = 64 << 20;  // bytes of a ring
constexpr uint64_t kLongestPause = 64;   // ms
constexpr uint64_t kGrace = 1000;        // ms that mmap(2) may take
// struct tpacket_block_desc, and the private room after it, are aligned to 8.
constexpr std::size_t align8(std::size_t size) { return (size + 7) & ~std::size_t{7}; }
constexpr std::size_t align16(std::size_t size) { return TPACKET_ALIGN(size); }

uint64_t now_ms() {
  timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return static_cast<uint64_t>(now.tv_sec) * 1000 + static_cast<uint64_t>(now.tv_nsec) / 1000000;
}

std::size_t header_size(int version) {
  return version == TPACKET_V1 ? sizeof(tpacket_hdr) : version == TPACKET_V2 ? sizeof(tpacket2_hdr) : sizeof(tpacket3_hdr);
}

// Where the network header lies in a frame of the ring.
std::size_t network_offset(int version, std::size_t reserve, std::size_t header) {
  const std::size_t fixed = align16(header_size(version)) + sizeof(sockaddr_ll);
  return header == 0 ? align16(fixed) + 16 + reserve : align16(fixed + std::max<std::size_t>(header, 16)) + reserve;
}

}  // namespace

PacketRing::PacketRing(net::Pump* pump, int far, int version, std::size_t reserve)
    : pump_(pump), far_(far), version_(version), reserve_(reserve) {}

PacketRing::~PacketRing() = default;

std::unique_ptr<PacketRing> PacketRing::make(net::Pump* pump, int far, int version, std::size_t reserve,
                                             std::span<const uint8_t> request, int* error) {
  std::unique_ptr<PacketRing> ring(new PacketRing(pump, far, version, reserve));
  *error = ring->prepare(request);
  return *error == 0 ? std::move(ring) : nullptr;
}

// As packet_set_ring() of the kernel judges.
int PacketRing::check(std::size_t least) const {
  const tpacket_req3& r = request_;
  const auto page = static_cast<std::size_t>(sysconf(_SC_PAGESIZE));
  if (r.tp_block_size == 0 || r.tp_block_size > kMost || r.tp_block_size % page != 0) return -EINVAL;
  if (r.tp_frame_size < least || r.tp_frame_size % TPACKET_ALIGNMENT != 0) return -EINVAL;
  if (version_ == TPACKET_V3 && align8(sizeof(tpacket_block_desc)) + align8(r.tp_sizeof_priv) + least > r.tp_block_size) {
    return -EINVAL;
  }
  const uint64_t frames = r.tp_block_size / r.tp_frame_size;
  if (frames == 0 || frames * r.tp_block_nr != r.tp_frame_nr) return -EINVAL;
  return uint64_t{r.tp_block_size} * r.tp_block_nr > kMost ? -ENOMEM : 0;
}

int PacketRing::prepare(std::span<const uint8_t> request) {
  std::memcpy(&request_, request.data(), version_ == TPACKET_V3 ? sizeof(tpacket_req3) : sizeof(tpacket_req));
  if (version_ == TPACKET_V3 && request_.tp_sizeof_priv > kMost) return -EINVAL;
  if (const int result = check(align16(header_size(version_)) + sizeof(sockaddr_ll) + reserve_); result != 0) return result;
  memory_.reset(memfd_create("umvu-ring", MFD_CLOEXEC | MFD_ALLOW_SEALING));
  if (!memory_) return -errno;
  if (ftruncate(memory_.get(), static_cast<off_t>(size())) != 0) return -ENOMEM;
  if (fcntl(memory_.get(), F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW) != 0) return -errno;
  timer_.reset(timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK));
  if (!timer_) return -errno;
  return pump_->watch(timer_.get(), EPOLLIN, this);
}

void PacketRing::stop() {
  if (timer_) pump_->unwatch(timer_.get());
  timer_.reset();
  near_.reset();
}

int PacketRing::map(int guest) {
  net::UniqueFd copy(fcntl(memory_.get(), F_DUPFD_CLOEXEC, 0));
  if (!copy) return -errno;
  near_.reset(fcntl(guest, F_DUPFD_CLOEXEC, 0));
  if (!near_) return -errno;
  mapped_at_ = now_ms();
  if (unread()) signal();
  return copy.release();
}

// Memory that somebody can write to cannot be sealed. (Once it is, nobody gets a mapping any more.)
bool PacketRing::mapped() {
  if (!near_ || now_ms() - mapped_at_ < kGrace) return true;
  return fcntl(memory_.get(), F_ADD_SEALS, F_SEAL_WRITE) != 0;
}

uint32_t PacketRing::take_freezes() {
  const uint32_t freezes = freezes_;
  freezes_ = 0;
  return freezes;
}

bool PacketRing::store(std::size_t offset, const void* bytes, std::size_t size) {
  return pwrite(memory_.get(), bytes, size, static_cast<off_t>(offset)) == static_cast<ssize_t>(size);
}

// Whether the status word at `offset` says that the guest is done with it.
bool PacketRing::free_at(std::size_t offset, std::size_t width) {
  uint64_t status = 0;
  if (pread(memory_.get(), &status, width, static_cast<off_t>(offset)) != static_cast<ssize_t>(width)) return false;
  return status == TP_STATUS_KERNEL;
}

bool PacketRing::put(const RingFrame& frame) {
  const bool done = version_ == TPACKET_V3 ? put_in_block(frame) : put_frame(frame);
  if (!done && !frozen_) ++freezes_;
  frozen_ = !done;
  return done;
}

// -- Versions 1 and 2: one frame after the other -----------------------------------------------------------

std::size_t PacketRing::offset_of(uint32_t frame) const {
  const uint32_t each = request_.tp_block_size / request_.tp_frame_size;
  return size_t{frame / each} * request_.tp_block_size + size_t{frame % each} * request_.tp_frame_size;
}

bool PacketRing::put_frame(const RingFrame& frame) {
  const std::size_t at = offset_of(next_);
  const bool first = version_ == TPACKET_V1;
  const std::size_t width = first ? sizeof(unsigned long) : sizeof(uint32_t);
  if (!free_at(at, width)) return false;
  const std::size_t net = network_offset(version_, reserve_, frame.header), mac = net - frame.header;
  const std::size_t room = request_.tp_frame_size > mac ? request_.tp_frame_size - mac : 0;
  const auto kept = static_cast<uint32_t>(std::min(frame.bytes.size(), room));
  timespec time;
  clock_gettime(CLOCK_REALTIME, &time);
  uint8_t head[96] = {};
  const uint32_t status = TP_STATUS_USER | frame.status;
  if (first) {
    tpacket_hdr header = {};
    header.tp_len = static_cast<uint32_t>(frame.length);
    header.tp_snaplen = kept;
    header.tp_mac = static_cast<uint16_t>(mac);
    header.tp_net = static_cast<uint16_t>(net);
    header.tp_sec = static_cast<uint32_t>(time.tv_sec);
    header.tp_usec = static_cast<uint32_t>(time.tv_nsec / 1000);
    std::memcpy(head, &header, sizeof header);
  } else {
    tpacket2_hdr header = {};
    header.tp_len = static_cast<uint32_t>(frame.length);
    header.tp_snaplen = kept;
    header.tp_mac = static_cast<uint16_t>(mac);
    header.tp_net = static_cast<uint16_t>(net);
    header.tp_sec = static_cast<uint32_t>(time.tv_sec);
    header.tp_nsec = static_cast<uint32_t>(time.tv_nsec);
    std::memcpy(head, &header, sizeof header);
  }
  const std::size_t head_size = align16(header_size(version_));
  std::memcpy(head + head_size, &frame.from, sizeof frame.from);
  // The status comes last: then the guest may read the rest.
  const unsigned long word = status;
  if (!store(at + width, head + width, head_size + sizeof frame.from - width) ||
      !store(at + mac, frame.bytes.data(), kept) || !store(at, &word, width)) {
    return false;
  }
  next_ = (next_ + 1) % request_.tp_frame_nr;
  signal();
  return true;
}

// -- Version 3: blocks of frames ---------------------------------------------------------------------------

bool PacketRing::open_block() {
  const std::size_t at = size_t{next_} * request_.tp_block_size;
  if (!free_at(at + offsetof(tpacket_block_desc, hdr.bh1.block_status), sizeof(uint32_t))) return false;
  block_ = {};
  block_.version = TPACKET_V3;
  block_.offset_to_priv = sizeof(tpacket_block_desc);
  used_ = align8(sizeof(tpacket_block_desc)) + align8(request_.tp_sizeof_priv);
  block_.hdr.bh1.offset_to_first_pkt = static_cast<uint32_t>(used_);
  block_.hdr.bh1.seq_num = ++sequence_;
  last_ = 0;
  open_ = true;
  opened_at_ = now_ms();
  schedule();
  return true;
}

bool PacketRing::put_in_block(const RingFrame& frame) {
  const std::size_t net = network_offset(version_, reserve_, frame.header), mac = net - frame.header;
  const std::size_t empty = align8(sizeof(tpacket_block_desc)) + align8(request_.tp_sizeof_priv);
  const std::size_t most = request_.tp_block_size - empty;
  if (most < mac + 8) return false;
  const std::size_t kept = std::min(frame.bytes.size(), most - mac - 8);
  const std::size_t whole = align8(mac + kept);
  if (open_ && used_ + whole > request_.tp_block_size) close_block(0);
  if (!open_ && !open_block()) return false;
  timespec time;
  clock_gettime(CLOCK_REALTIME, &time);
  const std::size_t at = size_t{next_} * request_.tp_block_size + used_;
  tpacket3_hdr header = {};
  header.tp_sec = static_cast<uint32_t>(time.tv_sec);
  header.tp_nsec = static_cast<uint32_t>(time.tv_nsec);
  header.tp_snaplen = static_cast<uint32_t>(kept);
  header.tp_len = static_cast<uint32_t>(frame.length);
  header.tp_status = TP_STATUS_USER | frame.status;
  header.tp_mac = static_cast<uint16_t>(mac);
  header.tp_net = static_cast<uint16_t>(net);
  header.tp_next_offset = static_cast<uint32_t>(whole);
  if (!store(at, &header, sizeof header) || !store(at + align16(sizeof header), &frame.from, sizeof frame.from) ||
      !store(at + mac, frame.bytes.data(), kept)) {
    return false;
  }
  tpacket_hdr_v1& sums = block_.hdr.bh1;
  sums.ts_last_pkt.ts_sec = header.tp_sec;
  sums.ts_last_pkt.ts_nsec = header.tp_nsec;
  if (sums.num_pkts++ == 0) sums.ts_first_pkt = sums.ts_last_pkt;
  last_ = at;
  used_ += whole;
  return true;
}

void PacketRing::close_block(uint32_t status) {
  const std::size_t at = size_t{next_} * request_.tp_block_size;
  const uint32_t none = 0;
  store(last_ + offsetof(tpacket3_hdr, tp_next_offset), &none, sizeof none);
  block_.hdr.bh1.blk_len = static_cast<uint32_t>(used_);
  const std::size_t word = offsetof(tpacket_block_desc, hdr.bh1.block_status);
  const auto* bytes = reinterpret_cast<const uint8_t*>(&block_);
  store(at, bytes, word);
  store(at + word + sizeof(uint32_t), bytes + word + sizeof(uint32_t), sizeof block_ - word - sizeof(uint32_t));
  const uint32_t user = TP_STATUS_USER | status;
  store(at + word, &user, sizeof user);
  open_ = false;
  next_ = (next_ + 1) % request_.tp_block_nr;
  signal();
}

// -- Telling the guest --------------------------------------------------------------------------------------

void PacketRing::signal() {
  if (!near_) return;
  pause_ = 1;
  if (!signalled_) {
    const uint8_t byte = 0;
    signalled_ = send(far_, &byte, sizeof byte, MSG_DONTWAIT | MSG_NOSIGNAL) == sizeof byte;
  }
  schedule();
}

// What poll(2) of the kernel looks at: the guest hands back in order, so when the newest is free, all are.
bool PacketRing::unread() {
  if (version_ == TPACKET_V3) {
    const uint32_t last = (next_ + request_.tp_block_nr - 1) % request_.tp_block_nr;
    return !free_at(size_t{last} * request_.tp_block_size + offsetof(tpacket_block_desc, hdr.bh1.block_status),
                    sizeof(uint32_t));
  }
  const uint32_t last = (next_ + request_.tp_frame_nr - 1) % request_.tp_frame_nr;
  return !free_at(offset_of(last), version_ == TPACKET_V1 ? sizeof(unsigned long) : sizeof(uint32_t));
}

void PacketRing::unsignal() {
  uint8_t byte;
  recv(near_.get(), &byte, sizeof byte, MSG_DONTWAIT);
  signalled_ = false;
}

void PacketRing::on_events(uint32_t) {
  uint64_t expirations;
  if (!timer_ || read(timer_.get(), &expirations, sizeof expirations) < 0) return;
  if (open_ && block_age() >= block_limit()) {
    close_block(TP_STATUS_BLK_TMO);
  } else {
    pause_ = std::min(pause_ * 2, kLongestPause);
  }
  if (near_ && signalled_ && !unread()) unsignal();
  // With the last copy goes the socket, which its owner then hears of.
  if (!mapped()) near_.reset();
  schedule();
}

uint64_t PacketRing::block_age() const { return now_ms() - opened_at_; }

// Where the guest gave no time, the kernel chooses one that fits the speed of the link.
uint64_t PacketRing::block_limit() const { return request_.tp_retire_blk_tov == 0 ? 8 : request_.tp_retire_blk_tov; }

// Sets the timer to what comes first: the end of the open block, or the next look at what the guest has read.
void PacketRing::schedule() {
  uint64_t ms = 0;
  if (open_) ms = std::max<uint64_t>(1, block_limit() - std::min(block_limit(), block_age()));
  if (signalled_ && near_) ms = ms == 0 ? pause_ : std::min(ms, pause_);
  if (ms == 0) return;
  itimerspec when = {};
  when.it_value.tv_sec = static_cast<time_t>(ms / 1000);
  when.it_value.tv_nsec = static_cast<long>(ms % 1000 * 1000000);
  timerfd_settime(timer_.get(), 0, &when, nullptr);
}

}  // namespace umvu::lwip
