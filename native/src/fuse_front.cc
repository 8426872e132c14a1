// The part of a FUSE server that must always answer (runtime/devices/fuse/server.ts).
//
// The JavaScript thread looks at what guests have open, and opens and closes it for them; if that is a file that the
// same thread serves, it would wait for itself. So a thread of our own takes the requests of the file system, and
// answers those that need no device: what the file is, that it is open, that nobody cares for its closing. The
// others go on to JavaScript, which writes the replies itself.
#include "fuse_front.h"

#include <fcntl.h>
#include <linux/fuse.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <thread>
#include <vector>

#include "signals_blocked.h"

#ifndef FUSE_DIRECT_IO_ALLOW_MMAP  // Linux 6.6
#define FUSE_DIRECT_IO_ALLOW_MMAP (1ULL << 36)
#endif

namespace umvu {
namespace {

constexpr uint32_t kPage = 4096;
// Most bytes of one read or write, as in runtime/devices/fuse/wire.ts.
constexpr uint32_t kMostBytes = 1 << 20;
// Seconds for which attributes are valid.
constexpr uint64_t kForever = 0x7fffffff;

class FuseFront : public Napi::ObjectWrap<FuseFront> {
 public:
  static Napi::Function Define(Napi::Env env) {
    return DefineClass(env, "FuseFront",
                       {InstanceMethod<&FuseFront::Set>("set"), InstanceMethod<&FuseFront::Close>("close")});
  }

  // (fd, onRequest): the descriptor is not owned, and must not block.
  explicit FuseFront(const Napi::CallbackInfo& info) : Napi::ObjectWrap<FuseFront>(info) {
    Napi::Env env = info.Env();
    fd_ = info[0].As<Napi::Number>().Int32Value();
    on_request_ = Napi::Persistent(info[1].As<Napi::Function>());
    stop_ = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (stop_ < 0) throw Napi::Error::New(env, "no eventfd");
    const Napi::Function none = Napi::Function::New(env, [](const Napi::CallbackInfo&) {});
    requests_ = Napi::ThreadSafeFunction::New(env, none, "umvu fuse", 0, 1);
    requests_.Unref(env);
    // Hooks run newest first, so before that of requests_.
    napi_add_env_cleanup_hook(env, Teardown, this);
    const SignalsBlocked blocked;  // no signal of the process is for the thread
    thread_ = std::thread([this] { Run(); });
    Ref();
  }

  ~FuseFront() override { Shut(); }

 private:
  // At the end of the environment, while requests_ can still be used.
  static void Teardown(void* self) { static_cast<FuseFront*>(self)->Shut(); }

  // set(size, openFlags)
  void Set(const Napi::CallbackInfo& info) {
    size_ = static_cast<uint64_t>(info[0].As<Napi::Number>().Int64Value());
    open_flags_ = info[1].As<Napi::Number>().Uint32Value();
  }

  void Close(const Napi::CallbackInfo&) {
    if (!thread_.joinable()) return;
    napi_remove_env_cleanup_hook(Env(), Teardown, this);
    Shut();
    Unref();
  }

  void Shut() {
    if (!thread_.joinable()) return;
    const uint64_t one = 1;
    if (write(stop_, &one, sizeof one) < 0) std::abort();
    thread_.join();
    close(stop_);
    alive_.reset();
    requests_.Release();
  }

  void Run() {
    std::vector<unsigned char> room(kMostBytes + kPage);
    for (;;) {
      pollfd watched[] = {{fd_, POLLIN, 0}, {stop_, POLLIN, 0}};
      if (poll(watched, 2, -1) < 0 && errno != EINTR) return;
      if (watched[1].revents) return;
      const ssize_t length = read(fd_, room.data(), room.size());
      // ENOENT: the request was interrupted before it was read. ENODEV: the file system has ended.
      if (length < 0 && errno == ENODEV) return Forward(nullptr, 0, 0);
      if (length >= static_cast<ssize_t>(sizeof(fuse_in_header))) Handle(room.data(), static_cast<size_t>(length));
    }
  }

