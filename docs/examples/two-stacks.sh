#!/bin/sh
# Two network stacks on one virtual hub: a server in one, a client in the other, both on port 80 of their own.
# Run it inside umvu:  umvu sh docs/examples/two-stacks.sh
set -e
vu_insmod vunetioth
vumount -t vunetioth -o hub://,eth,ip=10.0.0.1/24 lwip /dev/net/server
vumount -t vunetioth -o hub://,eth,ip=10.0.0.2/24 lwip /dev/net/client
vumount

vustack /dev/net/server node -e '
  require("http")
    .createServer((request, response) => response.end(`hello, ${request.socket.remoteAddress}\n`))
    .listen(80, "0.0.0.0", () => console.log("the server listens on port 80 of its stack"));
' &
server=$!
vustack /dev/net/client node -e '
  const get = (tries) =>
    fetch("http://10.0.0.1/").then(async (answer) => console.log("the client got:", (await answer.text()).trim()),
      (error) => (tries ? setTimeout(get, 100, tries - 1) : Promise.reject(error)));
  get(50);
'
kill $server
