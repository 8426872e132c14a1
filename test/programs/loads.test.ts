/** What asks much of a stack in user space: many connections, long transfers, protocols of all kinds, as a user without namespaces. */
import { describe, expect, it } from 'vitest';
import { script } from '../helpers/script.ts';
import type { Who } from '../helpers/users.ts';

const WHO: Who = 'a user without namespaces';
const env = { NODE: process.execPath };

/** Node's own modules on both sides. */
const NODE = `
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=a -addext subjectAltName=IP:10.0.0.1 \\
  -keyout key.pem -out cert.pem 2>/dev/null
cat >server.mjs <<'JS'
import { readFileSync } from 'node:fs';
import { createServer } from 'node:https';
import { createSecureServer } from 'node:http2';
import { createSocket } from 'node:dgram';
const tls = { key: readFileSync('key.pem'), cert: readFileSync('cert.pem') };
createServer(tls, (request, response) => response.end('https for ' + request.socket.remoteAddress)).listen(443, '10.0.0.1');
createSecureServer(tls).on('stream', (stream, headers) => {
  stream.respond({ ':status': 200 });
  stream.end(('http2 ' + headers[':path']).repeat(20000));
}).listen(8443, '::');
const echo = createSocket('udp6').on('message', (data, { address, port }) => echo.send(data, port, address)).bind(7);
JS
cat >client.mjs <<'JS'
import { readFileSync } from 'node:fs';
import { get } from 'node:https';
import { connect } from 'node:http2';
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { text } from 'node:stream/consumers';
const ca = readFileSync('cert.pem');
const [response] = await once(get('https://10.0.0.1/', { ca }), 'response');
console.log(await text(response));
const session = connect('https://[fd00::1]:8443', { ca, checkServerIdentity: () => undefined });
const streams = [1, 2, 3, 4, 5, 6, 7, 8].map((n) => text(session.request({ ':path': '/' + n })));
console.log((await Promise.all(streams)).map((body) => body.length).join(' '));
session.close();
const socket = createSocket('udp6');
socket.send('datagram', 7, 'fd00::1');
const [data, from] = await once(socket, 'message');
console.log(String(data), from.address);
socket.close();
JS
a "$NODE" server.mjs >log 2>&1 &
listening a 443; listening a 8443
b "$NODE" client.mjs
b curl -sS --http2 --cacert cert.pem https://10.0.0.1:8443/x | wc -c`;

/** A server of asyncio with a hundred clients at once. */
const ASYNCIO = `
cat >serve.py <<'PY'
import asyncio
async def serve(reader, writer):
    while line := await reader.readline():
        writer.write(line.upper())
        await writer.drain()
    writer.close()
async def main():
    async with await asyncio.start_server(serve, None, 9000) as server:
        await server.serve_forever()
asyncio.run(main())
PY
cat >ask.py <<'PY'
import asyncio
async def ask(n):
    reader, writer = await asyncio.open_connection(['10.0.0.1', 'fd00::1'][n % 2], 9000)
    for i in range(20):
        writer.write(f'line {n} {i}\\n'.encode())
        assert await reader.readline() == f'LINE {n} {i}\\n'.encode()
    writer.close()
    await writer.wait_closed()
async def main():
    await asyncio.gather(*map(ask, range(100)))
    print('asyncio: 100 clients')
asyncio.run(main())
PY
a python3 serve.py >log2 2>&1 &
listening a 9000
b python3 ask.py`;

/** sshd that lets in only this user, who may have no shell. */
const SSHD = `
ssh-keygen -q -t ed25519 -N '' -f hostkey; ssh-keygen -q -t ed25519 -N '' -f key; cp key.pub authorized
cat >sshd_config <<CONF
HostKey $PWD/hostkey
PidFile none
AuthorizedKeysFile $PWD/authorized
StrictModes no
UsePAM yes
Subsystem sftp internal-sftp
CONF
a /usr/sbin/sshd -D -e -f sshd_config 2>sshd.log &
listening a 22
CLIENT="-F none -i key -o BatchMode=yes -o StrictHostKeyChecking=accept-new -o UserKnownHostsFile=known -o LogLevel=ERROR"`;

