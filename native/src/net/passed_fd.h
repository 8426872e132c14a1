#pragma once

#include <sys/socket.h>

#include <cstring>

namespace umvu::net {

// A copy of a descriptor that goes with a message (SCM_RIGHTS of unix(7)). Lives until the message is sent.
class PassedFd {
 public:
  // With -1 nothing goes.
  PassedFd(msghdr* message, int fd) {
    if (fd < 0) return;
    message->msg_control = control_;
    message->msg_controllen = sizeof control_;
    cmsghdr* header = CMSG_FIRSTHDR(message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(sizeof fd);
    std::memcpy(CMSG_DATA(header), &fd, sizeof fd);
  }
  PassedFd(const PassedFd&) = delete;
  PassedFd& operator=(const PassedFd&) = delete;

 private:
  alignas(cmsghdr) char control_[CMSG_SPACE(sizeof(int))] = {};
};

}  // namespace umvu::net
