// The lists of a stack's configuration as bytes of protocol.h. Inside the image of the stack.
#pragma once

#include <cstdint>
#include <vector>

#include "protocol.h"

namespace umvu::lwip {
class Stack;
}

namespace umvu::isolated {

// `op` is one of kLinks to kConnections.
std::vector<uint8_t> list(Op op, lwip::Stack* stack);

}  // namespace umvu::isolated