const MEBIBYTES = 200;

/** nginx in a, and 1000 connections at once from b, each with several requests. */
const NGINX = `
mkdir ngx && echo page >ngx/index.html
cat >nginx.conf <<CONF
pid $PWD/ngx/pid; daemon off; error_log $PWD/ngx/error.log;
events { worker_connections 2000; }
http {
  access_log off; client_body_temp_path ngx; proxy_temp_path ngx; fastcgi_temp_path ngx; uwsgi_temp_path ngx;
  scgi_temp_path ngx;
  server { listen 80 backlog=1024; root $PWD/ngx; }
}
CONF
a nginx -p "$PWD" -c "$PWD/nginx.conf" >ngx/log 2>&1 &
listening a 80
b ab -q -k -n 5000 -c 1000 http://10.0.0.1/ 2>&1 | grep -E '^(Complete|Failed)' | tr -s ' '`;

/** A pair of socat, what goes in at one end comes out at the other. */
const pair = (server: string, client: string, port: number): string => `
a socat -u ${server} CREATE:got${port} & pid=$!
${client.startsWith('UDP') ? `listening a ${port} -u` : ''}
for n in 1 2 3 4 5 6 7 8 9; do echo "line $n of ${port}"; done | b socat -u - ${client}
retry test -s got${port}
${client.startsWith('UDP') ? 'kill $pid' : 'wait $pid'}
sort -u got${port} | wc -l`;

const SOCAT = [
  'RETRY=retry=100,interval=0.05',
  pair('TCP4-LISTEN:2001', 'TCP4:10.0.0.1:2001,$RETRY', 2001),
  pair('TCP6-LISTEN:2002', 'TCP6:[fd00::1]:2002,$RETRY', 2002),
  pair('TCP6-LISTEN:2003,ipv6only=0', 'TCP4:10.0.0.1:2003,$RETRY', 2003),
  pair(
    'TCP4-LISTEN:2004,reuseaddr,fork,max-children=1',
    'TCP4:10.0.0.1:2004,$RETRY,nodelay,keepalive',
    2004,
  ).replace('wait', 'kill'),
  pair('TCP4-LISTEN:2005,bind=10.0.0.1', 'TCP4:10.0.0.1:2005,$RETRY,bind=10.0.0.2:3005,reuseaddr', 2005),
  pair('UDP4-RECV:2006', 'UDP4-SENDTO:10.0.0.1:2006', 2006),
  pair('UDP6-RECV:2007', 'UDP6:[fd00::1]:2007', 2007),
  pair('UDP4-RECV:2008,ip-add-membership=239.1.2.3:vde0', 'UDP4-DATAGRAM:239.1.2.3:2008', 2008),
  pair('UDP4-RECV:2009', 'UDP4-DATAGRAM:10.0.0.255:2009,broadcast', 2009),
  `a socat TCP4-LISTEN:2010 EXEC:'tr a-z A-Z' & echo exec | b socat - TCP4:10.0.0.1:2010,$RETRY`,
  `a socat TCP4-LISTEN:2011 SYSTEM:'cat; echo more',pty,raw,echo=0 & echo pty | b socat -t 2 - TCP4:10.0.0.1:2011,$RETRY | head -n 1`,
  `a socat TCP4-LISTEN:2012,fork TCP4:10.0.0.2:2013,$RETRY & b socat TCP4-LISTEN:2013 EXEC:tac & 
   seq 3 | b socat - TCP4:10.0.0.1:2012,$RETRY | tr '\n' ' '; echo`,
].join('\n');

