#include "net/vde_server.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>

namespace umvu::net {
namespace {

constexpr int kBacklog = 128;
constexpr std::size_t kLongestName = sizeof "/fd4294967295";

// True when `path` is a socket of the user at the other end of `connection`. Otherwise a client
// could make us send frames to a socket that it may not write to itself.
bool owned_by_peer(const std::string& path, int connection) {
  ucred peer;
  socklen_t size = sizeof peer;
  struct stat info;
  if (getsockopt(connection, SOL_SOCKET, SO_PEERCRED, &peer, &size) != 0) return false;
  if (lstat(path.c_str(), &info) != 0 || !S_ISSOCK(info.st_mode)) return false;
  return peer.uid == 0 || peer.uid == info.st_uid;
}

int connect_to(int fd, const std::string& path) {
  sockaddr_un address;
  if (!make_address(path, &address)) return -ENAMETOOLONG;
  return connect(fd, reinterpret_cast<sockaddr*>(&address), sizeof address) != 0 ? -errno : 0;
}

}  // namespace

// A connection whose request has not come yet.
class VdeServer::Client : public Pollable {
 public:
  Client(VdeServer* server, UniqueFd connection)
      : server_(server), connection_(std::move(connection)) {}
  UniqueFd& connection() { return connection_; }

  void on_events(uint32_t) override {
    uint8_t request[kMaxRequest];
    const ssize_t got = recv(connection_.get(), request, sizeof request, MSG_DONTWAIT);
    if (got < 0 && (errno == EAGAIN || errno == EINTR)) return;
    // The description has no length of its own: a request is what one read gives, as in other
    // servers.
    const auto parsed = parse_request(request, got > 0 ? static_cast<std::size_t>(got) : 0);
    if (parsed) {
      server_->join(this, *parsed);
    } else {
      server_->drop(this);
    }
  }

