#include "server.h"

#include <poll.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstring>

#include "error.h"
#include "link.h"
#include "namespaces.h"

namespace umvu::broker {
namespace {

// Stacks are often taken down one right after the other.
constexpr int kIdleMs = 20;
// RFC 791: what a host must be able to take; and the largest that a frame buffer of the pump holds.
constexpr uint32_t kMinMtu = 68;
constexpr uint32_t kMaxMtu = 65535 - 14;

UniqueFd DetachedSysfs(unsigned attributes) {
  const UniqueFd context(fsopen("sysfs", FSOPEN_CLOEXEC));
  if (!context) FailSystem("fsopen(sysfs)");
  CheckSystem(fsconfig(context.get(), FSCONFIG_CMD_CREATE, nullptr, nullptr, 0), "fsconfig(sysfs)");
  UniqueFd mount(fsmount(context.get(), FSMOUNT_CLOEXEC, attributes));
  if (!mount) FailSystem("fsmount(sysfs)");
  return mount;
}

}  // namespace

int Server::Run() {
  char message[kMaxRequest];
  for (;;) {
    AwaitRequest();
    const ssize_t size = recv(channel_, message, sizeof message, MSG_TRUNC);
    if (size < 0 && errno == EINTR) continue;
    if (size <= 0) break;
    if (!Send(Answer(message, static_cast<size_t>(size)))) break;
  }
  janitor_.Clean();
  for (const auto& [id, stack] : stacks_) stack->Release();
  stacks_.clear();
  dying_.clear();
  return 0;
}

void Server::AwaitRequest() {
  if (dying_.empty()) return;
  pollfd channel{channel_, POLLIN, 0};
  if (poll(&channel, 1, kIdleMs) != 0) return;
  const bool links = std::any_of(dying_.begin(), dying_.end(),
                                 [](const auto& stack) { return !stack->far_ends().empty(); });
  if (links) RemoveDoomedLinks();
  dying_.clear();
}

Server::Reply Server::Answer(const char* message, size_t size) {
  Reply reply;
  try {
    RequestHeader request;
    if (size < sizeof request || size > kMaxRequest)
      throw Failure(EINVAL, "bad length of a request");
    std::memcpy(&request, message, sizeof request);
    if (request.text_length != size - sizeof request) throw Failure(EINVAL, "bad length of a text");
    const std::string text(message + sizeof request, request.text_length);
    if (text.find('\0') != std::string::npos) throw Failure(EINVAL, "a NUL in a text");
    return Dispatch(request, text);
  } catch (const Failure& failure) {
    reply.result = -failure.error();
    reply.reason = failure.what();
  } catch (const std::bad_alloc&) {
    reply.result = -ENOMEM;
    reply.reason = "out of memory";
  }
  return reply;
}

Server::Reply Server::Dispatch(const RequestHeader& request, const std::string& text) {
  switch (static_cast<Op>(request.op)) {
    case Op::kPing:
      return {kProtocolVersion, {}, {}};
    case Op::kAddStack:
      return AddStack(request);
    case Op::kAddInterface:
      return AddInterface(request, text);
    case Op::kSocket:
      return MakeSockets(request);
    case Op::kSysfs:
      return MountSysfs(request);
    case Op::kDelStack:
      return DelStack(request);
    case Op::kOwnPath:
      janitor_.Own(text);
      return {};
    case Op::kDisownPath:
      janitor_.Disown(text);
      return {};
  }
  throw Failure(EINVAL, "unknown request " + std::to_string(request.op));
}

bool Server::Send(const Reply& reply) {
  ReplyHeader header{};
  header.result = reply.result;
  header.fds = static_cast<uint32_t>(reply.fds.size());
  header.text_length = static_cast<uint32_t>(std::min(reply.reason.size(), kMaxReason));
  iovec parts[] = {{&header, sizeof header},
                   {const_cast<char*>(reply.reason.data()), header.text_length}};
  msghdr message{};
  message.msg_iov = parts;
  message.msg_iovlen = 2;
  alignas(cmsghdr) char control[CMSG_SPACE(kMaxFds * sizeof(int))] = {};
  if (!reply.fds.empty()) {
    message.msg_control = control;
    message.msg_controllen = CMSG_SPACE(reply.fds.size() * sizeof(int));
    cmsghdr* head = CMSG_FIRSTHDR(&message);
    head->cmsg_level = SOL_SOCKET;
    head->cmsg_type = SCM_RIGHTS;
    head->cmsg_len = CMSG_LEN(reply.fds.size() * sizeof(int));
    for (size_t i = 0; i < reply.fds.size(); i++) {
      const int fd = reply.fds[i].get();
      std::memcpy(CMSG_DATA(head) + i * sizeof fd, &fd, sizeof fd);
    }
  }
  while (sendmsg(channel_, &message, MSG_NOSIGNAL) < 0) {
    if (errno != EINTR) return false;
  }
  return true;
}

void Server::Prepare() {
  if (backstage_) return;
  GainNamespaceRights();
  backstage_ = NewNetworkNamespace();
  PrepareBackstage();
  DropCapabilities();
  // Undone by the change of rights; see main.cc.
  prctl(PR_SET_PDEATHSIG, SIGCONT);
  // Guests have our user id: nobody but root may look into or stop the broker (ptrace(2)).
  CheckSystem(prctl(PR_SET_DUMPABLE, 0, 0, 0, 0), "prctl(PR_SET_DUMPABLE)");
}

Stack& Server::Find(uint32_t id) {
  const auto found = stacks_.find(id);
  if (found == stacks_.end()) throw Failure(ENODEV, "no such stack");
  return *found->second;
}

Server::Reply Server::AddStack(const RequestHeader& request) {
  if (stacks_.count(request.stack) != 0) throw Failure(EEXIST, "the stack exists");
  Prepare();
  // The scope brings the main thread back from the namespace that it makes in between.
  const NamespaceScope scope(backstage_.get(), backstage_.get());
  UniqueFd ns = NewNetworkNamespace();
  const std::string warning = PrepareStackNamespace();
  auto stack = std::make_unique<Stack>(std::move(ns));
  const pid_t tid = stack->tid();
  stacks_.emplace(request.stack, std::move(stack));
  return {tid, {}, warning};
}

Server::Reply Server::AddInterface(const RequestHeader& request, const std::string& name) {
  Stack& stack = Find(request.stack);
  if (!ValidLinkName(name)) throw Failure(EINVAL, "not a name of an interface: " + name);
  if (request.a < kMinMtu || request.a > kMaxMtu) throw Failure(EINVAL, "MTU out of range");
  if (request.b > static_cast<uint32_t>(Carrier::kVeth)) throw Failure(EINVAL, "unknown carrier");
  Interface interface = stack.AddInterface(name, request.a, static_cast<Carrier>(request.b),
                                           "far" + std::to_string(++far_ends_), backstage_.get());
  Reply reply;
  reply.result = static_cast<int32_t>(interface.carrier);
  reply.fds.push_back(std::move(interface.fd));
  return reply;
}

Server::Reply Server::MakeSockets(const RequestHeader& request) {
  Stack& stack = Find(request.stack);
  if (request.count == 0 || request.count > kMaxFds) throw Failure(EINVAL, "bad count of sockets");
  const auto domain = static_cast<int>(request.a);
  if (domain != AF_INET && domain != AF_INET6 && domain != AF_NETLINK && domain != AF_PACKET) {
    throw Failure(EAFNOSUPPORT, "not a family of a network stack");
  }
  const NamespaceScope scope(stack.ns(), backstage_.get());
  Reply reply;
  while (reply.fds.size() < request.count) {
    UniqueFd fd(
        socket(domain, static_cast<int>(request.b) | SOCK_CLOEXEC, static_cast<int>(request.c)));
    if (!fd && reply.fds.empty()) FailSystem("socket");
    if (!fd) break;
    reply.fds.push_back(std::move(fd));
  }
  reply.result = static_cast<int32_t>(reply.fds.size());
  return reply;
}

Server::Reply Server::DelStack(const RequestHeader& request) {
  Stack& stack = Find(request.stack);
  // A guest may keep the namespace alive with a socket. It must not go on talking through the pair.
  for (const std::string& name : stack.far_ends()) DoomLink(name);
  stack.Release();
  dying_.push_back(std::move(stacks_.extract(request.stack).mapped()));
  return {};
}

Server::Reply Server::MountSysfs(const RequestHeader& request) {
  Stack& stack = Find(request.stack);
  const NamespaceScope scope(stack.ns(), backstage_.get());
  constexpr unsigned kSafe = MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC;
  Reply reply;
  try {
    reply.fds.push_back(DetachedSysfs(kSafe));
  } catch (const Failure& failure) {
    // Where /sys is read-only a user namespace may not make a writable one (mount_namespaces(7)).
    if (failure.error() != EPERM) throw;
    reply.fds.push_back(DetachedSysfs(kSafe | MOUNT_ATTR_RDONLY));
  }
  return reply;
}

}  // namespace umvu::broker
