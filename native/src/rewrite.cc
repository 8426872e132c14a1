// The face of rewritten calls (rewritten_call.h) to JavaScript.
#include "rewrite.h"

#include <memory>
#include <string>
#include <vector>

#include "held_calls.h"
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

  explicit Rewriter(const Napi::CallbackInfo& info)
      : Napi::ObjectWrap<Rewriter>(info), calls_(info.Env(), info[0].As<Napi::Function>(), "umvu rewriting") {
    // Hooks run newest first, so before that by which reports end.
    napi_add_env_cleanup_hook(info.Env(), Teardown, this);
    Ref();
  }

  ~Rewriter() override { Shut(); }

 private:
  // At the end of the environment, while reports can still be made.
  static void Teardown(void* self) { static_cast<Rewriter*>(self)->Shut(); }

  // start(listenerFd, id, tid, substitute): a ticket, or a negated errno.
  Napi::Value Start(const Napi::CallbackInfo& info) {
    const int64_t ticket = calls_.Start([&](uint32_t number) {
      bool lossless = false;
      return std::make_unique<RewrittenCall>(
          info[0].As<Napi::Number>().Int32Value(), info[1].As<Napi::BigInt>().Uint64Value(&lossless),
          info[2].As<Napi::Number>().Int32Value(), SubstituteOf(info[3].As<Napi::Object>()),
          [this, number](Outcome outcome, int64_t result) { Report(number, outcome, result); });
    });
    return Napi::Number::New(info.Env(), static_cast<double>(ticket));
  }

  void Report(uint32_t ticket, Outcome outcome, int64_t result) {
    calls_.Report(ticket, [outcome, result](Napi::Env env) {
      return std::vector<napi_value>{Napi::String::New(env, Name(outcome)),
                                     Napi::Number::New(env, static_cast<double>(result))};
    });
  }

  Napi::Value Runs(const Napi::CallbackInfo& info) {
    const pid_t tid = info[0].As<Napi::Number>().Int32Value();
    bool runs = false;
    for (const auto& entry : calls_.All()) runs = runs || entry.second->Runs(tid);
    return Napi::Boolean::New(info.Env(), runs);
  }

  void Close(const Napi::CallbackInfo&) {
    if (!calls_.IsOpen()) return;
    napi_remove_env_cleanup_hook(Env(), Teardown, this);
    Shut();
    Unref();
  }

  // Callers that are left would wait for this thread to let their calls pass: they are ended.
  void Shut() {
    calls_.Close([](RewrittenCall& call) { call.Kill(); });
  }

  HeldCalls<RewrittenCall> calls_;
};

}  // namespace

void init_rewrite(Napi::Env env, Napi::Object exports) {
  exports.Set("Rewriter", Rewriter::Define(env));
}

}  // namespace umvu
