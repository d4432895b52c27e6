"""A process in a network of its own that answers what it is sent: on TCP and UDP ports, of IPv4 and IPv6."""

from __future__ import annotations

import json
import os
import select
import socket
import threading
import time

from mainstay.adapters.faults.packets.namespaces import loopback_up, own_network


def main() -> None:
    own_network()
    loopback_up()
    servers = [socket.create_server(("127.0.0.1", 0), backlog=512) for _ in range(2)]
    port = servers[0].getsockname()[1]
    datagrams = [socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(2)]
    for tcp, udp in zip(servers, datagrams, strict=True):
        udp.bind(tcp.getsockname())
        threading.Thread(target=_connections, args=(tcp,), daemon=True).start()
        threading.Thread(target=_datagrams, args=(udp,), daemon=True).start()
    try:
        six = socket.create_server(("::1", port), family=socket.AF_INET6, backlog=512)
        threading.Thread(target=_connections, args=(six,), daemon=True).start()
    except OSError:  # no IPv6 here; tests of it look for the port
        pass
    print(json.dumps({"pid": os.getpid(), "ports": [one.getsockname()[1] for one in servers]}), flush=True)
    select.select([0], [], [])


def _connections(server: socket.socket) -> None:
    while True:
        connection, _ = server.accept()
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        threading.Thread(target=_echo, args=(connection,), daemon=True).start()


def _echo(connection: socket.socket) -> None:
    try:
        while data := connection.recv(1 << 16):
            if data.startswith(b"send "):  # so many bytes in one direction, instead of an echo
                connection.sendall(b"x" * int(data.split()[1]))
            else:
                connection.sendall(data)
    except OSError:
        pass
    finally:
        connection.close()


def _datagrams(server: socket.socket) -> None:
    while True:
        data, sender = server.recvfrom(1 << 16)
        if data.startswith(b"n"):
            data = b"%s %d" % (data, time.time_ns())
        server.sendto(data, sender)  # an error here ends the thread, and the tests with it: nobody is told of a drop


if __name__ == "__main__":
    main()
