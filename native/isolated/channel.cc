#include "channel.h"

#include <sys/socket.h>
#include <sys/uio.h>

#include <cerrno>
#include <cstring>

#include "net/passed_fd.h"

namespace umvu::isolated {

bool Channel::receive(Call* call) {
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int))];
  iovec part{buffer_.data(), buffer_.size()};
  msghdr message = {};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  message.msg_control = control;
  message.msg_controllen = sizeof control;
  ssize_t got;
  do {
    got = recvmsg(fd_, &message, MSG_CMSG_CLOEXEC);
  } while (got < 0 && errno == EINTR);
  if (got < static_cast<ssize_t>(sizeof call->head)) return false;
  const cmsghdr* header = CMSG_FIRSTHDR(&message);
  if (header != nullptr && header->cmsg_level == SOL_SOCKET && header->cmsg_type == SCM_RIGHTS) {
    int fd;
    std::memcpy(&fd, CMSG_DATA(header), sizeof fd);
    call->fd.reset(fd);
  }
  std::memcpy(&call->head, buffer_.data(), sizeof call->head);
  call->bytes = {buffer_.data() + sizeof call->head, static_cast<std::size_t>(got) - sizeof call->head};
  return true;
}

bool Channel::reply(int result, const Call& call) {
  Reply head{result, call.more};
  iovec parts[2] = {{&head, sizeof head}, {const_cast<uint8_t*>(call.out.data()), call.out.size()}};
  msghdr message = {};
  message.msg_iov = parts;
  message.msg_iovlen = 2;
  const net::PassedFd passed(&message, call.out_fd.get());
  ssize_t sent;
  do {
    sent = sendmsg(fd_, &message, MSG_NOSIGNAL);
  } while (sent < 0 && errno == EINTR);
  return sent >= 0;
}

}  // namespace umvu::isolated
