#pragma once

#include <napi.h>

#include <cstdint>

namespace umvu {
// Opens what `path` is below `directory`, on a way without symbolic links and "..", as openat2(2) with O_CLOEXEC.
// A negated errno on failure.
int OpenBeneath(int directory, const char* path, uint64_t flags, uint64_t mode);

// Defines look, openBeneath and readDirectory on `exports`: access to objects below a directory that the names of
// guests cannot lead out of.
void init_files(Napi::Env env, Napi::Object exports);
}  // namespace umvu
