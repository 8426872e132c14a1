#include "lwip/sock.h"

#include <sys/epoll.h>

#include <cerrno>
#include <cstring>

#include "lwip/host.h"

namespace umvu::lwip {

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
  stack_->socks().insert(this);
  host().add(this);
}

Sock::~Sock() = default;

Host& Sock::host() { return stack_->host(); }

int Sock::listen(int, int) { return -EOPNOTSUPP; }
int Sock::shutdown(int, int) { return -EOPNOTSUPP; }
int Sock::option_changed(int, int, int) { return 0; }
int Sock::special_option(int, int, std::span<uint8_t>) { return -ENOPROTOOPT; }

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
  stack_->forget(this);
  host().remove(this);
  host().pump().retire(std::unique_ptr<net::Pollable>(this));
}

}  // namespace umvu::lwip
