#pragma once

#include <ctime>
#include <functional>
#include <string>
#include <vector>

#include "net/frame.h"
#include "net/pump.h"
#include "net/unique_fd.h"

namespace umvu::net {

// Where a frame was seen, from the interface that is recorded: epb_flags of pcapng.
enum class Direction : uint32_t { kInbound = 1, kOutbound = 2 };

// Writes frames of interfaces to a file in pcapng (draft-ietf-opsawg-pcapng), or to a FIFO. Frames are gathered
// and written once per round of the pump, so the file is complete whenever nothing moves, and no timer is needed.
// A reader that does not keep up loses frames, which the statistics at the end tell; traffic never waits for it.
// All members under the lock of the pump; the object must outlive the ports that it records.
class Capture : public Pollable {
 public:
  // `on_failed` is told the errno that ended the recording.
  Capture(Pump* pump, UniqueFd fd, std::function<void(int)> on_failed);

  // The number of a new interface.
  uint32_t add_interface(const std::string& name, const std::string& description);
  // A frame with virtio header. A checksum that was left to hardware is finished in the record; segments that were
  // left to hardware to cut are recorded whole.
  void write(uint32_t interface, Direction direction, const Frame& frame);
  // Writes what is left, and the statistics. Idempotent.
  void close();

  void on_events(uint32_t events) override;
  void on_turn() override { flush(); }

 private:
  struct Interface {
    uint64_t seen = 0;
    uint64_t lost = 0;
  };
  void append(const void* bytes, std::size_t size);
  void append32(uint32_t value) { append(&value, sizeof value); }
  void option(uint16_t code, const void* bytes, std::size_t size);
  void begin(uint32_t type);
  void end();
  void time_now();
  void statistics();
  void flush();
  void wait(bool waiting);
  void fail(int error);

  Pump* const pump_;
  UniqueFd fd_;
  std::function<void(int)> on_failed_;
  std::vector<Interface> interfaces_;
  std::vector<uint8_t> buffer_;
  std::size_t written_ = 0;  // bytes of the buffer that are in the file
  std::size_t block_ = 0;    // where the block that is being made begins
  bool waiting_ = false;     // for a reader
};

}  // namespace umvu::net
