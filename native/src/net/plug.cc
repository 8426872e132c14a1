#include "net/plug.h"

#include <dlfcn.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <sys/socket.h>

#include <cerrno>
#include <chrono>
#include <system_error>
#include <thread>

#include "net/offload.h"
#include "signals_blocked.h"

namespace umvu::net {
namespace {

constexpr int kInterfaceVersion = 1;
constexpr int kFramesPerTurn = 32;
// A connection that only fails is broken, even if its descriptor says nothing.
constexpr int kMaxFailures = 256;
constexpr std::chrono::seconds kPatience(1);

template <typename Function>
bool find(void* handle, const char* name, Function* function) {
  *function = reinterpret_cast<Function>(dlsym(handle, name));
  return *function != nullptr;
}

}  // namespace

std::shared_ptr<const PlugLibrary> PlugLibrary::load() {
#ifdef __SANITIZE_ADDRESS__
  // The library opens its plug-ins with RTLD_DEEPBIND, at which AddressSanitizer ends the process.
  return nullptr;
#endif
  void* handle = dlopen("libvdeplug.so.2", RTLD_NOW | RTLD_LOCAL);
  if (handle == nullptr) return nullptr;
  auto library = std::make_shared<PlugLibrary>();
  const bool complete =
      find(handle, "vde_open_real", &library->open) && find(handle, "vde_recv", &library->recv) &&
      find(handle, "vde_send", &library->send) && find(handle, "vde_datafd", &library->datafd) &&
      find(handle, "vde_ctlfd", &library->ctlfd) && find(handle, "vde_close", &library->close);
  return complete ? library : nullptr;
}

std::shared_ptr<PlugThreads::Relay> PlugThreads::enter() {
  const std::lock_guard lock(mutex_);
  ++running_;
  return std::make_shared<Relay>();
}

void PlugThreads::removed(Relay* relay) {
  const std::lock_guard lock(mutex_);
  if (relay->ended) return;
  relay->removed = true;
  ++ending_;
}

void PlugThreads::leave(Relay* relay) {
  const std::lock_guard lock(mutex_);
  relay->ended = true;
  if (relay->removed) --ending_;
  --running_;
  ended_.notify_all();
}

void PlugThreads::settle() {
  std::unique_lock lock(mutex_);
  ended_.wait_for(lock, kPatience, [this] { return ending_ == 0; });
}

void PlugThreads::wait() {
  std::unique_lock lock(mutex_);
  ended_.wait_for(lock, kPatience, [this] { return running_ == 0; });
}

Plug::~Plug() { library_->close(connection_); }

std::unique_ptr<Plug> Plug::open(std::shared_ptr<const PlugLibrary> library, const std::string& vnl,
                                 const std::string& description, int* error) {
  std::string locator = vnl, text = description;  // the library takes writable strings
  errno = 0;
  VdeConn* connection = library->open(locator.data(), text.data(), kInterfaceVersion, nullptr);
  if (connection == nullptr) {
    *error = errno != 0 ? -errno : -EINVAL;
    return nullptr;
  }
  return std::make_unique<Plug>(std::move(library), connection);
}

int Plug::start(std::unique_ptr<Plug> plug, std::shared_ptr<PlugThreads> threads,
                std::shared_ptr<PlugThreads::Relay>* relay) {
  int ends[2];
  if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) != 0) return -errno;
  UniqueFd ours(ends[0]), theirs(ends[1]);
  const SignalsBlocked blocked;
  *relay = threads->enter();
  try {
    std::thread([plug = std::move(plug), theirs = std::move(theirs), threads,
                 mine = *relay]() mutable {
      plug->relay(theirs.get());
      theirs.reset();
      plug.reset();
      threads->leave(mine.get());
    }).detach();
  } catch (const std::system_error& error) {
    threads->leave(relay->get());
    return -error.code().value();
  }
  return ours.release();
}

bool Plug::to_network(int socket) {
  char frame[kMaxPlainFrame];
  const ssize_t got = library_->recv(connection_, frame, sizeof frame, 0);
  if (got > 1) {
    failures_ = 0;
    return send(socket, frame, static_cast<size_t>(got), MSG_NOSIGNAL) >= 0 || errno == EMSGSIZE;
  }
  // 1 is "not for you"; 0 and errors are transient unless they do not stop.
  if (got == 1) return true;
  return ++failures_ < kMaxFailures;
}

bool Plug::from_network(int socket) {
  char frame[kMaxPlainFrame];
  for (int i = 0; i < kFramesPerTurn; ++i) {
    const ssize_t got = recv(socket, frame, sizeof frame, MSG_DONTWAIT);
    if (got < 0) return errno == EAGAIN || errno == EINTR;
    if (got == 0) return false;  // the port was removed
    // Ethernet may lose frames: a full or refused one is not told to anybody.
    library_->send(connection_, frame, static_cast<size_t>(got), 0);
  }
  return true;
}

bool Plug::control_ended() {
  char ignored[256];
  const ssize_t got = read(library_->ctlfd(connection_), ignored, sizeof ignored);
  return got == 0 || (got < 0 && errno != EAGAIN && errno != EINTR);
}

void Plug::relay(int socket) {
  pthread_setname_np(pthread_self(), "umvu-plug");
  pollfd fds[3] = {{socket, POLLIN, 0},
                   {library_->datafd(connection_), POLLIN, 0},
                   {library_->ctlfd(connection_), POLLIN, 0}};  // poll(2) skips -1
  bool going = true;
  while (going) {
    if (poll(fds, 3, -1) < 0) continue;  // EINTR
    if ((fds[0].revents & (POLLIN | POLLHUP)) != 0) going = from_network(socket);
    if (going && (fds[1].revents & (POLLIN | POLLERR)) != 0) going = to_network(socket);
    if (going && (fds[1].revents & POLLIN) == 0)
      going = (fds[1].revents & (POLLHUP | POLLNVAL)) == 0;
    if (going && fds[2].revents != 0) going = !control_ended();
  }
}

}  // namespace umvu::net
