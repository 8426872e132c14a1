#include "net/network_binding.h"

#include "call_back.h"

#include <cerrno>
#include <memory>
#include <string>

#include "net/capture_binding.h"
#include "net/network.h"
#include "net/plug.h"
#include "net/vde_client.h"

namespace umvu {
namespace {

using net::Network;
using net::Plug;
using net::Pump;

// How long a network waits for another process to take frames, in ms.
constexpr unsigned kPatience = 200;

// What the networks of an environment share. Deleted by its cleanup hook, after those of the
// networks, which were added later (hooks run last in, first out).
struct NetState {
  Pump pump;
  std::shared_ptr<net::PlugThreads> threads = std::make_shared<net::PlugThreads>();
  Napi::FunctionReference plug_class;
};

// One character per byte (runtime/native.ts).
std::string byte_string(const Napi::Value& value) {
  const std::u16string text = value.As<Napi::String>().Utf16Value();
  return std::string(text.begin(), text.end());
}

int integer(const Napi::Value& value) { return value.As<Napi::Number>().Int32Value(); }

class PlugObject : public Napi::ObjectWrap<PlugObject> {
 public:
  static Napi::Function Define(Napi::Env env) {
    return DefineClass(env, "NativePlug", {InstanceMethod<&PlugObject::Close>("close")});
  }
  explicit PlugObject(const Napi::CallbackInfo& info)
      : ObjectWrap(info), plug_(info[0].As<Napi::External<Plug>>().Data()) {}
  std::unique_ptr<Plug> Take() { return std::move(plug_); }

 private:
  void Close(const Napi::CallbackInfo&) { plug_.reset(); }
  std::unique_ptr<Plug> plug_;
};

class NetworkObject : public Napi::ObjectWrap<NetworkObject> {
 public:
  static Napi::Function Define(Napi::Env env, NetState* state) {
    return DefineClass(env, "Network",
                       {InstanceMethod<&NetworkObject::AddPort>("addPort"),
                        InstanceMethod<&NetworkObject::AddPlug>("addPlug"),
                        InstanceMethod<&NetworkObject::RemovePort>("removePort"),
                        InstanceMethod<&NetworkObject::Listen>("listen"),
                        InstanceMethod<&NetworkObject::Stats>("stats"),
                        InstanceMethod<&NetworkObject::Record>("record"),
                        InstanceMethod<&NetworkObject::Close>("close")},
                       state);
  }

  explicit NetworkObject(const Napi::CallbackInfo& info)
      : ObjectWrap(info), state_(static_cast<NetState*>(info.Data())) {
    const auto given = info[1].As<Napi::Object>();
    net::NetworkOptions options;
    options.learning = info[0].As<Napi::String>().Utf8Value() == "switch";
    options.hash_size = given.Get("hashSize").As<Napi::Number>().Uint32Value();
    options.expire_seconds = given.Get("expireSeconds").As<Napi::Number>().Uint32Value();
    if (const Napi::Value link = given.Get("link"); link.IsObject()) {
      options.conditions = ConditionsOf(link.As<Napi::Object>());
    }
    gone_ = Napi::ThreadSafeFunction::New(info.Env(), info[2].As<Napi::Function>(), "umvu network",
                                          0, 1);
    gone_.Unref(info.Env());
    network_ = std::make_unique<Network>(&state_->pump, options, [this](int port) {
      gone_.NonBlockingCall([port](Napi::Env env, Napi::Function callback) {
        call_back([&] { callback.Call({Napi::Number::New(env, port)}); });
      });
    });
    // Added after that of gone_, so it runs before it: the pump thread never calls a function that
    // is gone.
    napi_add_env_cleanup_hook(info.Env(), OnExit, this);
  }

  ~NetworkObject() override { Shut(); }
  Network* Get() { return network_.get(); }

