#pragma once

#include <cstdint>
#include <string>

#include "net/unique_fd.h"

namespace umvu::net {

// A joined VDE switch: a connected datagram socket for frames, and the stream whose end is a
// hang-up.
struct VdeConnection {
  UniqueFd data;
  UniqueFd control;
};

// Joins the switch that serves directory `path` (absolute), at `port` or, when 0, any. May block
// for a few seconds. 0 or a negated errno: ENOENT no directory, ECONNREFUSED nobody serves it,
// ETIMEDOUT no answer, EPROTO a wrong one, EACCES no permission.
int open_vde(const std::string& path, uint32_t port, const std::string& description,
             VdeConnection* connection);

}  // namespace umvu::net
