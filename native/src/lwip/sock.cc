#include "lwip/sock.h"

#include <sys/epoll.h>

#include <cerrno>
#include <cstring>

#include "lwip/host.h"

namespace umvu::lwip {

std::size_t Options::bytes() const {
  constexpr std::size_t kNode = 64;
  std::size_t sum = 0;
  for (const auto& [key, value] : values_) sum += kNode + value.size();
  return sum;
}

int Options::number(int level, int name, int otherwise) const {
  const std::vector<uint8_t>* value = find(level, name);
  int number = otherwise;
  if (value == nullptr || value->empty()) return number;
  if (value->size() >= sizeof number) {
    std::memcpy(&number, value->data(), sizeof number);
  } else {
    number = value->front();
  }
  return number;
}

Sock::Sock(Stack* stack, int domain, int type, int protocol)
    : stack_(stack), id_(stack->host().next_id()), domain_(domain), type_(type), protocol_(protocol) {
  stack_->memory().take(Memory::kSocket);
  stack_->socks().insert(this);
  host().add(this);
}

Sock::~Sock() = default;

Host& Sock::host() { return stack_->host(); }

int Sock::listen(int, int) { return -EOPNOTSUPP; }
int Sock::shutdown(int, int) { return -EOPNOTSUPP; }
int Sock::option_changed(int, int, int) { return 0; }
int Sock::special_option(int, int, std::span<uint8_t>) { return -ENOPROTOOPT; }

int Sock::set_option(int guest, int level, int name, std::span<const uint8_t> value) {
  if (stack_->memory().full()) return -ENOBUFS;
  const std::vector<uint8_t>* old = options_.find(level, name);
  const std::vector<uint8_t> before = old == nullptr ? std::vector<uint8_t>() : *old;
  options_.set(level, name, value);
  const int result = option_changed(guest, level, name);
  if (result != 0) options_.set(level, name, before);
  charge_options();
  return result;
}

void Sock::inherit(const Options& options) {
  options_ = options;
  charge_options();
}

void Sock::charge_options() {
  const std::size_t now = options_.bytes();
  stack_->memory().give(charged_);
  stack_->memory().take(now);
  charged_ = now;
}

void Sock::watch(uint32_t events) {
  net::Pump& pump = host().pump();
  if (watched_ && events == events_) return;
  events_ = events;
  if (watched_) {
    pump.change(far_.get(), events, this);
  } else {
    watched_ = pump.watch(far_.get(), events, this) == 0;
  }
}

void Sock::unwatch() {
  if (watched_) host().pump().unwatch(far_.get());
  watched_ = false;
}

void Sock::cut() {
  unwatch();
  far_.reset();
  host().notify(id_, Event::kFailed, ENETDOWN);
}

void Sock::retire() {
  unwatch();
  far_.reset();
  stack_->memory().give(Memory::kSocket + charged_);
  stack_->forget(this);
  host().remove(this);
  host().pump().retire(std::unique_ptr<net::Pollable>(this));
}

}  // namespace umvu::lwip
