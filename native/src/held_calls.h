#pragma once

#include <napi.h>

#include <cerrno>
#include <cstdint>
#include <memory>
#include <unordered_map>
#include <utility>
#include <vector>

namespace umvu {

// Calls of guests that are held by threads of ours (ParkedCall, RewrittenCall): by ticket, with what becomes of them
// told to JavaScript. To be used on the JavaScript thread, but for Report().
template <typename Call>
class HeldCalls {
 public:
  // `on_end` is called once for each ticket, with it and what Report() was given.
  HeldCalls(Napi::Env env, Napi::Function on_end, const char* name) : on_end_(Napi::Persistent(on_end)) {
    const Napi::Function none = Napi::Function::New(env, [](const Napi::CallbackInfo&) {});
    reports_ = Napi::ThreadSafeFunction::New(env, none, name, 0, 1);
    reports_.Unref(env);
  }

  bool IsOpen() const { return open_ != nullptr; }
  const std::unordered_map<uint32_t, std::unique_ptr<Call>>& All() const { return calls_; }

  Call* Find(uint32_t ticket) const {
    const auto found = calls_.find(ticket);
    return found == calls_.end() ? nullptr : found->second.get();
  }

  // Starts what `make(ticket)` makes. The ticket, or a negated errno.
  template <typename Make>
  int64_t Start(Make make) {
    if (!open_) return -ESHUTDOWN;
    const uint32_t ticket = next_++ & 0x7fffffff;
    std::unique_ptr<Call> call = make(ticket);
    const int error = call->Start();
    if (error != 0) return error;
    calls_.emplace(ticket, std::move(call));
    return ticket;
  }

  // On the thread of a call, which ends with this. `describe(env)` gives what is told after the ticket.
  template <typename Describe>
  void Report(uint32_t ticket, Describe describe) {
    // All may be closed and collected before the last reports are heard.
    auto report = [this, ticket, describe, open = std::weak_ptr<void>(open_)](Napi::Env env, Napi::Function) {
      if (open.expired() || calls_.erase(ticket) == 0) return;
      std::vector<napi_value> told = describe(env);
      told.insert(told.begin(), Napi::Number::New(env, ticket));
      on_end_.Call(told);
    };
    reports_.NonBlockingCall(std::move(report));
  }

  // Gives each call to `release`, which makes its thread end, and waits for the threads. Idempotent.
  template <typename Release>
  void Close(Release release) {
    if (!open_) return;
    for (const auto& entry : calls_) release(*entry.second);
    calls_.clear();
    open_.reset();
    reports_.Release();
  }

 private:
  std::shared_ptr<void> open_ = std::make_shared<bool>(true);
  uint32_t next_ = 1;
  std::unordered_map<uint32_t, std::unique_ptr<Call>> calls_;
  Napi::FunctionReference on_end_;
  Napi::ThreadSafeFunction reports_;
};

}  // namespace umvu
