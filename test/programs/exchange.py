"""Talks between two stacks: `exchange.py serve` answers on port 7 what it gets over TCP, UDP and from multicast groups;
`exchange.py ask ADDRESS...` asks it at these addresses, and at groups (`GROUP%INTERFACE`), and prints what came back."""
import errno
import os
import socket
import struct
import sys
import threading
import time

PORT = 7
# Bytes that are sent over TCP, while as many come back.
STREAM = int(os.environ.get('STREAM', 3000000))
GROUPS = ('239.7.7.7', 'ff15::7')


def family_of(address):
    return socket.AF_INET6 if ':' in address else socket.AF_INET


def join(server, group):
    index = socket.if_nametoindex('vde0')
    if family_of(group) == socket.AF_INET6:
        request = socket.inet_pton(socket.AF_INET6, group) + struct.pack('@I', index)
        server.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_JOIN_GROUP, request)
    else:
        request = socket.inet_aton(group) + struct.pack('@4xi', index)
        server.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, request)


def echo_stream(connection):
    while data := connection.recv(65536):
        connection.sendall(data)
    connection.close()


def serve_streams(server):
    while True:
        connection, _ = server.accept()
        threading.Thread(target=echo_stream, args=(connection,), daemon=True).start()


def serve():
    streams = socket.create_server(('::', PORT), family=socket.AF_INET6, dualstack_ipv6=True)
    threading.Thread(target=serve_streams, args=(streams,), daemon=True).start()
    servers = []
    for group in GROUPS:
        server = socket.socket(family_of(group), socket.SOCK_DGRAM)
        if server.family == socket.AF_INET6:
            server.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        server.bind(('', PORT))
        join(server, group)
        servers.append(server)
    open(sys.argv[2], 'w').close()

    def answer(server):
        while True:
            data, peer = server.recvfrom(65536)
            server.sendto(data, peer)

    threading.Thread(target=answer, args=(servers[0],), daemon=True).start()
    answer(servers[1])


def ask_stream(address, size):
    sent = os.urandom(size)
    with socket.create_connection((address, PORT), 8) as connection:
        def write():
            connection.sendall(sent)
            connection.shutdown(socket.SHUT_WR)
        writer = threading.Thread(target=write)
        writer.start()
        got = b''.join(iter(lambda: connection.recv(65536), b''))
        writer.join()
    return got == sent


def ask_datagram(address, size):
    group, _, interface = address.partition('%')
    client = socket.socket(family_of(group), socket.SOCK_DGRAM)
    client.settimeout(1)
    if interface:
        index = socket.if_nametoindex(interface)
        if client.family == socket.AF_INET6:
            client.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_IF, index)
        else:
            client.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, struct.pack('@8xi', index))
    sent = os.urandom(size)
    for _ in range(4):
        try:
            client.sendto(sent, (group, PORT))
            return client.recvfrom(65536)[0] == sent
        except TimeoutError:
            pass
        except OSError as error:
            # IPv6 has no route before the interface has an address that nobody else has.
            if error.errno != errno.ENETUNREACH:
                raise
            time.sleep(0.5)
    return 'no answer'


def ask():
    for address in sys.argv[2:]:
        if '%' not in address:
            print(address, 'TCP', ask_stream(address, STREAM))
        sizes = (0, 1, 1400) if '%' in address else (0, 1, 1400, 9000)
        print(address, 'UDP', *[ask_datagram(address, size) for size in sizes])


serve() if sys.argv[1] == 'serve' else ask()
