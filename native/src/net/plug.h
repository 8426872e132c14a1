#pragma once

#include <sys/types.h>

#include <condition_variable>
#include <memory>
#include <mutex>
#include <string>

#include "net/unique_fd.h"

namespace umvu::net {

struct VdeConn;  // VDECONN of <libvdeplug.h>

// The functions of libvdeplug (vde_open(3)), found at run time: the runtime works without the
// library.
struct PlugLibrary {
  VdeConn* (*open)(char* vnl, char* description, int interface_version, void* args);
  ssize_t (*recv)(VdeConn*, void* bytes, size_t size, int flags);
  ssize_t (*send)(VdeConn*, const void* bytes, size_t size, int flags);
  int (*datafd)(VdeConn*);
  int (*ctlfd)(VdeConn*);
  int (*close)(VdeConn*);

  // Null when the library or one of its functions is missing. It is never unloaded: its plug-ins
  // may have threads.
  static std::shared_ptr<const PlugLibrary> load();
};

// The relay threads of an environment. They are detached, since a plug-in may hang; all waits end
// after a second.
class PlugThreads {
 public:
  // One thread; guarded by the mutex.
  struct Relay {
    bool removed = false;
    bool ended = false;
  };
  std::shared_ptr<Relay> enter();
  // The port is no more, so the thread is about to close its connection.
  void removed(Relay* relay);
  void leave(Relay* relay);
  // Waits for the threads whose ports were removed: what they hold (a UDP port, a device) may be
  // wanted again.
  void settle();
  // Waits for all threads.
  void wait();

 private:
  std::mutex mutex_;
  std::condition_variable ended_;
  int running_ = 0;
  int ending_ = 0;
};

// An open connection of libvdeplug. Before start(), all calls come from one thread; then it belongs
// to its relay.
class Plug {
 public:
  Plug(std::shared_ptr<const PlugLibrary> library, VdeConn* connection)
      : library_(std::move(library)), connection_(connection) {}
  ~Plug();
  Plug(const Plug&) = delete;
  Plug& operator=(const Plug&) = delete;

  // Opens `vnl`; may block. Null and a negated errno in `error`.
  static std::unique_ptr<Plug> open(std::shared_ptr<const PlugLibrary> library,
                                    const std::string& vnl, const std::string& description,
                                    int* error);

  // Starts a thread that copies frames between the connection and a seqpacket socket, whose other
  // end is given back: a plug-in that blocks (a slow command, a DNS query) then stalls itself only,
  // and is only ever called by one thread. The thread closes the connection when either side ends.
  // A descriptor or a negated errno; `relay` is to be told to PlugThreads::removed.
  static int start(std::unique_ptr<Plug> plug, std::shared_ptr<PlugThreads> threads,
                   std::shared_ptr<PlugThreads::Relay>* relay);

 private:
  void relay(int socket);
  bool from_network(int socket);
  bool to_network(int socket);
  bool control_ended();

  std::shared_ptr<const PlugLibrary> library_;
  VdeConn* connection_;
  int failures_ = 0;
};

}  // namespace umvu::net
