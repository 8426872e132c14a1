#include "files.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>

#include "unique_fd.h"

namespace umvu::broker {

int WriteFile(const char* path, std::string_view text) {
  const UniqueFd fd(open(path, O_WRONLY | O_CLOEXEC));
  if (!fd) return -errno;
  const ssize_t written = write(fd.get(), text.data(), text.size());
  if (written < 0) return -errno;
  return static_cast<size_t>(written) == text.size() ? 0 : -EIO;
}

std::optional<std::string> ReadFile(const char* path) {
  const UniqueFd fd(open(path, O_RDONLY | O_CLOEXEC));
  if (!fd) return std::nullopt;
  char buffer[128];
  const ssize_t size = read(fd.get(), buffer, sizeof buffer);
  if (size < 0) return std::nullopt;
  std::string text(buffer, static_cast<size_t>(size));
  while (!text.empty() && text.back() == '\n') text.pop_back();
  return text;
}

}  // namespace umvu::broker
