// The class LwipStack.
#include <cerrno>
#include <memory>

#include "call_back.h"
#include "lwip/binding.h"
#include "lwip/configuration_binding.h"
#include "lwip/packet_io.h"
#include "lwip/stack.h"
#include "net/network_binding.h"

namespace umvu::lwip {
namespace {

class StackObject : public Napi::ObjectWrap<StackObject> {
 public:
  static Napi::Function Define(Napi::Env env, LwipState* state) {
    return DefineClass(env, "LwipStack",
                       {InstanceMethod<&StackObject::AddInterface>("addInterface"),
                        InstanceMethod<&StackObject::Socket>("socket"),
                        InstanceMethod<&StackObject::Sockets>("sockets"), InstanceMethod<&StackObject::Memory>("memory"),
                        InstanceMethod<&StackObject::Id>("id"),
                        InstanceMethod<&StackObject::Links>("links"),
                        InstanceMethod<&StackObject::SetLink>("setLink"),
                        InstanceMethod<&StackObject::Addresses>("addresses"),
                        InstanceMethod<&StackObject::SetAddress>("setAddress"),
                        InstanceMethod<&StackObject::SetRoute>("setRoute"),
                        InstanceMethod<&StackObject::Neighbours>("neighbours"),
                        InstanceMethod<&StackObject::SetNeighbour>("setNeighbour"),
                        InstanceMethod<&StackObject::Routers>("routers"),
                        InstanceMethod<&StackObject::SetForwarding>("setForwarding"),
                        InstanceMethod<&StackObject::Connections>("connections"),
                        InstanceMethod<&StackObject::Fail>("fail"), InstanceMethod<&StackObject::Close>("close")},
                       state);
  }

  explicit StackObject(const Napi::CallbackInfo& info) : ObjectWrap(info), state_(static_cast<LwipState*>(info.Data())) {
    if (!state_->host) {
      LwipState* state = state_;
      state->host = std::make_unique<Host>(state->pump, [state](uint64_t id, Event event, int value) {
        if (!state->events) return;
        state->events.NonBlockingCall([id, event, value](Napi::Env env, Napi::Function callback) {
          if (static_cast<napi_env>(env) == nullptr || callback.IsEmpty()) return;
          call_back([&] {
            callback.Call({number(env, static_cast<double>(id)), number(env, static_cast<int>(event)), number(env, value)});
          });
        });
      });
    }
    const auto limit = info[0].IsNumber() ? static_cast<std::size_t>(identifier(info[0])) : lwip::Memory::kDefault;
    const int result = state_->pump->call([this, limit] {
      const int opened = state_->stacks == 0 ? state_->host->open() : 0;
      if (opened == 0) stack_ = std::make_unique<Stack>(state_->host.get(), limit);
      return opened;
    });
    if (result != 0) throw Napi::Error::New(info.Env(), "no user-space stack: errno " + std::to_string(-result));
    ++state_->stacks;
    napi_add_env_cleanup_hook(info.Env(), OnExit, this);
  }
  ~StackObject() override { Shut(); }

 private:
  static void OnExit(void* self) { static_cast<StackObject*>(self)->Shut(); }

  void Shut() {
    if (!stack_) return;
    napi_remove_env_cleanup_hook(Env(), OnExit, this);
    state_->pump->call([this] {
      stack_->close();
      // Events that the thread has in hand may still name it.
      state_->pump->retire(std::move(stack_));
      if (--state_->stacks == 0) state_->host->close();
      return 0;
    });
  }

  Napi::Value AddInterface(const Napi::CallbackInfo& info) {
    const std::string name = info[0].As<Napi::String>().Utf8Value();
    net::Network* network = network_of(info[1]);
    if (!stack_ || network == nullptr) return number(info.Env(), -EBADF);
    const int mtu = integer(info[2]);
    return number(info.Env(), Run([&] { return stack_->add_interface(name, network, mtu); }));
  }

