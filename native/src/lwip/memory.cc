// The memory of lwIP (arch/cc.h). Each block begins with who pays for it, because packets go from stack to stack.
#include "lwip/memory.h"

#include <cstdlib>
#include <cstring>

#include "lwip/stack.h"

namespace umvu::lwip {
namespace {

struct alignas(16) Block {
  Memory* payer;  // null: nobody
  std::size_t size;
};

thread_local Memory* charged = nullptr;

Memory* payer() {
  if (charged != nullptr) return charged;
  Stack* stack = Stack::current();
  return stack == nullptr ? nullptr : &stack->memory();
}

}  // namespace

Charge::Charge(Memory* memory) : outer_(charged) { charged = memory; }
Charge::~Charge() { charged = outer_; }

}  // namespace umvu::lwip

using umvu::lwip::Block;
using umvu::lwip::Stack;

extern "C" {

void* umvu_lwip_malloc(size_t size) {
  umvu::lwip::Memory* memory = umvu::lwip::payer();
  const std::size_t whole = size + sizeof(Block);
  if (memory != nullptr && !memory->spare(whole)) return nullptr;
  void* bytes = std::malloc(whole);
  if (bytes == nullptr) return nullptr;
  auto* block = new (bytes) Block{memory, whole};
  if (memory != nullptr) memory->take(whole);
  return block + 1;
}

void* umvu_lwip_calloc(size_t count, size_t size) {
  void* bytes = umvu_lwip_malloc(count * size);
  return bytes == nullptr ? nullptr : std::memset(bytes, 0, count * size);
}

int umvu_memory_scarce(void) {
  Stack* stack = Stack::current();
  return stack != nullptr && stack->memory().half_full() ? 1 : 0;
}

void umvu_lwip_free(void* bytes) {
  if (bytes == nullptr) return;
  Block* block = static_cast<Block*>(bytes) - 1;
  if (block->payer != nullptr) block->payer->give(block->size);
  std::free(block);
}

}  // extern "C"
