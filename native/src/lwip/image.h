#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>

namespace umvu::lwip {

// The writable data of one instance of lwIP. The code works on one place in memory (state.ld); the data of
// other instances is kept aside. No pointer into that place may be kept by the glue.
class Image {
 public:
  // A fresh instance, as the program starts with.
  explicit Image(void* owner);
  ~Image();
  Image(const Image&) = delete;
  Image& operator=(const Image&) = delete;

  // Bytes of one instance.
  static std::size_t size();
  // The owner of the instance that is entered, for callbacks of lwIP.
  static void* owner();

 private:
  friend class Inside;
  void* const owner_;
  std::unique_ptr<uint8_t[]> kept_;
};

// lwIP works with the data of `image` as long as this exists. Instances of all environments of the process share the
// code, so this holds a lock of the process. Nests, also with other instances.
class Inside {
 public:
  explicit Inside(Image* image);
  ~Inside();
  Inside(const Inside&) = delete;
  Inside& operator=(const Inside&) = delete;

 private:
  Image* const outer_;
};

}  // namespace umvu::lwip
