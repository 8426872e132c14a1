#include "lwip/place.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <string>

namespace umvu::lwip {
namespace {

sockaddr_un address_of(const std::string& path) {
  sockaddr_un address = {};
  address.sun_family = AF_UNIX;
  path.copy(address.sun_path, sizeof address.sun_path - 1);
  return address;
}

int connect_to(int fd, int place) {
  const sockaddr_un address = address_of("/proc/self/fd/" + std::to_string(place));
  return connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0 ? -errno : 0;
}

// A new folder that only we may enter.
std::string make_folder() {
  const char* wanted = std::getenv("TMPDIR");
  for (const char* base : {wanted, "/tmp", "/dev/shm", "/var/tmp"}) {
    // The path of a socket has 107 bytes.
    if (base == nullptr || std::string(base).size() > 80) continue;
    std::string folder = std::string(base) + "/umvu.XXXXXX";
    if (mkdtemp(folder.data()) != nullptr) return folder;
  }
  return {};
}

}  // namespace

int bind_place(int fd, net::UniqueFd* place) {
  const std::string folder = make_folder();
  if (folder.empty()) return -EACCES;
  const std::string path = folder + "/s";
  const sockaddr_un address = address_of(path);
  int result = bind(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0 ? -errno : 0;
  if (result == 0) {
    place->reset(open(path.c_str(), O_PATH | O_NOFOLLOW | O_CLOEXEC));
    if (!*place) result = -errno;
    unlink(path.c_str());
  }
  rmdir(folder.c_str());
  return result;
}

int connect_place(int fd, int place) { return connect_to(fd, place); }

int send_place(int fd, int place) {
  const sockaddr_un address = address_of("/proc/self/fd/" + std::to_string(place));
  const ssize_t sent = sendto(fd, "", 1, MSG_DONTWAIT | MSG_NOSIGNAL, reinterpret_cast<const sockaddr*>(&address),
                              sizeof address);
  return sent < 0 ? -errno : 0;
}

int make_probe() {
  const int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  return fd < 0 ? -errno : fd;
}

bool place_alive(int place, int probe) {
  // A socket of another type is refused with EPROTOTYPE where there is one, with ECONNREFUSED where there is none.
  return connect_to(probe, place) != -ECONNREFUSED;
}

}  // namespace umvu::lwip
