#include "lwip/configuration_binding.h"

#include <cstring>

#include "lwip/binding.h"

namespace umvu::lwip {
namespace {

Napi::Value copy(Napi::Env env, const void* data, std::size_t size) {
  auto array = Napi::Uint8Array::New(env, size);
  std::memcpy(array.Data(), data, size);
  return array;
}

Napi::Value to_js(Napi::Env env, const ip_addr_t& ip) {
  return IP_IS_V6_VAL(ip) ? copy(env, ip_2_ip6(&ip)->addr, 16) : copy(env, &ip_2_ip4(&ip)->addr, 4);
}

}  // namespace

Napi::Value show(Napi::Env env, const LinkState& link) {
  auto object = Napi::Object::New(env);
  object.Set("index", link.index);
  object.Set("name", link.name);
  object.Set("loopback", link.loopback);
  object.Set("up", link.up);
  object.Set("carrier", link.carrier);
  object.Set("mtu", link.mtu);
  object.Set("mac", copy(env, link.mac.data(), link.mac.size()));
  object.Set("rxPackets", static_cast<double>(link.counters.rx_frames));
  object.Set("rxBytes", static_cast<double>(link.counters.rx_bytes));
  object.Set("txPackets", static_cast<double>(link.counters.tx_frames));
  object.Set("txBytes", static_cast<double>(link.counters.tx_bytes));
  object.Set("txDropped", static_cast<double>(link.counters.dropped));
  return object;
}

Napi::Value show(Napi::Env env, const AddressState& address) {
  auto object = Napi::Object::New(env);
  object.Set("index", address.index);
  object.Set("address", to_js(env, address.ip));
  object.Set("tentative", address.tentative);
  object.Set("duplicated", address.duplicated);
  object.Set("deprecated", address.deprecated);
  object.Set("valid", number(env, address.valid));
  object.Set("preferred", number(env, address.preferred));
  return object;
}

Napi::Value show(Napi::Env env, const Neighbour& neighbour) {
  auto object = Napi::Object::New(env);
  object.Set("index", neighbour.interface);
  object.Set("address", to_js(env, neighbour.ip));
  object.Set("state", neighbour.state);
  object.Set("router", neighbour.router);
  if (neighbour.has_mac) object.Set("mac", copy(env, neighbour.mac.data(), neighbour.mac.size()));
  return object;
}

Napi::Value show(Napi::Env env, const Router& router) {
  auto object = Napi::Object::New(env);
  object.Set("index", router.index);
  object.Set("address", to_js(env, router.ip));
  object.Set("lifetime", number(env, router.lifetime));
  return object;
}

Napi::Value show(Napi::Env env, const Connection& connection) {
  auto object = Napi::Object::New(env);
  object.Set("domain", connection.domain);
  object.Set("type", connection.type);
  object.Set("protocol", connection.protocol);
  object.Set("state", connection.state);
  object.Set("local", to_js(env, connection.local.ip));
  object.Set("localPort", connection.local.port);
  object.Set("remote", to_js(env, connection.remote.ip));
  object.Set("remotePort", connection.remote.port);
  object.Set("inode", number(env, static_cast<double>(connection.inode)));
  object.Set("unsent", number(env, connection.unsent));
  object.Set("v6only", connection.v6only);
  return object;
}

int set_link(const Napi::CallbackInfo& info, Stack* stack) {
  return set_link(stack, integer(info[0]), info[1].As<Napi::String>().Utf8Value(), info[2].ToBoolean().Value(),
                  integer(info[3]), bytes(info[4]));
}

int set_address(const Napi::CallbackInfo& info, Stack* stack) {
  return set_address(stack, integer(info[0]), bytes(info[1]), integer(info[2]), info[3].ToBoolean().Value());
}

int set_route(const Napi::CallbackInfo& info, Stack* stack) {
  return set_route(stack, info[0].ToBoolean().Value(), bytes(info[1]));
}

int set_neighbour(const Napi::CallbackInfo& info, Stack* stack) {
  const std::span<const uint8_t> mac = info[2].IsTypedArray() ? bytes(info[2]) : std::span<uint8_t>();
  if (info[2].IsTypedArray() && mac.empty()) return -EINVAL;
  return set_neighbour(stack, integer(info[0]), bytes(info[1]), mac);
}

}  // namespace umvu::lwip
