#include "lwip/image.h"

#include <cstring>
#include <mutex>

// Defined by the linker, because the name of the section is one of C.
extern "C" {
extern uint8_t __start_lwip_state[] __attribute__((visibility("hidden")));
extern uint8_t __stop_lwip_state[] __attribute__((visibility("hidden")));
}

namespace umvu::lwip {
namespace {

// What the process has once, like the code of lwIP itself.
struct Shared {
  std::recursive_mutex mutex;
  std::unique_ptr<uint8_t[]> pristine;
  Image* resident = nullptr;  // whose data is in place
  Image* entered = nullptr;   // who uses it; null or resident
};

Shared& shared() {
  static Shared the;
  return the;
}

}  // namespace

std::size_t Image::size() { return static_cast<std::size_t>(__stop_lwip_state - __start_lwip_state); }

Image::Image(void* owner) : owner_(owner), kept_(new uint8_t[size()]) {
  Shared& all = shared();
  const std::lock_guard lock(all.mutex);
  if (!all.pristine) {
    // The first instance ever: nothing has been changed yet.
    all.pristine.reset(new uint8_t[size()]);
    std::memcpy(all.pristine.get(), __start_lwip_state, size());
  }
  std::memcpy(kept_.get(), all.pristine.get(), size());
}

Image::~Image() {
  Shared& all = shared();
  const std::lock_guard lock(all.mutex);
  if (all.resident == this) all.resident = nullptr;
}

void* Image::owner() {
  const Image* entered = shared().entered;
  return entered == nullptr ? nullptr : entered->owner_;
}

namespace {

void bring(Shared* all, Image* image, uint8_t* kept, uint8_t* (*place_of)(Image*)) {
  if (all->resident == image) return;
  if (all->resident != nullptr) std::memcpy(place_of(all->resident), __start_lwip_state, Image::size());
  std::memcpy(__start_lwip_state, kept, Image::size());
  all->resident = image;
}

}  // namespace

Inside::Inside(Image* image) : outer_((shared().mutex.lock(), shared().entered)) {
  Shared& all = shared();
  bring(&all, image, image->kept_.get(), [](Image* other) { return other->kept_.get(); });
  all.entered = image;
}

Inside::~Inside() {
  Shared& all = shared();
  all.entered = outer_;
  if (outer_ != nullptr) {
    bring(&all, outer_, outer_->kept_.get(), [](Image* other) { return other->kept_.get(); });
  }
  all.mutex.unlock();
}

}  // namespace umvu::lwip