/** Bits per second of iperf3's summary must not be zero in the directions named. */
const IPERF = `
a iperf3 -s >iperf.log 2>&1 &
listening a 5201
for options in '-P 8' '--bidir' '-R' '-u -b 50M' '-u -b 20M -R' '-6 -P 2 -R'; do
  b iperf3 -J -t 1 -c "$([[ $options == -6* ]] && echo fd00::1 || echo 10.0.0.1)" $options | python3 -c '
import json, sys
end = json.load(sys.stdin)["end"]
sums = [value for name, value in end.items() if name.startswith("sum")]
print("ok" if sums and all(each["bytes"] > 500000 for each in sums) else end)'
done`;

describe('as a user without namespaces', () => {
  it('node: https, http2, dgram; curl with HTTP/2; python3 asyncio', async () => {
    const out = await script(WHO, `two_stacks\n${NODE}\n${ASYNCIO}`, { env });
    const sizes = '160000 '.repeat(8).trimEnd();
    expect(out).toBe(`https for 10.0.0.2\n${sizes}\ndatagram fd00::1\n160000\nasyncio: 100 clients\n`);
  });

  it(`scp of ${MEBIBYTES} MiB both ways, and rsync`, async () => {
    const out = await script(
      WHO,
      `two_stacks\n${SSHD}
       head -c ${MEBIBYTES}M /dev/urandom >sent
       ME="$(id -un)@10.0.0.1:$PWD"
       b scp -q $CLIENT sent "$ME/there"
       b scp -q $CLIENT "$ME/there" back
       cmp sent back && echo same
       rm sent back
       mkdir tree; for n in {1..200}; do head -c 5000 /dev/urandom >tree/$n; done
       printf 'reverse lookup = no\\n[tree]\\npath = %s\\nuse chroot = no\\nread only = no\\n' "$PWD/copy" >rsyncd.conf; mkdir copy
       a rsync --daemon --no-detach --port=873 --config=rsyncd.conf >rsync.log 2>&1 &
       listening a 873
       b rsync -a tree/ rsync://10.0.0.1/tree/
       echo changed >>tree/7
       b rsync -a --stats tree/ rsync://10.0.0.1/tree/ | grep 'files transferred'
       diff -r tree copy && echo same`,
      { timeout: 25_000 },
    );
    expect(out).toBe('same\nNumber of regular files transferred: 1\nsame\n');
  });

  it('nginx with a thousand connections at a time', async () => {
    const out = await script(WHO, `two_stacks\nulimit -n 4000\n${NGINX}`);
    expect(out).toBe('Complete requests: 5000\nFailed requests: 0\n');
  });

  it('socat in a dozen shapes', async () => {
    const out = await script(WHO, `two_stacks\n${SOCAT}`);
    const lines = out.split('\n');
    expect(lines).toEqual([...Array<string>(9).fill('9'), 'EXEC', 'pty', '3 2 1 ', '']);
  });

  it('mosh, and httpd of busybox', async () => {
    const out = await script(
      WHO,
      `two_stacks
       a mosh-server new -i 10.0.0.1 -p 60001 -- sh -c 'read line; echo "mosh got $line"; sleep 0.5' </dev/null >mosh.log 2>&1
       export MOSH_KEY=$(sed -n 's/^MOSH CONNECT 60001 //p' mosh.log)
       (sleep 0.7; echo typed; sleep 2) | b script -qec 'stty rows 24 cols 80; mosh-client 10.0.0.1 60001' /dev/null >screen || true
       grep -ao 'mosh got typed' screen | head -n 1
       echo 'page of busybox' >index.html
       a busybox httpd -f -p 80 -h . & listening a 80
       b busybox wget -qO- http://10.0.0.1/`,
    );
    expect(out).toBe('mosh got typed\npage of busybox\n');
  });

  it('iperf3 in parallel, in both directions, backwards, over UDP', async () => {
    const out = await script(WHO, `two_stacks\n${IPERF}`);
    expect(out).toBe('ok\n'.repeat(6));
  });
});
