/** A bulk TCP transfer between two programs that compares what was sent with what came, in both directions. */

const COMMON = `
import fcntl, hashlib, random, socket, struct, sys, termios, time
def noise(size, seed):
    block = random.Random(seed).randbytes(1 << 20)
    return [block] * (size >> 20) + [block[:size & 0xfffff]]
def send(conn, size, seed):
    digest = hashlib.sha256()
    for piece in noise(size, seed):
        conn.sendall(piece)
        digest.update(piece)
    conn.shutdown(socket.SHUT_WR)
    return digest.hexdigest()
def receive(conn):
    digest, size = hashlib.sha256(), 0
    while piece := conn.recv(1 << 20):
        digest.update(piece)
        size += len(piece)
    return size, digest.hexdigest()
`;

/** Arguments of python3: serves one connection on port 5001, gets, then sends `size` bytes. */
export const bulkServer = (size: number): string[] => [
  '/usr/bin/python3',
  '-c',
  `${COMMON}
server = socket.create_server(('::', 5001), family=socket.AF_INET6, dualstack_ipv6=True)
print('listening', flush=True)
conn, _ = server.accept()
got = receive(conn)
digest = send(conn, ${size}, 2)
# What is on its way would end with this namespace: wait until all is acknowledged (tcp(7), SIOCOUTQ).
while struct.unpack('i', fcntl.ioctl(conn, termios.TIOCOUTQ, bytes(4)))[0] > 0:
    time.sleep(0.01)
print(*got, digest, flush=True)
`,
];

/** Arguments of python3: sends `size` bytes to `address`, then gets. */
export const bulkClient = (address: string, size: number): string[] => [
  '/usr/bin/python3',
  '-c',
  `${COMMON}
conn = socket.create_connection(('${address}', 5001), 10)
sent = send(conn, ${size}, 1)
size, digest = receive(conn)
print(size, sent, digest, flush=True)
`,
];

export interface Bulk {
  received: number;
  answered: number;
  intact: boolean;
}

/** Joins the last lines of both programs. */
export function compareBulk(server: string, client: string): Bulk {
  const [received = '', digest, answer] = server.trim().split('\n').at(-1)!.split(' ');
  const [answered = '', sent, got] = client.trim().split('\n').at(-1)!.split(' ');
  return {
    received: Number(received),
    answered: Number(answered),
    intact: digest === sent && answer === got,
  };
}