  void Handle(const unsigned char* request, size_t length) {
    fuse_in_header header;
    std::memcpy(&header, request, sizeof header);
    switch (header.opcode) {
      case FUSE_FORGET:
      case FUSE_BATCH_FORGET:
        return;
      case FUSE_INIT:
        return Initialize(header, request + sizeof header, length - sizeof header);
      case FUSE_DESTROY:
        return Reply(header, 0, nullptr, 0);
      case FUSE_GETATTR:
        return Attributes(header);
      case FUSE_SETATTR: {
        // ftruncate(2); the other attributes are those of the name, which the view has.
        uint32_t valid;
        std::memcpy(&valid, request + sizeof header, sizeof valid);
        return valid & FATTR_SIZE ? Reply(header, -EINVAL, nullptr, 0) : Attributes(header);
      }
      case FUSE_STATFS: {
        const fuse_statfs_out out{};
        return Reply(header, 0, &out, sizeof out);
      }
      case FUSE_OPEN: {
        fuse_open_out out{};
        out.fh = ++last_handle_;
        out.open_flags = open_flags_;
        Forward(request, length, out.fh);
        return Reply(header, 0, &out, sizeof out);
      }
      case FUSE_RELEASE:
        Forward(request, length, 0);
        return Reply(header, 0, nullptr, 0);
      case FUSE_READ:
      case FUSE_WRITE:
      case FUSE_FSYNC:
      case FUSE_POLL:
      case FUSE_INTERRUPT:
        return Forward(request, length, 0);
      default:
        // The kernel does without: flush, extended attributes, ioctl, fallocate, lseek of holes.
        return Reply(header, -ENOSYS, nullptr, 0);
    }
  }

  void Initialize(const fuse_in_header& header, const unsigned char* body, size_t length) {
    fuse_init_in in{};
    std::memcpy(&in, body, std::min(length, sizeof in));
    const bool extended = (in.flags & FUSE_INIT_EXT) != 0;
    fuse_init_out out{};
    out.major = FUSE_KERNEL_VERSION;
    out.minor = extended ? 36 : 31;
    out.max_readahead = in.max_readahead;
    out.flags = in.flags & (FUSE_ASYNC_READ | FUSE_ATOMIC_O_TRUNC | FUSE_BIG_WRITES | FUSE_MAX_PAGES | FUSE_INIT_EXT);
    if (extended) out.flags2 = in.flags2 & static_cast<uint32_t>(FUSE_DIRECT_IO_ALLOW_MMAP >> 32);
    out.max_background = 16;
    out.congestion_threshold = 12;
    out.max_write = kMostBytes;
    out.time_gran = 1;
    out.max_pages = kMostBytes / kPage;
    Reply(header, 0, &out, sizeof out);
  }

  void Attributes(const fuse_in_header& header) {
    fuse_attr_out out{};
    out.attr_valid = kForever;
    out.attr.ino = FUSE_ROOT_ID;
    out.attr.size = size_;
    out.attr.blocks = (out.attr.size + 511) / 512;
    out.attr.mode = S_IFREG | 0666;
    out.attr.nlink = 1;
    out.attr.blksize = kPage;
    Reply(header, 0, &out, sizeof out);
  }

  // A caller that is gone (ENOENT) needs no care.
  void Reply(const fuse_in_header& to, int error, const void* body, size_t length) {
    fuse_out_header header{};
    header.len = static_cast<uint32_t>(sizeof header + length);
    header.error = error;
    header.unique = to.unique;
    const iovec parts[] = {{&header, sizeof header}, {const_cast<void*>(body), length}};
    if (writev(fd_, parts, length > 0 ? 2 : 1) < 0 && errno != ENOENT && errno != ENODEV) return;
  }

  // To JavaScript, in order: the request and, of an opening, the handle that it got; nothing for the end.
  void Forward(const unsigned char* request, size_t length, uint64_t handle) {
    auto bytes = std::make_shared<std::vector<unsigned char>>(request, request + length);
    auto deliver = [this, bytes, handle, alive = std::weak_ptr<void>(alive_)](Napi::Env env, Napi::Function) {
      if (alive.expired()) return;
      const Napi::Value buffer = bytes->empty()
                                     ? env.Null()
                                     : Napi::Value(Napi::Buffer<unsigned char>::Copy(env, bytes->data(), bytes->size()));
      on_request_.Call({buffer, Napi::Number::New(env, static_cast<double>(handle))});
    };
    requests_.NonBlockingCall(std::move(deliver));
  }

  int fd_ = -1;
  int stop_ = -1;
  std::atomic<uint64_t> size_{0};
  std::atomic<uint32_t> open_flags_{0};
  uint64_t last_handle_ = 0;  // of the thread
  std::shared_ptr<void> alive_ = std::make_shared<bool>(true);
  Napi::FunctionReference on_request_;
  Napi::ThreadSafeFunction requests_;
  std::thread thread_;
};

}  // namespace

void init_fuse_front(Napi::Env env, Napi::Object exports) {
  exports.Set("FuseFront", FuseFront::Define(env));
}

}  // namespace umvu