 private:
  VdeServer* const server_;
  UniqueFd connection_;
};

VdeServer::VdeServer(Network* network, const ListenOptions& options)
    : network_(network), options_(options) {}

VdeServer::~VdeServer() = default;

std::unique_ptr<VdeServer> VdeServer::open(Network* network, const ListenOptions& options,
                                           int* error) {
  if (options.path.size() + kLongestName > sizeof sockaddr_un{}.sun_path) {
    *error = -ENAMETOOLONG;
    return nullptr;
  }
  std::unique_ptr<VdeServer> server(new VdeServer(network, options));
  *error = server->make_directory();
  if (*error != 0) return nullptr;
  *error = server->make_control();
  if (*error == 0) return server;
  server->remove_files();
  return nullptr;
}

int VdeServer::make_directory() {
  const char* path = options_.path.c_str();
  if (mkdir(path, 0700) != 0) return -errno;
  directory_.reset(::open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
  if (directory_) return 0;
  const int error = -errno;
  rmdir(path);
  return error;
}

int VdeServer::bind_socket(int fd, const std::string& name) const {
  sockaddr_un address;
  if (!make_address(options_.path + "/" + name, &address)) return -ENAMETOOLONG;
  if (bind(fd, reinterpret_cast<sockaddr*>(&address), sizeof address) != 0) return -errno;
  const int directory = directory_.get();
  if (options_.group >= 0 &&
      fchownat(directory, name.c_str(), static_cast<uid_t>(-1), static_cast<gid_t>(options_.group),
               AT_SYMLINK_NOFOLLOW) != 0) {
    return -errno;
  }
  return fchmodat(directory, name.c_str(), options_.mode, 0) != 0 ? -errno : 0;
}

int VdeServer::make_control() {
  spare_.reset(::open("/dev/null", O_RDONLY | O_CLOEXEC));
  control_.reset(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!control_) return -errno;
  if (const int error = bind_socket(control_.get(), "ctl"); error != 0) return error;
  if (::listen(control_.get(), kBacklog) != 0) return -errno;
  // The directory opens last, when all in it is ready. chown first: it clears the set-group-id bit.
  const int directory = directory_.get();
  if (options_.group >= 0 &&
      fchown(directory, static_cast<uid_t>(-1), static_cast<gid_t>(options_.group)) != 0) {
    return -errno;
  }
  if (fchmod(directory, options_.dir_mode) != 0) return -errno;
  return network_->pump().watch(control_.get(), EPOLLIN, this);
}

void VdeServer::on_events(uint32_t) {
  for (int i = 0; i < kAcceptsPerTurn; ++i) {
    UniqueFd connection(accept4(control_.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
    if (!connection) {
      // Out of descriptors: the connection would stay in the backlog and wake the pump for ever.
      if (errno == EMFILE || errno == ENFILE) turn_away();
      return;
    }
    admit(std::move(connection));
  }
}

void VdeServer::turn_away() {
  spare_.reset();
  UniqueFd(accept4(control_.get(), nullptr, nullptr, SOCK_CLOEXEC)).reset();
  spare_.reset(::open("/dev/null", O_RDONLY | O_CLOEXEC));
}

void VdeServer::admit(UniqueFd connection) {
  if (joined_ + waiting_.size() >= kMaxClients) {
    if (waiting_.empty()) return;
    drop(waiting_.front().get());
  }
  auto client = std::make_unique<Client>(this, std::move(connection));
  const int fd = client->connection().get();
  if (network_->pump().watch(fd, EPOLLIN | EPOLLRDHUP, client.get()) != 0) return;
  waiting_.push_back(std::move(client));
}

void VdeServer::drop(Client* client) {
  const auto at =
      std::find_if(waiting_.begin(), waiting_.end(), [&](auto& c) { return c.get() == client; });
  if (client->connection()) network_->pump().unwatch(client->connection().get());
  client->connection().reset();
  network_->pump().retire(std::move(*at));
  waiting_.erase(at);
}

void VdeServer::join(Client* client, const VdeRequest& request) {
  const std::string name = "fd" + std::to_string(next_name_++);
  UniqueFd data(socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  const int connection = client->connection().get();
  sockaddr_un address;
  make_address(options_.path + "/" + name, &address);
  const bool ready = data && owned_by_peer(request.path, connection) &&
                     bind_socket(data.get(), name) == 0 &&
                     connect_to(data.get(), request.path) == 0 &&
                     send(connection, &address, sizeof address, MSG_DONTWAIT | MSG_NOSIGNAL) ==
                         static_cast<ssize_t>(sizeof address);
  if (!ready) {
    unlinkat(directory_.get(), name.c_str(), 0);
    return drop(client);
  }
  network_->pump().unwatch(connection);
  ++joined_;
  PortConfig config;
  config.fd = std::move(data);
  config.control = std::move(client->connection());
  config.on_removed = [this, name] {
    unlinkat(directory_.get(), name.c_str(), 0);
    --joined_;
  };
  drop(client);
  if (network_->add_port(std::move(config)) < 0) {
    unlinkat(directory_.get(), name.c_str(), 0);
    --joined_;
  }
}

void VdeServer::shut() {
  network_->pump().unwatch(control_.get());
  while (!waiting_.empty()) drop(waiting_.back().get());
  remove_files();
}

void VdeServer::remove_files() const {
  // Clients that were killed may have left their sockets here; other files are not ours to remove.
  const int copy = fcntl(directory_.get(), F_DUPFD_CLOEXEC, 0);
  DIR* list = copy >= 0 ? fdopendir(copy) : nullptr;
  if (list == nullptr && copy >= 0) ::close(copy);
  while (const dirent* entry = list != nullptr ? readdir(list) : nullptr) {
    struct stat info;
    const int result = fstatat(directory_.get(), entry->d_name, &info, AT_SYMLINK_NOFOLLOW);
    if (result == 0 && S_ISSOCK(info.st_mode)) unlinkat(directory_.get(), entry->d_name, 0);
  }
  if (list != nullptr) closedir(list);
  struct stat ours, named;
  const char* path = options_.path.c_str();
  // Not if someone has moved it away and put another one there.
  const bool same = fstat(directory_.get(), &ours) == 0 && lstat(path, &named) == 0 &&
                    ours.st_dev == named.st_dev && ours.st_ino == named.st_ino;
  if (same) rmdir(path);
}

}  // namespace umvu::net
