#!/usr/bin/env python3
"""Runs a command on a pseudo-terminal of its own, as its controlling terminal.

Usage: terminal.py ROWS COLUMNS COMMAND [ARGUMENT]...

Standard input goes to the terminal and what the terminal shows goes to standard output. Lines "ROWS COLUMNS" on
descriptor 3 change the size of the window. The exit status is that of the command, 128 + n after signal n. The
end of standard input hangs the terminal up.
"""
import fcntl
import os
import pty
import select
import struct
import sys
import termios


def set_size(fd, rows, columns):
    fcntl.ioctl(fd, termios.TIOCSWINSZ, struct.pack("HHHH", int(rows), int(columns), 0, 0))


def pump(master):
    sources = [master, 0, 3]
    while master in sources:
        for source in select.select(sources, [], [])[0]:
            try:
                data = os.read(source, 65536)
            except OSError:  # EIO: the last process has closed the terminal
                data = b""
            if source == master and data:
                os.write(1, data)
            elif source == 3 and data:
                for line in data.split(b"\n")[:-1]:
                    set_size(master, *line.split())
            elif source == 0 and data:
                os.write(master, data)
            elif source == 3:
                sources.remove(3)
            else:
                return


def main():
    rows, columns, *command = sys.argv[1:]
    pid, master = pty.fork()
    if pid == 0:
        set_size(0, rows, columns)
        os.execvp(command[0], command)
    os.set_inheritable(master, False)
    pump(master)
    os.close(master)
    _, status = os.waitpid(pid, 0)
    sys.exit(os.WEXITSTATUS(status) if os.WIFEXITED(status) else 128 + os.WTERMSIG(status))


main()
