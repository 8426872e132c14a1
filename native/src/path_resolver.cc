#include "path_resolver.h"

#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <climits>
#include <cstdio>

namespace umvu {
namespace {

constexpr int kMostLinks = 40;  // MAXSYMLINKS of the kernel

bool EndsWith(std::string_view text, std::string_view end) {
  return text.size() >= end.size() && text.substr(text.size() - end.size()) == end;
}

// Text of the magic link `name` of thread `tid` (proc_pid_cwd(5) and others); empty on failure.
std::string ProcLink(pid_t tid, const char* name) {
  char path[64];
  char text[PATH_MAX];
  std::snprintf(path, sizeof path, "/proc/%d/%s", tid, name);
  const ssize_t n = readlink(path, text, sizeof text);
  return n > 0 && n < PATH_MAX ? std::string(text, static_cast<size_t>(n)) : std::string();
}

}  // namespace

PathResolver::~PathResolver() {
  if (root_ >= 0) close(root_);
}

std::optional<std::string> PathResolver::Resolve(int dirfd, std::string_view path) {
  // An empty path is either an error or means the descriptor itself, which is a real one.
  if (path.empty() || (caller_.own_root && !EnterRoot())) return std::nullopt;
  std::string base;
  if (path[0] != '/' && !StartFrom(base = LinkOf(dirfd))) return std::nullopt;
  return ResolveFrom(std::move(base), path);
}

std::optional<std::string> PathResolver::ResolveFrom(std::string base, std::string_view path) {
  switch (TryDirectly(base, path)) {
    case Verdict::kPass:
      return std::nullopt;
    case Verdict::kClaimed:
      return std::move(result_);
    case Verdict::kWalk:
      break;
  }
  return Walk(std::move(base), std::string(path));
}

// Guests that cannot be looked at (not dumpable) are left to the kernel.
bool PathResolver::EnterRoot() {
  char path[64];
  std::snprintf(path, sizeof path, "/proc/%d/root", caller_.tid);
  root_ = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
  if (root_ < 0) return false;
  root_text_ = ProcLink(caller_.tid, "root");
  if (root_text_ == "/") root_text_.clear();
  return true;
}

std::string PathResolver::LinkOf(int fd) const {
  if (fd == AT_FDCWD) return ProcLink(caller_.tid, "cwd");
  char name[32];
  std::snprintf(name, sizeof name, "fd/%d", fd);
  return ProcLink(caller_.tid, name);
}

bool PathResolver::StartFrom(std::string& base) const {
  if (base.empty() || base[0] != '/') return false;
  Translate(base);
  if (!StripRoot(base)) return false;
  if (base == "/") base.clear();
  return true;
}

bool PathResolver::StripRoot(std::string& path) const {
  if (root_text_.empty()) return true;
  if (path.compare(0, root_text_.size(), root_text_) != 0) return false;
  if (path.size() > root_text_.size() && path[root_text_.size()] != '/') return false;
  path.erase(0, root_text_.size());
  return true;
}

const PathResolver::Origin* PathResolver::OriginOf(std::string_view real) const {
  for (const Origin& origin : origins_) {
    if (!real.starts_with(origin.real)) continue;
    if (real.size() == origin.real.size() || real[origin.real.size()] == '/') return &origin;
  }
  return nullptr;
}

std::string PathResolver::Seen(const Origin& origin, const std::string& real) {
  std::string path = (origin.seen == "/" ? "" : origin.seen) + real.substr(origin.real.size());
  if (path.empty()) path.assign(1, '/');
  return path;
}

// Gives the path of a directory in a layer the form that it has in the view.
void PathResolver::Translate(std::string& path) const {
  if (const Origin* origin = OriginOf(path); origin != nullptr) path = Seen(*origin, path);
}

PathClaims::Position PathResolver::Find(const std::string& path) const {
  return root_text_.empty() ? claims_.Find(path) : claims_.Find(root_text_ + path);
}

// The answer for `path`, which is claimed, followed by `rest`.
std::string PathResolver::Stop(const std::string& path, const PathClaims::Position& position,
                               bool slash, std::string_view rest) const {
  std::string answer = root_text_ + path;
  std::string tail = answer.substr(position.claimed);
  answer.resize(position.claimed);
  if (answer.empty()) answer.assign(1, '/');
  if (slash || !rest.empty()) tail += '/';
  tail += rest;
  if (!tail.empty()) answer.append(1, '\0').append(tail);
  return answer;
}

// One openat2(2) tells whether there is a symbolic link on the way. If there is none, the path is
// what it says.
PathResolver::Verdict PathResolver::TryDirectly(const std::string& base, std::string_view rest) {
  std::string path = base;
  bool up = false;
  bool directory = false;
  bool dots = false;
  // The kernel cannot follow a path that starts in the view.
  if (!base.empty() && Find(base).IsClaimed()) return Verdict::kWalk;
  for (Components parts(rest); !parts.Done();) {
    const std::string_view name = parts.Next();
    dots = name == "." || name == "..";
    directory = parts.SlashFollows() || dots;
    if (name == "..") {
      up = true;
      if (Find(path).IsClaimed()) return Verdict::kWalk;
      path.resize(path.empty() ? 0 : path.rfind('/'));
    } else if (name != ".") {
      path.append(1, '/').append(name);
    }
  }
  // What lies below a canonical path that is written out needs no look at the host.
  if (!up) {
    const PathClaims::Position position = Find(path);
    if (position.IsClaimed() && !position.any) {
      result_ = Stop(path, position, directory && !path.empty(), dots ? "." : "");
      return Verdict::kClaimed;
    }
  }
  // O_DIRECTORY spares a descriptor for everything that is no directory. It does not hide a link:
  // that is ELOOP before the type is looked at, and ENOTDIR only where the last link is not to be
  // followed.
  const std::string probe = base.empty() ? std::string(rest) : base + '/' + std::string(rest);
  const int fd = Open(probe, O_DIRECTORY | (follow_ || directory ? 0 : O_NOFOLLOW), RESOLVE_NO_SYMLINKS);
  const int error = fd < 0 ? -fd : 0;
  if (fd >= 0) close(fd);
  if (error == ELOOP) return Verdict::kWalk;
  // A server's files have claims only where the path says so itself.
  if (error != 0 && error != ENOENT && error != ENOTDIR && error != EREMOTE) return Verdict::kPass;
  const PathClaims::Position position = Find(path);
  if (!position.IsClaimed()) return Verdict::kPass;
  // "missing/../claimed" names nothing: the walk sees where it ends.
  if (up && error != 0) return Verdict::kWalk;
  result_ = Stop(path, position, directory && !path.empty(), dots ? "." : "");
  return Verdict::kClaimed;
}

// Component by component. `at` is canonical; below a missing directory the way goes on only towards
// a claim, because claimed paths need not exist in the host's tree.
std::optional<std::string> PathResolver::Walk(std::string at, std::string rest) {
  // The working directory may be what is claimed, or lie below it.
  const PathClaims::Position start = Find(at);
  if (start.IsClaimed()) return Stop(at, start, true, Components(rest).Rest());
  bool missing = false;
  int links = 0;
  Components parts(rest);
  while (!parts.Done()) {
    const std::string_view name = parts.Next();
    if (name == ".") continue;
    if (name == "..") {
      if (missing || !IsDirectory(at)) return std::nullopt;
      at.resize(at.empty() ? 0 : at.rfind('/'));
      continue;
    }
    const std::string here = at + '/' + std::string(name);
    const PathClaims::Position position = Find(here);
    if (position.IsClaimed()) return Stop(here, position, parts.SlashFollows(), parts.Rest());
    if (missing && !position.above) return std::nullopt;
    if (parts.Done() && !parts.SlashFollows() && !follow_) return std::nullopt;
    std::string target;
    if (missing || !ReadLink(here, target)) {
      // EINVAL: it is there, and no link.
      if (!missing && errno != EINVAL) {
        if ((errno != ENOENT && errno != ENOTDIR) || !position.above) return std::nullopt;
        missing = true;
      }
      at = here;
      continue;
    }
    if (++links > kMostLinks || !LinkTarget(at, name, target)) return std::nullopt;
    if (target[0] == '/') at.clear();
    const bool last = parts.Done();
    if (parts.SlashFollows()) target += '/';
    target += parts.Rest();
    rest = std::move(target);
    parts = Components(rest);
    if (last && rest.find('/') == std::string::npos) continue;
    const Verdict verdict = TryDirectly(at, rest);
    if (verdict == Verdict::kPass) return std::nullopt;
    if (verdict == Verdict::kClaimed) return std::move(result_);
  }
  return std::nullopt;
}

bool PathResolver::ReadLink(const std::string& path, std::string& target) {
  char text[PATH_MAX];
  ssize_t n;
  if (Served().None()) {
    n = caller_.own_root ? readlinkat(root_, path.c_str() + 1, text, sizeof text)
                         : readlink(path.c_str(), text, sizeof text);
  } else {
    const int fd = Open(path, O_NOFOLLOW, 0);
    // Also the text of a link is its server's.
    const int error = fd < 0 ? -fd : Served().Has(fd) ? EREMOTE : 0;
    n = error == 0 ? readlinkat(fd, "", text, sizeof text) : -1;
    const int why = error == 0 ? errno : error;
    if (fd >= 0) close(fd);
    // readlinkat(2) of a descriptor says ENOENT where it is no link.
    errno = error == 0 && why == ENOENT ? EINVAL : why;
  }
  if (n < 0) return false;
  target.assign(text, static_cast<size_t>(n));
  return true;
}

// Puts right what the links of procfs say to the supervisor instead of to the caller. False where
// the target is no path of the caller's ("pipe:[123]").
bool PathResolver::LinkTarget(const std::string& directory, std::string_view name,
                              std::string& target) const {
  if (target.empty()) return false;
  if (EndsWith(directory, "/proc")) {
    if (name == "self") target = std::to_string(caller_.pid);
    if (name == "thread-self")
      target = std::to_string(caller_.pid) + "/task/" + std::to_string(caller_.tid);
  }
  if (directory.compare(0, 6, "/proc/") != 0) return true;
  if (target[0] != '/') return target.find(":[") == std::string::npos;
  if (!StripRoot(target)) return false;
  if (target.empty()) target.assign(1, '/');
  return true;
}

// `path` is canonical, so "." behind it is looked up in what it names.
bool PathResolver::IsDirectory(const std::string& path) {
  std::string unused;
  return ReadLink(path + "/.", unused) || errno == EINVAL;
}

const ServedMounts& PathResolver::Served() {
  if (caller_.own_root) return served_ ? *served_ : served_.emplace(caller_.tid);
  ServedMounts& own = ServedMounts::Own();
  own.Update();
  return own;
}

// What the kernel has in its caches is had without asking, and that is nearly everything.
int PathResolver::Open(const std::string& path, uint64_t flags, uint64_t resolve) {
  open_how how{};
  how.flags = O_PATH | O_CLOEXEC | flags;
  how.resolve = resolve | RESOLVE_CACHED | (caller_.own_root ? RESOLVE_IN_ROOT : 0);
  const int from = caller_.own_root ? root_ : AT_FDCWD;
  long fd = syscall(SYS_openat2, from, path.c_str(), &how, sizeof how);
  if (fd < 0 && errno == EAGAIN) {
    if (!Served().None() && IsServed(path, how.resolve)) return -EREMOTE;
    how.resolve &= ~static_cast<uint64_t>(RESOLVE_CACHED);
    fd = syscall(SYS_openat2, from, path.c_str(), &how, sizeof how);
  }
  return fd < 0 ? -errno : static_cast<int>(fd);
}

// Whether `path`, which is not in the caches as a whole, has to be asked of a server: that of the
// last part of it that is.
bool PathResolver::IsServed(std::string path, uint64_t resolve) {
  open_how how{};
  how.flags = O_PATH | O_CLOEXEC;
  how.resolve = resolve;
  while (!path.empty()) {
    const size_t slash = path.rfind('/');
    path.resize(slash == std::string::npos ? 0 : slash);
    const char* const name = path.empty() ? "/" : path.c_str();
    const long fd = syscall(SYS_openat2, caller_.own_root ? root_ : AT_FDCWD, name, &how, sizeof how);
    if (fd < 0 && errno == EAGAIN) continue;
    if (fd < 0) return false;  // the whole path fails there too
    const bool served = Served().Has(static_cast<int>(fd));
    close(static_cast<int>(fd));
    return served;
  }
  return true;
}

}  // namespace umvu
