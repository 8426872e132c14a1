// Removes what the supervisor left in the file system.
#ifndef UMVU_BROKER_JANITOR_H_
#define UMVU_BROKER_JANITOR_H_

#include <map>
#include <string>

#include "unique_fd.h"

namespace umvu::broker {

// The paths that must not outlive the supervisor: directories that serve a VDE network, single
// sockets. A supervisor that ends in order removes and disowns them itself; after kill -9 the
// broker does it.
class Janitor {
 public:
  ~Janitor() = default;

  // `path` is absolute and names a directory or a socket that exists, no symbolic link.
  void Own(const std::string& path);
  void Disown(const std::string& path);

  // Removes what is owned: of a directory only the sockets `ctl` and `fd*`, then itself if that
  // left it empty. A path at which something else is now is left alone, symbolic links are never
  // followed.
  void Clean();

 private:
  // Descriptors (O_PATH) keep the objects' inode numbers from being given to others.
  std::map<std::string, UniqueFd> owned_;
};

}  // namespace umvu::broker

#endif  // UMVU_BROKER_JANITOR_H_
