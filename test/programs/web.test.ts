/** Web servers and clients of all kinds, each in its own stack. */
import { describe, expect, it } from 'vitest';
import { script } from '../helpers/script.ts';
import { ALL_USERS } from '../helpers/users.ts';

/** Starts nginx in stack a, with all of its files in the work folder. */
const NGINX = `
mkdir -p www ngx && echo 'page of nginx' >www/index.html && head -c 3000000 /dev/urandom >www/big
cat >nginx.conf <<CONF
worker_processes 2; pid $PWD/ngx/pid; daemon off; error_log $PWD/ngx/error.log;
events { worker_connections 200; }
http {
  access_log off; client_body_temp_path ngx; proxy_temp_path ngx; fastcgi_temp_path ngx; uwsgi_temp_path ngx;
  scgi_temp_path ngx; sendfile on;
  server { listen 80; listen [::]:80; root $PWD/www; }
}
CONF
chmod 755 . www
a nginx -p "$PWD" -c "$PWD/nginx.conf" >ngx/log 2>&1 &
listening a 80`;

const NODE_SERVER = `
cat >server.mjs <<'JS'
import { createServer } from 'node:http';
createServer((request, response) => {
  request.setEncoding('utf8');
  let body = '';
  request.on('data', (data) => (body += data));
  request.on('end', () => response.end(request.socket.remoteAddress + ' said ' + body));
}).listen(3000, '0.0.0.0');
JS
cat >client.mjs <<'JS'
const texts = await Promise.all([1, 2, 3].map(async (n) => {
  const response = await fetch('http://10.0.0.1:3000/', { method: 'POST', body: 'hello ' + n });
  return response.text();
}));
console.log(texts.join('\\n'));
process.exit(0);
JS`;

describe.each(ALL_USERS)('as %s', (who) => {
  it('nginx: curl, wget, busybox wget and IPv6', async () => {
    const out = await script(
      who,
      `two_stacks
       ${NGINX}
       b curl -sS http://10.0.0.1/
       b curl -sS -g 'http://[fd00::1]/'
       b wget -qO- http://10.0.0.1/
       b busybox wget -qO- http://10.0.0.1/
       b curl -sS http://10.0.0.1/big | cmp - www/big`,
    );
    expect(out).toBe('page of nginx\n'.repeat(4));
  });

  it('nginx under ab: a thousand requests, none fails', async () => {
    const out = await script(who, `two_stacks\n${NGINX}\nb ab -q -n 1000 -c 20 http://10.0.0.1/ 2>&1`);
    expect(out).toMatch(/Complete requests: +1000\n/);
    expect(out).toMatch(/Failed requests: +0\n/);
  });

  it('two servers on the same port of two stacks', async () => {
    const out = await script(
      who,
      `two_stacks
       mkdir one two && echo one >one/index.html && echo two >two/index.html
       a python3 -m http.server 80 -d one >log1 2>&1 &
       b python3 -m http.server 80 -d two >log2 2>&1 &
       listening a 80; listening b 80
       a curl -sS http://10.0.0.1/ http://10.0.0.2/
       b curl -sS http://10.0.0.1/ http://10.0.0.2/ http://127.0.0.1/`,
    );
    expect(out).toBe('one\ntwo\none\ntwo\ntwo\n');
  });

  it('caddy, a program in Go', async () => {
    const out = await script(
      who,
      `two_stacks
       export XDG_DATA_HOME=$PWD/data XDG_CONFIG_HOME=$PWD/config
       a caddy respond --listen :80 'answer of caddy' >log 2>&1 &
       listening a 80
       b curl -sS http://10.0.0.1/
       b curl -sS -g 'http://[fd00::1]/'`,
    );
    expect(out).toBe('answer of caddy'.repeat(2));
  });

  it('node: server and fetch', async () => {
    const out = await script(
      who,
      `two_stacks
       ${NODE_SERVER}
       a "$NODE" server.mjs >log 2>&1 &
       listening a 3000
       b "$NODE" client.mjs`,
      { env: { NODE: process.execPath } },
    );
    expect(out).toBe('10.0.0.2 said hello 1\n10.0.0.2 said hello 2\n10.0.0.2 said hello 3\n');
  });

  it('nc of busybox and of OpenBSD', async () => {
    const out = await script(
      who,
      `two_stacks
       (echo 'from busybox'; sleep 0.3) | a busybox nc -l -p 23 >got &
       listening a 23
       echo 'from openbsd' | b nc.openbsd -N 10.0.0.1 23
       wait %1
       cat got`,
    );
    expect(out).toBe('from busybox\nfrom openbsd\n');
  });
});
