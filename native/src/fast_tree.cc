#include "fast_tree.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>

#include "byte_string.h"
#include "files.h"

namespace umvu {
namespace {

// The folder of an upper layer that is no part of the tree, see modules/vufs/whiteouts.ts.
constexpr std::string_view kPrivate = ".-";

bool IsAtOrBelow(std::string_view path, std::string_view top) {
  return path.starts_with(top) && (path.size() == top.size() || path[top.size()] == '/');
}

std::string_view DirectoryOf(std::string_view path) {
  const size_t slash = path.rfind('/');
  return slash == std::string_view::npos ? std::string_view() : path.substr(0, slash);
}

// 0 with the object, or a negated errno.
int Look(const FastTree::Layer& layer, const std::string& path, FastTree::Object& object) {
  object.layer = &layer;
  object.fd = -1;
  if (path.empty()) return fstatat(layer.fd, "", &object.about, AT_EMPTY_PATH) == 0 ? 0 : -errno;
  const int fd = OpenBeneath(layer.fd, path.c_str(), O_PATH | O_NOFOLLOW, 0);
  if (fd < 0) return fd;
  if (fstat(fd, &object.about) != 0) {
    const int error = -errno;
    close(fd);
    return error;
  }
  object.fd = fd;
  return 0;
}

bool LayerHasDirectory(const FastTree::Layer& layer, const std::string& path) {
  FastTree::Object object;
  if (Look(layer, path, object) < 0) return false;
  if (object.fd >= 0) close(object.fd);
  return S_ISDIR(object.about.st_mode);
}

FastTree::Verdict VerdictOf(int result) {
  if (result == 0) return FastTree::Verdict::kThere;
  return result == -ENOENT ? FastTree::Verdict::kMissing : FastTree::Verdict::kUnsure;
}

FastTree::Verdict Unsure(FastTree::Object& object) {
  if (object.fd >= 0) close(object.fd);
  object.fd = -1;
  return FastTree::Verdict::kUnsure;
}

}  // namespace

FastTree::Verdict FastTree::Find(const std::string& path, Object& object) const {
  switch (kind_) {
    case Kind::kBind:
      return VerdictOf(Look(upper_, path, object));
    case Kind::kCow:
      return FindInCow(path, object);
    case Kind::kMerge:
      return FindInMerge(path, object);
  }
  return Verdict::kUnsure;
}

FastTree::Verdict FastTree::FindInCow(const std::string& path, Object& object) const {
  if (IsAtOrBelow(path, kPrivate)) return Verdict::kUnsure;
  const std::string_view above = DirectoryOf(path);
  if (!LacksDirectory(above)) {
    const int upper = Look(upper_, path, object);
    if (upper != -ENOENT) return VerdictOf(upper);
    RememberAbsent(std::string(above));
  }
  if (Hides(path)) return Verdict::kMissing;
  const int lower = Look(lower_, path, object);
  if (lower != 0) return VerdictOf(lower);
  // Times of directories that names are gone from, and the copies of files with several names: the tree knows.
  if (S_ISDIR(object.about.st_mode) && HidesNamesIn(path)) return Unsure(object);
  if (S_ISREG(object.about.st_mode) && object.about.st_nlink > 1 && copied_links_) return Unsure(object);
  return Verdict::kThere;
}

FastTree::Verdict FastTree::FindInMerge(const std::string& path, Object& object) const {
  const int upper = Look(upper_, path, object);
  if (upper == -ENOENT) return VerdictOf(Look(lower_, path, object));
  // A directory of both shows the times of the one that changed last.
  if (upper == 0 && S_ISDIR(object.about.st_mode) && LayerHasDirectory(lower_, path)) return Unsure(object);
  return VerdictOf(upper);
}

bool FastTree::HasDirectory(const std::string& path) const {
  Object object;
  if (Find(path, object) != Verdict::kThere) return false;
  if (object.fd >= 0) close(object.fd);
  return S_ISDIR(object.about.st_mode);
}

int FastTree::OpenDirectory(const std::string& path, uint64_t flags) const {
  if (kind_ != Kind::kCow) {
    if (kind_ == Kind::kBind) return OpenBeneath(upper_.fd, path.c_str(), flags, 0);
    return -EINVAL;
  }
  if (IsAtOrBelow(path, kPrivate)) return -EINVAL;
  if (!LacksDirectory(DirectoryOf(path))) {
    const int upper = OpenBeneath(upper_.fd, path.c_str(), flags, 0);
    if (upper != -ENOENT) return upper;
    RememberAbsent(path);
  }
  if (Hides(path)) return -ENOENT;
  return OpenBeneath(lower_.fd, path.c_str(), flags, 0);
}

bool FastTree::LacksDirectory(std::string_view path) const { return absent_.contains(path); }

// Of a path that the upper layer lacks, the directory may be there.
void FastTree::RememberAbsent(const std::string& path) const {
  constexpr size_t kMost = 10000;
  if (path.empty() || absent_.contains(path)) return;
  if (!absent_.contains(DirectoryOf(path))) {
    Object object;
    const int result = Look(upper_, path, object);
    if (object.fd >= 0) close(object.fd);
    if (result != -ENOENT) return;
  }
  if (absent_.size() >= kMost) absent_.clear();
  absent_.insert(path);
}

bool FastTree::IsPlain(std::string_view prefix, const std::string& path) const {
  if (kind_ == Kind::kBind) return prefix == upper_.prefix;
  if (IsAtOrBelow(path, kPrivate)) return false;
  // The root of an upper layer has a folder that does not show.
  if (prefix == upper_.prefix) return !path.empty() && (Hides(path) || !LayerHasDirectory(lower_, path));
  if (prefix != lower_.prefix || path.empty() || Hides(path) || HidesNamesIn(path)) return false;
  if (kind_ == Kind::kCow) {
    RememberAbsent(path);
    return LacksDirectory(path);
  }
  Object object;
  const int upper = Look(upper_, path, object);
  if (object.fd >= 0) close(object.fd);
  return upper == -ENOENT;
}

bool FastTree::Hides(std::string_view path) const {
  if (hidden_.empty()) return false;
  for (size_t end = path.find('/'); end != std::string_view::npos; end = path.find('/', end + 1)) {
    if (hidden_.contains(path.substr(0, end))) return true;
  }
  return hidden_.contains(path);
}

bool FastTree::HidesNamesIn(const std::string& directory) const {
  if (hidden_.empty()) return false;
  if (directory.empty()) return true;
  const std::string below = directory + '/';
  const auto next = hidden_.lower_bound(below);
  return next != hidden_.end() && next->starts_with(below);
}

namespace {

// class TreeMirror of JavaScript: the FastTree that goes with a FileTree.
class TreeMirror : public Napi::ObjectWrap<TreeMirror> {
 public:

