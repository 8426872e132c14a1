#pragma once

#include <napi.h>
#include <sys/stat.h>

#include <memory>
#include <set>
#include <string>
#include <string_view>

namespace umvu {

// What C++ knows of a mounted tree (FileTree of runtime/vm/mounts.ts): enough to find what is at most paths without
// JavaScript. Whatever is not simple it leaves to the tree itself (kUnsure), so the two cannot disagree about much:
// the tree is the truth, this is a shortcut.
class FastTree {
 public:
  enum class Kind { kBind, kCow, kMerge };
  enum class Verdict { kThere, kMissing, kUnsure };

  // A real tree below one root, as in runtime/files/layer.ts. The descriptor belongs to the layer, and outlives
  // every view that has the tree.
  struct Layer {
    int fd = -1;
    std::string prefix;
    std::string source;
  };

  // A tree of one layer has it as `upper`.
  FastTree(Kind kind, Layer upper, Layer lower)
      : kind_(kind), upper_(std::move(upper)), lower_(std::move(lower)) {}

  // An object of the tree. `fd` (O_PATH) is the caller's to close; -1 for the root of a layer.
  struct Object {
    const Layer* layer = nullptr;
    int fd = -1;
    struct stat about {};
  };

  // What is at `path` (canonical, relative to the root of the tree); symbolic links are not followed.
  Verdict Find(const std::string& path, Object& object) const;

  // Whether the tree has a directory at `path`; false also where that is for the tree itself to say.
  bool HasDirectory(const std::string& path) const;

  // A descriptor of the directory at `path`, opened with `flags` of open(2); -ENOENT where the tree has nothing
  // there, and another negated errno where that is for the tree itself to say.
  int OpenDirectory(const std::string& path, uint64_t flags) const;

  // Whether the directory that was opened as `path` of the layer with `prefix` has just the names that the tree
  // shows there.
  bool IsPlain(std::string_view prefix, const std::string& path) const;

  // Copy on write: nothing of the lower layer is seen any more at and below `path`; or not so any more.
  void Hide(std::string path) { hidden_.insert(std::move(path)); }
  void Show(const std::string& path) { hidden_.erase(path); }
  // Copy on write: from now on some files of the lower layer are shown as the copies of other names of them.
  void HasCopiedLinks() { copied_links_ = true; }
  // Copy on write: something is about to be made in the upper layer, or has been.
  void Changed() { absent_.clear(); }

  // Whether what a directory of IsPlain has is what the tree shows, in every attribute.
  bool ShowsAttributes() const { return !copied_links_; }

 private:
  Verdict FindInCow(const std::string& path, Object& object) const;
  Verdict FindInMerge(const std::string& path, Object& object) const;
  // Whether the upper layer has nothing at and below the directory `path`, as far as can be told at once.
  bool LacksDirectory(std::string_view path) const;
  void RememberAbsent(const std::string& path) const;
  bool Hides(std::string_view path) const;
  bool HidesNamesIn(const std::string& directory) const;

  const Kind kind_;
  const Layer upper_;
  const Layer lower_;
  std::set<std::string, std::less<>> hidden_;
  bool copied_links_ = false;
  // Directories that the upper layer of a copy-on-write tree does not have. Nobody but the tree changes that layer.
  mutable std::set<std::string, std::less<>> absent_;
};

// The tree of a TreeMirror object of JavaScript; null for other values.
std::shared_ptr<FastTree> FastTreeOf(const Napi::Value& value);

void init_fast_tree(Napi::Env env, Napi::Object exports);

}  // namespace umvu
