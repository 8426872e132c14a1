#include "net/capture.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>

namespace umvu::net {
namespace {

constexpr uint32_t kSectionHeader = 0x0a0d0d0a, kInterfaceDescription = 1, kInterfaceStatistics = 5,
                   kEnhancedPacket = 6;
constexpr uint16_t kEndOfOptions = 0, kUserApplication = 4, kName = 2, kDescription = 3, kResolution = 9,
                   kFlags = 2, kReceived = 4, kDropped = 5;
constexpr uint32_t kByteOrder = 0x1a2b3c4d;
constexpr uint16_t kEthernet = 1;      // LINKTYPE_ETHERNET
constexpr uint8_t kNanoseconds = 9;    // 10^-9 s
constexpr std::size_t kMost = 8 << 20;  // bytes that may wait for the file
// Beyond this much they are written although the round goes on.
constexpr std::size_t kFull = 1 << 20;
// At the end: turns of a slow reader, and how long each may take, in ms.
constexpr int kPatience = 128, kPatienceMs = 10;

}  // namespace

Capture::Capture(Pump* pump, UniqueFd fd, std::function<void(int)> on_failed)
    : pump_(pump), fd_(std::move(fd)), on_failed_(std::move(on_failed)) {
  struct stat info;
  if (fstat(fd_.get(), &info) == 0 && !S_ISREG(info.st_mode)) {
    const int flags = fcntl(fd_.get(), F_GETFL);
    if (flags >= 0) fcntl(fd_.get(), F_SETFL, flags | O_NONBLOCK);
  }
  begin(kSectionHeader);
  append32(kByteOrder);
  const uint16_t version[2] = {1, 0};
  append(version, sizeof version);
  const int64_t unknown = -1;  // length of the section
  append(&unknown, sizeof unknown);
  option(kUserApplication, "umvu", 4);
  end();
  flush();
}

uint32_t Capture::add_interface(const std::string& name, const std::string& description) {
  begin(kInterfaceDescription);
  const uint16_t link[2] = {kEthernet, 0};
  append(link, sizeof link);
  append32(0);  // no limit to the length of frames
  option(kName, name.data(), name.size());
  option(kDescription, description.data(), description.size());
  option(kResolution, &kNanoseconds, sizeof kNanoseconds);
  end();
  interfaces_.emplace_back();
  pump_->soon(this);
  return static_cast<uint32_t>(interfaces_.size() - 1);
}

void Capture::write(uint32_t interface, Direction direction, const Frame& frame) {
  if (!fd_) return;
  Interface& seen = interfaces_[interface];
  ++seen.seen;
  if (buffer_.size() - written_ > kFull) flush();
  if (!fd_) return;
  if (buffer_.size() - written_ > kMost) {
    ++seen.lost;
    return;
  }
  const auto size = static_cast<uint32_t>(frame.size);
  begin(kEnhancedPacket);
  append32(interface);
  time_now();
  append32(size);  // as captured
  append32(size);  // as it was
  const std::size_t at = buffer_.size();
  append(frame.data(), size);
  const VnetHeader header = frame.header();
  // Where the header makes no sense, the frame is recorded as it came.
  if ((header.flags & kNeedsCsum) != 0) complete_checksum(buffer_.data() + at, size, header);
  const uint32_t flags = static_cast<uint32_t>(direction);
  option(kFlags, &flags, sizeof flags);
  end();
  pump_->soon(this);
}

void Capture::close() {
  if (!fd_) return;
  statistics();
  flush();
  // A reader that lags behind gets a moment.
  for (int i = 0; i < kPatience && fd_ && waiting_; ++i) {
    pollfd state{fd_.get(), POLLOUT, 0};
    if (poll(&state, 1, kPatienceMs) > 0) flush();
  }
  if (fd_) wait(false);
  fd_.reset();
}

// Blocks that say how many frames each interface had, and how many of them are not in the file.
void Capture::statistics() {
  for (uint32_t i = 0; i < interfaces_.size(); ++i) {
    begin(kInterfaceStatistics);
    append32(i);
    time_now();
    option(kReceived, &interfaces_[i].seen, sizeof(uint64_t));
    option(kDropped, &interfaces_[i].lost, sizeof(uint64_t));
    end();
  }
}

void Capture::on_events(uint32_t events) {
  if ((events & EPOLLERR) != 0) return fail(EPIPE);
  flush();
}

void Capture::append(const void* bytes, std::size_t size) {
  const auto* from = static_cast<const uint8_t*>(bytes);
  buffer_.insert(buffer_.end(), from, from + size);
  buffer_.resize(block_ + (buffer_.size() - block_ + 3) / 4 * 4);
}

void Capture::option(uint16_t code, const void* bytes, std::size_t size) {
  const uint16_t head[2] = {code, static_cast<uint16_t>(size)};
  append(head, sizeof head);
  append(bytes, size);
}

void Capture::begin(uint32_t type) {
  block_ = buffer_.size();
  append32(type);
  append32(0);  // the length, which end() knows
}

// All blocks that we write have options.
void Capture::end() {
  append32(kEndOfOptions);
  const auto size = static_cast<uint32_t>(buffer_.size() - block_ + sizeof(uint32_t));
  append32(size);
  std::memcpy(buffer_.data() + block_ + sizeof(uint32_t), &size, sizeof size);
}

void Capture::time_now() {
  timespec now;
  clock_gettime(CLOCK_REALTIME, &now);
  const uint64_t time = static_cast<uint64_t>(now.tv_sec) * 1000000000 + static_cast<uint64_t>(now.tv_nsec);
  append32(static_cast<uint32_t>(time >> 32));
  append32(static_cast<uint32_t>(time));
}

void Capture::flush() {
  while (fd_ && written_ < buffer_.size()) {
    const ssize_t done = ::write(fd_.get(), buffer_.data() + written_, buffer_.size() - written_);
    if (done >= 0) {
      written_ += static_cast<std::size_t>(done);
    } else if (errno == EAGAIN) {
      // What was written needs no room any more.
      buffer_.erase(buffer_.begin(), buffer_.begin() + static_cast<std::ptrdiff_t>(written_));
      written_ = 0;
      return wait(true);
    } else if (errno != EINTR) {
      return fail(errno);
    }
  }
  buffer_.clear();
  written_ = 0;
  wait(false);
}

void Capture::wait(bool waiting) {
  if (waiting == waiting_) return;
  waiting_ = waiting;
  if (!waiting) return pump_->unwatch(fd_.get());
  if (const int result = pump_->watch(fd_.get(), EPOLLOUT, this); result != 0) fail(-result);
}

void Capture::fail(int error) {
  if (waiting_) pump_->unwatch(fd_.get());
  waiting_ = false;
  fd_.reset();
  buffer_.clear();
  buffer_.shrink_to_fit();
  written_ = 0;
  on_failed_(error);
}

}  // namespace umvu::net
