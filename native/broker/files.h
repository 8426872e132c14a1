// Reading and writing the small files of /proc.
#ifndef UMVU_BROKER_FILES_H_
#define UMVU_BROKER_FILES_H_

#include <optional>
#include <string>
#include <string_view>

namespace umvu::broker {

// Writes `text` with one write(2), as /proc wants it. 0, or a negated errno.
int WriteFile(const char* path, std::string_view text);

// The first bytes of a file without the newline at their end, or nothing when it cannot be read.
std::optional<std::string> ReadFile(const char* path);

}  // namespace umvu::broker

#endif  // UMVU_BROKER_FILES_H_