 private:
  static net::LinkConditions ConditionsOf(const Napi::Object& link) {
    const auto number = [&](const char* name) { return link.Get(name).As<Napi::Number>(); };
    net::LinkConditions conditions;
    conditions.delay = static_cast<uint64_t>(number("delay").Int64Value()) * 1000;
    conditions.jitter = static_cast<uint64_t>(number("jitter").Int64Value()) * 1000;
    conditions.loss = number("loss").DoubleValue();
    conditions.rate = static_cast<uint64_t>(number("rate").Int64Value());
    conditions.limit = number("limit").Uint32Value();
    return conditions;
  }

  static void OnExit(void* self) { static_cast<NetworkObject*>(self)->Shut(); }

  // Idempotent.
  void Shut() {
    if (!network_) return;
    napi_remove_env_cleanup_hook(Env(), OnExit, this);
    state_->pump.call([this] {
      network_->close();
      return 0;
    });
    network_.reset();
    gone_.Release();
  }

  Napi::Value AddPort(const Napi::CallbackInfo& info) {
    const auto port = info[0].As<Napi::Object>();
    net::PortConfig config;
    config.fd.reset(integer(port.Get("fd")));
    if (const Napi::Value control = port.Get("controlFd"); control.IsNumber()) {
      config.control.reset(integer(control));
    }
    if (const Napi::Value name = port.Get("name"); name.IsString()) {
      config.name = name.As<Napi::String>().Utf8Value();
    }
    const std::string kind = port.Get("kind").As<Napi::String>().Utf8Value();
    config.kind = kind == "tap"       ? net::PortKind::kTap
                  : kind == "packet"  ? net::PortKind::kPacket
                  : kind == "process" ? net::PortKind::kProcess
                                      : net::PortKind::kDatagram;
    if (config.kind == net::PortKind::kProcess) config.patience = kPatience;
    config.vnet_header =
        config.kind != net::PortKind::kDatagram && port.Get("vnetHeader").ToBoolean().Value();
    return Napi::Number::New(info.Env(), Add(&config));
  }

  Napi::Value AddPlug(const Napi::CallbackInfo& info) {
    auto plug = PlugObject::Unwrap(info[0].As<Napi::Object>())->Take();
    std::shared_ptr<net::PlugThreads::Relay> relay;
    int result = plug ? Plug::start(std::move(plug), state_->threads, &relay) : -EBADF;
    if (result >= 0) {
      net::PortConfig config;
      config.fd.reset(result);
      config.on_removed = [threads = state_->threads, relay] { threads->removed(relay.get()); };
      result = Add(&config);
    }
    return Napi::Number::New(info.Env(), result);
  }

  int Add(net::PortConfig* config) {
    if (!network_) return -EBADF;
    return state_->pump.call([&] { return network_->add_port(std::move(*config)); });
  }

  void RemovePort(const Napi::CallbackInfo& info) {
    if (!network_) return;
    const int number = integer(info[0]);
    state_->pump.call([&] {
      network_->remove_port(number);
      return 0;
    });
  }

  Napi::Value Listen(const Napi::CallbackInfo& info) {
    net::ListenOptions options{byte_string(info[0]), static_cast<mode_t>(integer(info[1])),
                               static_cast<mode_t>(integer(info[2])), integer(info[3])};
    const int result =
        !network_ ? -EBADF : state_->pump.call([&] { return network_->listen(options); });
    return Napi::Number::New(info.Env(), result);
  }

  Napi::Value Stats(const Napi::CallbackInfo& info) {
    std::optional<net::PortCounters> counters;
    const int number = integer(info[0]);
    if (network_) {
      state_->pump.call([&] {
        counters = network_->counters(number);
        return 0;
      });
    }
    if (!counters) return info.Env().Undefined();
    auto stats = Napi::Object::New(info.Env());
    stats.Set("rxFrames", static_cast<double>(counters->rx_frames));
    stats.Set("rxBytes", static_cast<double>(counters->rx_bytes));
    stats.Set("txFrames", static_cast<double>(counters->tx_frames));
    stats.Set("txBytes", static_cast<double>(counters->tx_bytes));
    stats.Set("dropped", static_cast<double>(counters->dropped));
    return stats;
  }

