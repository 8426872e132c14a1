#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "fast_call.h"
#include "view_paths.h"

namespace umvu {

// Works out the answer to one call of PathFront. It acts on a copy of the guest's path, and only reads; where the
// kernel is let do a call, that is because nothing of the view is met, as it would be by JavaScript's handlers.
class FastAnswer {
 public:
  // What is known of a guest.
  struct Guest {
    std::shared_ptr<const ViewPaths> paths;
    // Whether the supervisor may act for it as itself.
    bool acts;
    // Whether descriptors of it may be those of devices.
    bool devices;
  };

  FastAnswer(const Guest& guest, const PathResolver::Caller& caller, int listener, uint64_t id)
      : guest_(guest),
        paths_(*guest.paths),
        caller_(caller),
        listener_(listener),
        id_(id),
        resolver_(paths_.claims, paths_.origins, caller, true) {}

  std::optional<int64_t> To(const FastCall& call);

 private:
  using Answer = std::optional<int64_t>;

  // A place in the view; `tree` is null where only JavaScript knows what is there.
  struct TreePlace {
    bool claimed = false;
    // Mounts or rules are met further down.
    bool mounts_below = false;
    const FastTree* tree = nullptr;
    std::string inside;
  };

  // A path as it is written, joined to where it starts from.
  struct Written {
    std::string path;
    // Only a directory will do.
    bool directory = false;
    // What has to be a directory, and reached without a link, for ".." to lead where it seems to.
    std::vector<std::string> turns;

    // False where a name is too long, or there are too many turns.
    bool Join(std::string_view names);
  };

  Answer AtPlace(const FastCall& call, const TreePlace& place, const Written& written);
  TreePlace PlaceOf(const std::string& path) const;
  Answer ToPath(const FastCall& call);
  Answer ToEntries(int fd) const;
  Answer ToWorkingDirectory(const FastCall& call) const;
  Answer InTree(const FastCall& call, const TreePlace& place, const Written& written);
  // What PathResolver has found: a claimed path, and how it goes on.
  Answer ToClaimed(const FastCall& call, const std::string& found, bool directory);
  // Goes on behind the link that `object` is, at `written`.
  Answer Follow(const FastCall& call, const FastTree::Object& object, const Written& written);
  // Whether the kernel finds the same as the view at `name` in the directory that `dirfd` or the working directory is.
  bool IsPlainName(const FastCall& call, std::string_view name, const FastTree& tree, const std::string& real,
                   const std::string& inside) const;
  Answer OpenDirectory(const FastCall& call, const FastTree& tree, const std::string& inside) const;
  Answer Inject(int fd, bool close_on_exec) const;
  Answer Look(const FastCall& call, const FastTree::Object& object);
  Answer Open(const FastCall& call, const FastTree::Object& object, const std::string& inside);

  bool Alive() const;
  Answer Write(uint64_t address, const void* bytes, size_t length, int64_t result) const;

  const Guest& guest_;
  const ViewPaths& paths_;
  const PathResolver::Caller caller_;
  const int listener_;
  const uint64_t id_;
  PathResolver resolver_;
  int followed_ = 0;
};

}  // namespace umvu
