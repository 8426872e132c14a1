// The face of rewritten calls (rewritten_call.h) to JavaScript.
#include "rewrite.h"

#include <cerrno>
#include <memory>
#include <unordered_map>

#include "rewritten_call.h"

namespace umvu {
namespace {

using Outcome = RewrittenCall::Outcome;

// Names as in runtime/native.ts.
const char* Name(Outcome outcome) {
  switch (outcome) {
    case Outcome::kRefused:
      return "refused";
    case Outcome::kGone:
      return "gone";
    case Outcome::kDone:
      return "done";
  }
  return "";
}

// Byte strings: one character per byte.
std::string Bytes(const Napi::Value& text) {
  size_t length = 0;
  napi_get_value_string_latin1(text.Env(), text, nullptr, 0, &length);
  std::string bytes(length, '\0');
  napi_get_value_string_latin1(text.Env(), text, bytes.data(), length + 1, &length);
  return bytes;
}

// What interface Substitute of runtime/native.ts says.
Substitute SubstituteOf(const Napi::Object& from) {
  Substitute substitute;
  substitute.number = from.Get("nr").As<Napi::Number>().Int64Value();
  auto arguments = from.Get("args").As<Napi::BigUint64Array>();
  for (size_t i = 0; i < substitute.arguments.size() && i < arguments.ElementLength(); i++) {
    substitute.arguments[i] = arguments[i];
  }
  substitute.descriptor = from.Get("fd").As<Napi::Number>().Int32Value();
  substitute.descriptor_argument = from.Get("fdArg").As<Napi::Number>().Int32Value();
  if (const Napi::Value program = from.Get("program"); program.IsObject()) {
    substitute.program.emplace();
    const Napi::Value path = program.As<Napi::Object>().Get("path");
    if (path.IsString()) substitute.program->path = Bytes(path);
    if (path.IsNumber()) substitute.program->descriptor = path.As<Napi::Number>().Int32Value();
    auto front = program.As<Napi::Object>().Get("argv").As<Napi::Array>();
    for (uint32_t i = 0; i < front.Length(); i++) {
      substitute.program->arguments_in_front.push_back(Bytes(front.Get(i)));
    }
  }
  return substitute;
}

class Rewriter : public Napi::ObjectWrap<Rewriter> {
 public:
  static Napi::Function Define(Napi::Env env) {
    return DefineClass(env, "Rewriter",
                       {InstanceMethod<&Rewriter::Start>("start"), InstanceMethod<&Rewriter::Runs>("runs"),
                        InstanceMethod<&Rewriter::Close>("close")});
  }

  explicit Rewriter(const Napi::CallbackInfo& info) : Napi::ObjectWrap<Rewriter>(info) {
    Napi::Env env = info.Env();
    on_end_ = Napi::Persistent(info[0].As<Napi::Function>());
    const Napi::Function none = Napi::Function::New(env, [](const Napi::CallbackInfo&) {});
    reports_ = Napi::ThreadSafeFunction::New(env, none, "umvu rewriting", 0, 1);
    reports_.Unref(env);
    // Hooks run newest first, so before that of reports_.
    napi_add_env_cleanup_hook(env, Teardown, this);
    Ref();
  }

  ~Rewriter() override { Shut(); }

 private:
  // At the end of the environment, while reports_ can still be used.
  static void Teardown(void* self) { static_cast<Rewriter*>(self)->Shut(); }

  // start(listenerFd, id, tid, substitute): a ticket, or a negated errno.
  Napi::Value Start(const Napi::CallbackInfo& info) {
    Napi::Env env = info.Env();
    if (!open_) return Napi::Number::New(env, -ESHUTDOWN);
    bool lossless = false;
    const uint32_t ticket = next_++ & 0x7fffffff;
    auto report = [this, ticket](Outcome outcome, int64_t result) { Report(ticket, outcome, result); };
    auto call = std::make_unique<RewrittenCall>(
        info[0].As<Napi::Number>().Int32Value(), info[1].As<Napi::BigInt>().Uint64Value(&lossless),
        info[2].As<Napi::Number>().Int32Value(), SubstituteOf(info[3].As<Napi::Object>()), std::move(report));
    const int error = call->Start();
    if (error != 0) return Napi::Number::New(env, error);
    calls_.emplace(ticket, std::move(call));
    return Napi::Number::New(env, ticket);
  }

  // On the thread of a call, which ends with this.
  void Report(uint32_t ticket, Outcome outcome, int64_t result) {
    // This may be closed and collected before its last reports are heard.
    auto report = [this, ticket, outcome, result, open = std::weak_ptr<void>(open_)](Napi::Env env, Napi::Function) {
      if (open.expired() || calls_.erase(ticket) == 0) return;
      on_end_.Call({Napi::Number::New(env, ticket), Napi::String::New(env, Name(outcome)),
                    Napi::Number::New(env, static_cast<double>(result))});
    };
    reports_.NonBlockingCall(std::move(report));
  }

  Napi::Value Runs(const Napi::CallbackInfo& info) {
    const pid_t tid = info[0].As<Napi::Number>().Int32Value();
    bool runs = false;
    for (const auto& entry : calls_) runs = runs || entry.second->Runs(tid);
    return Napi::Boolean::New(info.Env(), runs);
  }

  void Close(const Napi::CallbackInfo&) {
    if (!open_) return;
    napi_remove_env_cleanup_hook(Env(), Teardown, this);
    Shut();
    Unref();
  }

  // Callers that are left would wait for this thread to let their calls pass: they are ended.
  void Shut() {
    if (!open_) return;
    for (const auto& entry : calls_) entry.second->Kill();
    calls_.clear();
    open_.reset();
    reports_.Release();
  }

  std::shared_ptr<void> open_ = std::make_shared<bool>(true);
  uint32_t next_ = 1;
  std::unordered_map<uint32_t, std::unique_ptr<RewrittenCall>> calls_;
  Napi::FunctionReference on_end_;
  Napi::ThreadSafeFunction reports_;
};

}  // namespace

void init_rewrite(Napi::Env env, Napi::Object exports) {
  exports.Set("Rewriter", Rewriter::Define(env));
}

}  // namespace umvu
