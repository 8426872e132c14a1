#include "janitor.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <string_view>

#include "error.h"

namespace umvu::broker {
namespace {

bool SameObject(const struct stat& a, const struct stat& b) {
  return a.st_dev == b.st_dev && a.st_ino == b.st_ino;
}

bool IsServedName(std::string_view name) { return name == "ctl" || name.substr(0, 2) == "fd"; }

void RemoveSockets(const std::string& path, const struct stat& owned) {
  DIR* directory = nullptr;
  {
    const int fd = open(path.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0) return;
    directory = fdopendir(fd);
    if (directory == nullptr) {
      close(fd);
      return;
    }
  }
  struct stat status {};
  const int fd = dirfd(directory);
  if (fstat(fd, &status) == 0 && SameObject(status, owned)) {
    while (const dirent* entry = readdir(directory)) {
      if (!IsServedName(entry->d_name)) continue;
      if (fstatat(fd, entry->d_name, &status, AT_SYMLINK_NOFOLLOW) < 0) continue;
      if (S_ISSOCK(status.st_mode)) unlinkat(fd, entry->d_name, 0);
    }
  }
  closedir(directory);
}

}  // namespace

void Janitor::Own(const std::string& path) {
  if (path.empty() || path.front() != '/') throw Failure(EINVAL, "not an absolute path");
  UniqueFd fd(open(path.c_str(), O_PATH | O_NOFOLLOW | O_CLOEXEC));
  if (!fd) FailSystem(path);
  struct stat status {};
  CheckSystem(fstat(fd.get(), &status), "fstat");
  if (!S_ISDIR(status.st_mode) && !S_ISSOCK(status.st_mode)) {
    throw Failure(ENOTDIR, path + ": neither a directory nor a socket");
  }
  owned_.insert_or_assign(path, std::move(fd));
}

void Janitor::Disown(const std::string& path) {
  if (owned_.erase(path) == 0) throw Failure(ENOENT, path + ": not owned");
}

void Janitor::Clean() {
  for (const auto& [path, fd] : owned_) {
    struct stat owned {};
    struct stat now {};
    if (fstat(fd.get(), &owned) < 0) continue;
    if (S_ISDIR(owned.st_mode)) RemoveSockets(path, owned);
    if (lstat(path.c_str(), &now) < 0 || !SameObject(owned, now)) continue;
    if (S_ISDIR(owned.st_mode)) {
      rmdir(path.c_str());
    } else {
      unlink(path.c_str());
    }
  }
  owned_.clear();
}

}  // namespace umvu::broker