  Napi::Value Socket(const Napi::CallbackInfo& info) {
    if (!stack_) return number(info.Env(), -ENETDOWN);
    const int domain = integer(info[0]), type = integer(info[1]), protocol = integer(info[2]);
    return number(info.Env(), Run([&] { return make_socket(stack_.get(), domain, type, protocol); }));
  }

  Napi::Value Sockets(const Napi::CallbackInfo& info) {
    return number(info.Env(), !stack_ ? 0 : state_->pump->call([&] {
      state_->host->sweep();
      return static_cast<int>(stack_->socks().size());
    }));
  }

  // Bytes that it uses.
  Napi::Value Memory(const Napi::CallbackInfo& info) {
    return number(info.Env(), !stack_ ? 0 : static_cast<double>(state_->pump->call([&] {
      return static_cast<int>(stack_->memory().used() >> 10);
    })) * 1024);
  }

  Napi::Value Id(const Napi::CallbackInfo& info) {
    return number(info.Env(), stack_ ? static_cast<double>(stack_->id()) : 0);
  }

  // Fails an assertion of lwIP, for tests.
  Napi::Value Fail(const Napi::CallbackInfo& info) {
    return With(info, [] { return static_cast<int>(pbuf_free(nullptr)); });
  }

  // Inside the image; -ENETDOWN where the stack has failed.
  template <typename Job>
  int Run(Job job) {
    return state_->pump->call([&] { return stack_->run(job); });
  }

  template <typename Job>
  Napi::Value With(const Napi::CallbackInfo& info, Job job) {
    return number(info.Env(), stack_ ? Run(job) : -ENETDOWN);
  }

  // The rest is the face on the configuration (configuration.h).

  // A list of JavaScript objects; `gather` fills a vector.
  template <typename Gather>
  Napi::Value List(const Napi::CallbackInfo& info, Gather gather) {
    decltype(gather()) found;
    if (stack_) {
      Run([&] {
        found = gather();
        return 0;
      });
    }
    auto list = Napi::Array::New(info.Env(), found.size());
    for (uint32_t i = 0; i < found.size(); ++i) list.Set(i, show(info.Env(), found[i]));
    return list;
  }

  Napi::Value Links(const Napi::CallbackInfo& info) {
    return List(info, [this] { return list_links(*stack_); });
  }
  Napi::Value Addresses(const Napi::CallbackInfo& info) {
    return List(info, [this] { return list_addresses(*stack_); });
  }
  Napi::Value Neighbours(const Napi::CallbackInfo& info) {
    return List(info, [this] { return stack_->neighbours().list(); });
  }
  Napi::Value Routers(const Napi::CallbackInfo& info) {
    return List(info, [] { return list_routers(); });
  }
  Napi::Value Connections(const Napi::CallbackInfo& info) {
    return List(info, [this] { return list_connections(*stack_); });
  }
  Napi::Value SetLink(const Napi::CallbackInfo& info) {
    return With(info, [&] { return set_link(info, stack_.get()); });
  }
  Napi::Value SetAddress(const Napi::CallbackInfo& info) {
    return With(info, [&] { return set_address(info, stack_.get()); });
  }
  Napi::Value SetRoute(const Napi::CallbackInfo& info) {
    return With(info, [&] { return set_route(info, stack_.get()); });
  }
  Napi::Value SetNeighbour(const Napi::CallbackInfo& info) {
    return With(info, [&] { return set_neighbour(info, stack_.get()); });
  }
  Napi::Value SetForwarding(const Napi::CallbackInfo& info) {
    return With(info, [&] {
      stack_->set_forwarding(false, info[0].ToBoolean().Value());
      stack_->set_forwarding(true, info[1].ToBoolean().Value());
      return 0;
    });
  }

  void Close(const Napi::CallbackInfo&) { Shut(); }

  LwipState* const state_;
  std::unique_ptr<Stack> stack_;
};

}  // namespace

Napi::Function define_stack(Napi::Env env, LwipState* state) { return StackObject::Define(env, state); }

}  // namespace umvu::lwip
