#pragma once

#include <fcntl.h>
#include <sys/types.h>
#include <unistd.h>

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <optional>

namespace umvu {

// Fields of /proc/TID/status (proc(5)) at the time of construction; up to 16 KiB of it.
class ProcStatus {
 public:
  explicit ProcStatus(pid_t tid) {
    char path[32];
    std::snprintf(path, sizeof path, "/proc/%d/status", tid);
    const int fd = open(path, O_RDONLY | O_CLOEXEC);
    const ssize_t size = fd < 0 ? 0 : read(fd, text_, sizeof text_ - 1);
    if (fd >= 0) close(fd);
    text_[size > 0 ? size : 0] = '\0';
  }

  std::optional<uint64_t> Hex(const char* key) const { return Number(key, 16); }
  std::optional<uint64_t> Decimal(const char* key) const { return Number(key, 10); }

 private:
  std::optional<uint64_t> Number(const char* key, int base) const {
    const size_t length = std::strlen(key);
    for (const char* line = text_; line != nullptr; line = std::strchr(line, '\n')) {
      if (*line == '\n') line++;
      if (std::strncmp(line, key, length) == 0 && line[length] == ':') {
        return std::strtoull(line + length + 1, nullptr, base);
      }
    }
    return std::nullopt;
  }

  char text_[16384];
};

}  // namespace umvu
