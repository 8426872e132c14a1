#pragma once

#include <sys/types.h>

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "path_claims.h"
#include "served_mounts.h"

namespace umvu {

// Finds out whether a path that a guest names is claimed by its view. It follows symbolic links as
// the kernel does (path_resolution(7)), up to the first claimed path it meets: what lies there is
// for the rules to say.
//
// Whether a path is *not* claimed is only advice: the kernel then resolves it anew for the guest,
// and gives the right errno where there is nothing. So everything that is in doubt is "not
// claimed".
class PathResolver {
 public:
  struct Caller {
    pid_t tid;
    pid_t pid;
    // False while all guests are known to have the supervisor's root directory and mounts.
    bool own_root;
  };

  // A directory of the host (as links of procfs name it) that stands for one of the view.
  struct Origin {
    std::string real;
    std::string seen;
  };

  PathResolver(const PathClaims& claims, const std::vector<Origin>& origins, const Caller& caller,
               bool follow)
      : claims_(claims), origins_(origins), caller_(caller), follow_(follow) {}

  PathResolver(const PathResolver&) = delete;
  PathResolver& operator=(const PathResolver&) = delete;
  ~PathResolver();

  // Nothing when `path`, relative to `dirfd` of the caller, is not claimed. Otherwise the canonical
  // path of what is claimed, and where the path goes on from there, a NUL and the rest: "/claimed"
  // or "/claimed\0/a/../b/".
  std::optional<std::string> Resolve(int dirfd, std::string_view path);
  // As Resolve, of a path that starts from the canonical path `base` of the view ("" is the root).
  std::optional<std::string> ResolveFrom(std::string base, std::string_view path);

  // Makes of a directory as procfs calls it the canonical path, below the caller's root ("" for that), that a
  // relative path starts from. False where it is none.
  bool StartFrom(std::string& base) const;
  // What procfs calls a descriptor of the caller, or its working directory (AT_FDCWD); empty on failure.
  std::string LinkOf(int fd) const;
  // The directory of a layer that `real` lies in; null for the host's.
  const Origin* OriginOf(std::string_view real) const;
  // The path that the view has for `real`, which lies in `origin`.
  static std::string Seen(const Origin& origin, const std::string& real);

 private:
  enum class Verdict { kPass, kClaimed, kWalk };

  bool EnterRoot();
  bool StripRoot(std::string& path) const;
  void Translate(std::string& path) const;

  // As openat2(2) with O_PATH below the caller's root. Asks no server: -EREMOTE where it would have to.
  int Open(const std::string& path, uint64_t flags, uint64_t resolve);
  bool IsServed(std::string path, uint64_t resolve);
  const ServedMounts& Served();
  Verdict TryDirectly(const std::string& base, std::string_view rest);
  std::optional<std::string> Walk(std::string at, std::string rest);
  bool ReadLink(const std::string& path, std::string& target);
  bool LinkTarget(const std::string& directory, std::string_view name, std::string& target) const;
  bool IsDirectory(const std::string& path);

  PathClaims::Position Find(const std::string& path) const;
  std::string Stop(const std::string& path, const PathClaims::Position& position, bool slash,
                   std::string_view rest) const;

  const PathClaims& claims_;
  const std::vector<Origin>& origins_;
  const Caller caller_;
  const bool follow_;
  // Those of the caller, when it has mounts of its own; read when they matter.
  std::optional<ServedMounts> served_;
  int root_ = -1;
  // Path of the caller's root directory as seen by the supervisor, "" for "/".
  std::string root_text_;
  std::string result_;
};

}  // namespace umvu
