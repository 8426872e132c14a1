// Objects below the root of a layer. Paths are followed by the kernel with openat2(2), which refuses symbolic links
// and "..": a guest that exchanges a directory for a link while it is looked up gets ELOOP, never another tree.
#include "files.h"

#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <string>

namespace umvu {

int OpenBeneath(int directory, const char* path, uint64_t flags, uint64_t mode) {
  constexpr uint64_t kResolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS;
  open_how how{};
  how.flags = flags | O_CLOEXEC;
  how.mode = mode;
  how.resolve = kResolve;
  for (int tries = 0;; tries++) {
    const long fd = syscall(SYS_openat2, directory, path, &how, sizeof how);
    if (fd >= 0) return static_cast<int>(fd);
    // A rename elsewhere disturbed the lookup.
    if (errno != EAGAIN || tries > 100) return -errno;
  }
}

namespace {

// struct linux_dirent64 up to its name, see getdents64(2).
constexpr size_t kEntryType = 18;
constexpr size_t kEntryName = 19;

// A byte string of JavaScript that ends with NUL. Most paths need no allocation.
class PathText {
 public:
  explicit PathText(const Napi::Value& value) {
    napi_env env = value.Env();
    size_t length = 0;
    napi_get_value_string_latin1(env, value, small_, sizeof small_, &length);
    if (length + 1 < sizeof small_) return;
    napi_get_value_string_latin1(env, value, nullptr, 0, &length);
    large_.resize(length + 1);
    napi_get_value_string_latin1(env, value, large_.data(), length + 1, &length);
  }
  const char* c_str() const { return large_.empty() ? small_ : large_.c_str(); }

 private:
  char small_[512];
  std::string large_;
};

// look(dirfd, path, stat): fills struct stat of the object at `path`, itself if it is a link; "" is the directory.
Napi::Value Look(const Napi::CallbackInfo& info) {
  const int directory = info[0].As<Napi::Number>().Int32Value();
  const PathText path(info[1]);
  auto out = info[2].As<Napi::Uint8Array>();
  if (out.ByteLength() < sizeof(struct stat)) return Napi::Number::New(info.Env(), -EINVAL);
  auto* about = reinterpret_cast<struct stat*>(out.Data());
  int result = 0;
  if (path.c_str()[0] == '\0') {
    result = fstatat(directory, "", about, AT_EMPTY_PATH) == 0 ? 0 : -errno;
  } else if (std::strchr(path.c_str(), '/') == nullptr) {
    // A single name cannot lead anywhere.
    result = fstatat(directory, path.c_str(), about, AT_SYMLINK_NOFOLLOW) == 0 ? 0 : -errno;
  } else {
    const int fd = OpenBeneath(directory, path.c_str(), O_PATH | O_NOFOLLOW, 0);
    if (fd < 0) {
      result = fd;
    } else {
      result = fstat(fd, about) == 0 ? 0 : -errno;
      close(fd);
    }
  }
  return Napi::Number::New(info.Env(), result);
}

// openBeneath(dirfd, path, flags, mode): a descriptor, close-on-exec.
Napi::Value Open(const Napi::CallbackInfo& info) {
  const PathText path(info[1]);
  const int fd = OpenBeneath(info[0].As<Napi::Number>().Int32Value(), path.c_str(),
                             info[2].As<Napi::Number>().Uint32Value(),
                             info[3].As<Napi::Number>().Uint32Value());
  return Napi::Number::New(info.Env(), fd);
}

// readDirectory(fd): [name, type, inode, name, …] of all entries from where `fd` stands, or a negated errno.
Napi::Value ReadDirectory(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  const int fd = info[0].As<Napi::Number>().Int32Value();
  auto list = Napi::Array::New(env);
  uint32_t at = 0;
  alignas(8) char buffer[65536];
  for (;;) {
    const long size = syscall(SYS_getdents64, fd, buffer, sizeof buffer);
    if (size < 0) return Napi::Number::New(env, -errno);
    if (size == 0) return list;
    Napi::HandleScope scope(env);
    for (long offset = 0; offset < size;) {
      const char* entry = buffer + offset;
      uint64_t inode;
      uint16_t length;
      std::memcpy(&inode, entry, sizeof inode);
      std::memcpy(&length, entry + 16, sizeof length);
      napi_value name;
      napi_create_string_latin1(env, entry + kEntryName, NAPI_AUTO_LENGTH, &name);
      list.Set(at++, name);
      list.Set(at++, static_cast<double>(static_cast<unsigned char>(entry[kEntryType])));
      list.Set(at++, static_cast<double>(inode));
      offset += length;
    }
  }
}

}  // namespace

void init_files(Napi::Env env, Napi::Object exports) {
  exports.Set("look", Napi::Function::New<Look>(env));
  exports.Set("openBeneath", Napi::Function::New<Open>(env));
  exports.Set("readDirectory", Napi::Function::New<ReadDirectory>(env));
}

}  // namespace umvu