  // record(capture, description)
  void Record(const Napi::CallbackInfo& info) {
    net::Capture* capture = capture_of(info[0]);
    std::string description = info[1].As<Napi::String>().Utf8Value();
    if (!network_) return;
    state_->pump.call([&] {
      network_->record(capture, std::move(description));
      return 0;
    });
  }

  void Close(const Napi::CallbackInfo&) { Shut(); }

  NetState* const state_;
  std::unique_ptr<Network> network_;
  Napi::ThreadSafeFunction gone_;
};

class OpenVde : public Napi::AsyncWorker {
 public:
  OpenVde(Napi::Env env, const Napi::CallbackInfo& info)
      : AsyncWorker(env),
        promise_(env),
        path_(byte_string(info[0])),
        port_(info[1].As<Napi::Number>().Uint32Value()),
        description_(byte_string(info[2])) {}
  Napi::Promise Promise() const { return promise_.Promise(); }

 private:
  void Execute() override { result_ = net::open_vde(path_, port_, description_, &connection_); }
  void OnOK() override {
    if (result_ != 0) return promise_.Resolve(Napi::Number::New(Env(), result_));
    auto value = Napi::Object::New(Env());
    value.Set("fd", connection_.data.release());
    value.Set("controlFd", connection_.control.release());
    promise_.Resolve(value);
  }

  Napi::Promise::Deferred promise_;
  const std::string path_;
  const uint32_t port_;
  const std::string description_;
  net::VdeConnection connection_;
  int result_ = 0;
};

class OpenPlug : public Napi::AsyncWorker {
 public:
  OpenPlug(Napi::Env env, const Napi::CallbackInfo& info, NetState* state)
      : AsyncWorker(env),
        promise_(env),
        vnl_(byte_string(info[0])),
        description_(byte_string(info[1])),
        state_(state),
        threads_(state->threads) {}
  Napi::Promise Promise() const { return promise_.Promise(); }

 private:
  void Execute() override {
    auto library = net::PlugLibrary::load();
    missing_ = !library;
    threads_->settle();
    if (!missing_) plug_ = Plug::open(std::move(library), vnl_, description_, &result_);
  }
  void OnOK() override {
    if (missing_) {
      return promise_.Resolve(
          Napi::String::New(Env(), "libvdeplug.so.2 cannot be loaded: install libvdeplug2"));
    }
    if (!plug_) return promise_.Resolve(Napi::Number::New(Env(), result_));
    promise_.Resolve(state_->plug_class.New({Napi::External<Plug>::New(Env(), plug_.release())}));
  }

  Napi::Promise::Deferred promise_;
  const std::string vnl_;
  const std::string description_;
  NetState* const state_;  // for the JavaScript thread only
  const std::shared_ptr<net::PlugThreads> threads_;
  std::unique_ptr<Plug> plug_;
  bool missing_ = false;
  int result_ = 0;
};

// AsyncWorker objects delete themselves.
Napi::Value StartOpenVde(const Napi::CallbackInfo& info) {
  auto* worker = new OpenVde(info.Env(), info);
  worker->Queue();
  return worker->Promise();
}

Napi::Value StartOpenPlug(const Napi::CallbackInfo& info) {
  auto* worker = new OpenPlug(info.Env(), info, static_cast<NetState*>(info.Data()));
  worker->Queue();
  return worker->Promise();
}

}  // namespace

net::Network* network_of(const Napi::Value& object) {
  return NetworkObject::Unwrap(object.As<Napi::Object>())->Get();
}

net::Pump* init_network(Napi::Env env, Napi::Object exports) {
  auto* state = new NetState;
  state->plug_class = Napi::Persistent(PlugObject::Define(env));
  env.AddCleanupHook(
      [](NetState* ended) {
        ended->threads->wait();
        delete ended;
      },
      state);
  exports.Set("Network", NetworkObject::Define(env, state));
  init_capture(env, exports, &state->pump);
  exports.Set("openVde", Napi::Function::New(env, StartOpenVde, "openVde"));
  exports.Set("openPlug", Napi::Function::New(env, StartOpenPlug, "openPlug", state));
  return &state->pump;
}

}  // namespace umvu
