// Mounts whose files a server provides: FUSE and the file systems of networks. Looking a name up
// there may take for ever, and the server may be a guest whose calls wait for the supervisor. So
// the supervisor does not look there.
#ifndef UMVU_SERVED_MOUNTS_H_
#define UMVU_SERVED_MOUNTS_H_

#include <sys/types.h>

#include <cstdint>
#include <string>
#include <unordered_set>

namespace umvu {

class ServedMounts {
 public:
  // Those of the supervisor's own mount namespace, followed as they change.
  static ServedMounts& Own();

  // Those that thread `tid` has now.
  explicit ServedMounts(pid_t tid);
  ~ServedMounts();

  ServedMounts(const ServedMounts&) = delete;
  ServedMounts& operator=(const ServedMounts&) = delete;

  // Takes notice of mounts that have come and gone, when these are the supervisor's own.
  void Update();

  bool None() const { return known_ && served_.empty(); }
  // Whether what `fd` was opened on lies on such a mount. Asks no server. True where that cannot be
  // told.
  bool Has(int fd) const;

 private:
  ServedMounts();

  void Read(int fd);

  // /proc/self/mountinfo, which polls as exceptional after each change (proc_pid_mountinfo(5)).
  int fd_ = -1;
  bool known_ = false;
  std::unordered_set<uint64_t> served_;
};

}  // namespace umvu

#endif  // UMVU_SERVED_MOUNTS_H_
