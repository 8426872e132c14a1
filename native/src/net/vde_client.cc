#include "net/vde_client.h"

#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstdio>

#include "net/vde_protocol.h"

namespace umvu::net {
namespace {

constexpr timeval kPatience{.tv_sec = 3, .tv_usec = 0};

// Removes the name of a socket; the socket itself lives on.
class SocketName {
 public:
  SocketName() = default;
  SocketName(const SocketName&) = delete;
  SocketName& operator=(const SocketName&) = delete;
  ~SocketName() {
    if (!path.empty()) unlink(path.c_str());
  }
  std::string path;
};

int connect_path(int fd, const std::string& path) {
  sockaddr_un address;
  if (!make_address(path, &address)) return -ENAMETOOLONG;
  if (connect(fd, reinterpret_cast<sockaddr*>(&address), sizeof address) == 0) return 0;
  return errno == EAGAIN ? -ETIMEDOUT : -errno;  // unix(7) reports SO_SNDTIMEO as EAGAIN
}

int open_control(const std::string& directory, UniqueFd* control) {
  control->reset(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (!*control) return -errno;
  setsockopt(control->get(), SOL_SOCKET, SO_SNDTIMEO, &kPatience, sizeof kPatience);
  setsockopt(control->get(), SOL_SOCKET, SO_RCVTIMEO, &kPatience, sizeof kPatience);
  return connect_path(control->get(), directory + "/ctl");
}

// Binds `fd` where the server can reach it: in the directory, or, when that is not ours to write,
// in one of the usual places for temporary files.
int bind_name(int fd, const std::string& directory, SocketName* name) {
  // The same process may join several times; O_EXCL semantics of bind(2) settle the rest.
  static std::atomic<unsigned> counter{0};
  char unique[48];
  const std::string places[] = {directory + "/.", "/var/run/vde.", "/var/tmp/vde.", "/tmp/vde."};
  int error = -EACCES;
  for (const std::string& place : places) {
    for (int attempt = 0; attempt < 16; ++attempt) {
      std::snprintf(unique, sizeof unique, "%05d-%05u", getpid(), ++counter);
      const std::string path = place + unique;
      sockaddr_un address;
      if (!make_address(path, &address)) break;
      if (bind(fd, reinterpret_cast<sockaddr*>(&address), sizeof address) == 0) {
        name->path = path;
        return 0;
      }
      error = -errno;
      if (errno != EADDRINUSE) break;
    }
  }
  return error;
}

// The server sends to our socket, so it needs permission to write to it. A server of ours, or root,
// has it anyway.
int permit_server(int control, const std::string& name) {
  ucred server;
  socklen_t size = sizeof server;
  if (getsockopt(control, SOL_SOCKET, SO_PEERCRED, &server, &size) != 0) return -errno;
  const bool same = server.uid == geteuid() || server.uid == 0;
  return chmod(name.c_str(), same ? 0700 : 0777) != 0 ? -errno : 0;
}

int exchange(int control, const VdeRequest& request, std::string* server) {
  const auto bytes = encode_request(request);
  if (send(control, bytes.data(), bytes.size(), MSG_NOSIGNAL) !=
      static_cast<ssize_t>(bytes.size())) {
    return -EPROTO;
  }
  uint8_t reply[kReplySize];
  const ssize_t got = recv(control, reply, sizeof reply, MSG_WAITALL);
  if (got < 0) return errno == EAGAIN ? -ETIMEDOUT : -errno;
  if (got == 0) return -ECONNREFUSED;  // hung up: it has no port for us
  // MSG_WAITALL gives what came when the time is over.
  if (got != static_cast<ssize_t>(sizeof reply)) return -EPROTO;
  const auto path = parse_address(reply, sizeof reply);
  if (!path) return -EPROTO;
  *server = *path;
  return 0;
}

}  // namespace

int open_vde(const std::string& path, uint32_t port, const std::string& description,
             VdeConnection* connection) {
  struct stat info;
  if (stat(path.c_str(), &info) != 0) return -errno;
  if (!S_ISDIR(info.st_mode)) return -ENOTDIR;
  UniqueFd control;
  if (const int error = open_control(path, &control); error != 0) {
    // A directory without a control socket is one that nobody serves.
    return error == -ENOENT ? -ECONNREFUSED : error;
  }
  UniqueFd data(socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  if (!data) return -errno;
  SocketName name;
  if (const int error = bind_name(data.get(), path, &name); error != 0) return error;
  if (const int error = permit_server(control.get(), name.path); error != 0) return error;
  std::string server;
  const VdeRequest request{port, name.path, description};
  if (const int error = exchange(control.get(), request, &server); error != 0) return error;
  // A switch that was started with a relative path answers with one.
  if (server.front() != '/')
    server = path + server.substr(std::min(server.rfind('/'), server.size()));
  if (const int error = connect_path(data.get(), server); error != 0) return error;
  connection->data = std::move(data);
  connection->control = std::move(control);
  return 0;
}

}  // namespace umvu::net
