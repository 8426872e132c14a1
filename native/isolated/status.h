#pragma once

namespace umvu::isolated {

// Statuses that the process exits with (runtime/ioth/lwip/isolated/child.ts knows them).
inline constexpr int kUsage = 2;
inline constexpr int kFailed = 3;  // lwIP has failed an assertion, and a line on standard error has said which one

}  // namespace umvu::isolated
