"""Takes sockets of the stack until nothing gives any more, for some seconds: `descriptors.py udp|tcp SECONDS`. Each is used. Prints
which errors there were that should not be, and whether one took long."""
import errno
import os
import socket
import sys
import time

KIND, SECONDS = sys.argv[1], float(sys.argv[2])
# What a call may answer when there are no more descriptors or buffers; a socket of TCP whose peer could not be made is reset.
ALLOWED = {errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM, errno.ECONNRESET, errno.ECONNREFUSED}


def take(listener, held):
    kind = socket.SOCK_DGRAM if KIND == 'udp' else socket.SOCK_STREAM
    client = socket.socket(socket.AF_INET, kind)
    client.settimeout(5)
    if KIND == 'udp':
        client.bind(('10.0.0.1', 0))
        client.sendto(b'x', client.getsockname())
        assert client.recv(9) == b'x'
        held.append((client, client))
    else:
        client.connect(listener.getsockname())
        held.append((client, listener.accept()[0]))


def main():
    listener = socket.create_server(('10.0.0.1', 0), backlog=1000)
    listener.settimeout(5)
    held, errors, longest = [], set(), 0
    end = time.monotonic() + SECONDS
    while time.monotonic() < end:
        start = time.monotonic()
        try:
            take(listener, held)
        except OSError as error:
            errors.add(error.errno)
            time.sleep(0.02)
        longest = max(longest, time.monotonic() - start)
    wrong = [errno.errorcode[each] if each else 'timed out' for each in errors - ALLOWED]
    print(KIND, 'errors' if errors else 'no error', wrong, 'quick' if longest < 3 else f'{longest:.1f} s', flush=True)
    os._exit(0)


main()