  static Napi::Function Define(Napi::Env env) {
    return DefineClass(env, "TreeMirror",
                       {InstanceMethod<&TreeMirror::Hide>("hide"), InstanceMethod<&TreeMirror::Show>("show"),
                        InstanceMethod<&TreeMirror::HasCopiedLinks>("hasCopiedLinks"),
                        InstanceMethod<&TreeMirror::Changed>("changed")});
  }

  explicit TreeMirror(const Napi::CallbackInfo& info) : Napi::ObjectWrap<TreeMirror>(info) {
    const auto kind = static_cast<FastTree::Kind>(info[0].As<Napi::Number>().Uint32Value());
    tree = std::make_shared<FastTree>(kind, LayerOf(info[1]), LayerOf(info[2]));
    Value().TypeTag(&kTag);
  }

  static constexpr napi_type_tag kTag = {0x756d767554726565, 0x4d6972726f720001};
  std::shared_ptr<FastTree> tree;

 private:
  static FastTree::Layer LayerOf(const Napi::Value& value) {
    if (!value.IsObject()) return {};
    const auto layer = value.As<Napi::Object>();
    return {layer.Get("fd").As<Napi::Number>().Int32Value(), ByteString(layer.Get("prefix")),
            ByteString(layer.Get("source"))};
  }

  void Hide(const Napi::CallbackInfo& info) { tree->Hide(ByteString(info[0])); }
  void Show(const Napi::CallbackInfo& info) { tree->Show(ByteString(info[0])); }
  void Changed(const Napi::CallbackInfo&) { tree->Changed(); }
  void HasCopiedLinks(const Napi::CallbackInfo&) { tree->HasCopiedLinks(); }
};

}  // namespace

std::shared_ptr<FastTree> FastTreeOf(const Napi::Value& value) {
  if (!value.IsObject() || !value.As<Napi::Object>().CheckTypeTag(&TreeMirror::kTag)) return nullptr;
  return TreeMirror::Unwrap(value.As<Napi::Object>())->tree;
}

void init_fast_tree(Napi::Env env, Napi::Object exports) {
  exports.Set("TreeMirror", TreeMirror::Define(env));
}

}  // namespace umvu
