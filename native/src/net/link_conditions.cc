#include "net/link_conditions.h"

#include <sys/epoll.h>
#include <sys/timerfd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <ctime>

#include "net/network.h"

namespace umvu::net {
namespace {

constexpr uint64_t kSecond = 1000000000;
// Before a frame: room for a VLAN tag (Buffers::slot), at an address that aligns the IP header.
constexpr std::size_t kHeadroom = 8;

uint64_t now() {
  timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return static_cast<uint64_t>(time.tv_sec) * kSecond + static_cast<uint64_t>(time.tv_nsec);
}

}  // namespace

Link::Link(Network* network, const LinkConditions& conditions)
    : network_(network), conditions_(conditions), random_(std::random_device()()) {}

Link::~Link() = default;

int Link::open() {
  if (timer_) return 0;
  timer_.reset(timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK));
  if (!timer_) return -errno;
  return network_->pump().watch(timer_.get(), EPOLLIN, this);
}

void Link::shut() {
  if (timer_) network_->pump().unwatch(timer_.get());
  timer_.reset();
  held_.clear();
}

bool Link::lost() {
  return conditions_.loss > 0 && std::uniform_real_distribution<double>(0, 1)(random_) < conditions_.loss;
}

uint64_t Link::arrival(std::size_t size) {
  uint64_t leaves = now();
  if (conditions_.rate > 0) {
    leaves = std::max(leaves, sent_) + size * 8 * kSecond / conditions_.rate;
    sent_ = leaves;
  }
  const uint64_t spread = std::min(conditions_.jitter, conditions_.delay);
  const uint64_t most = conditions_.jitter + spread;
  const uint64_t more = most == 0 ? 0 : std::uniform_int_distribution<uint64_t>(0, most)(random_);
  return leaves + conditions_.delay - spread + more;
}

void Link::take(Port* from, const uint8_t* raw, std::size_t size) {
  VnetHeader header;
  std::memcpy(&header, raw, sizeof header);
  if (header.gso_type == kGsoNone) return hold(from, raw, size);
  Segmenter segmenter;
  if (!segmenter.plan(raw + sizeof header, size, header)) {
    ++from->counters().dropped;
    return;
  }
  // A slot of the pump may hold what came; segments are written one after the other beside it.
  std::vector<uint8_t> segment(sizeof header + kMaxPlainFrame);
  for (std::size_t i = 0; i < segmenter.count(); ++i) {
    hold(from, segment.data(), segmenter.write(i, segment.data() + sizeof header));
  }
}

void Link::hold(Port* from, const uint8_t* raw, std::size_t size) {
  if (lost()) return;
  if (held_.size() >= conditions_.limit) {
    ++from->counters().dropped;
    return;
  }
  Held held{from->number(), std::vector<uint8_t>(kHeadroom + sizeof(VnetHeader) + size)};
  std::memcpy(held.bytes.data() + kHeadroom, raw, sizeof(VnetHeader) + size);
  held_.emplace(arrival(size), std::move(held));
  arm();
}

void Link::arm() {
  if (held_.empty() || network_->paused() || !timer_) return;
  const uint64_t first = held_.begin()->first;
  if (armed_ != 0 && armed_ <= first) return;
  armed_ = first;
  itimerspec when = {};
  when.it_value.tv_sec = static_cast<time_t>(first / kSecond);
  when.it_value.tv_nsec = static_cast<long>(first % kSecond);
  timerfd_settime(timer_.get(), TFD_TIMER_ABSTIME, &when, nullptr);
}

void Link::on_events(uint32_t) {
  uint64_t expirations;
  if (!timer_ || ::read(timer_.get(), &expirations, sizeof expirations) < 0) return;
  armed_ = 0;
  const uint64_t time = now();
  while (!held_.empty() && held_.begin()->first <= time && !network_->paused()) {
    Held held = std::move(held_.begin()->second);
    held_.erase(held_.begin());
    // Frames of a port that is gone are gone, too.
    Port* from = network_->port(held.from);
    if (from == nullptr) continue;
    const Frame frame{held.bytes.data() + kHeadroom, held.bytes.size() - kHeadroom - sizeof(VnetHeader)};
    // Its memory is freed now, so nothing may refer to it any longer.
    if (network_->forward(from, frame)) network_->flush();
  }
  network_->finish();
  arm();
}

}  // namespace umvu::net
