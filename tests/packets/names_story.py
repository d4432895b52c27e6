"""In a network of its own with a server of names: one process's names are not found, another's are."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import threading
from pathlib import Path

from mainstay.adapters.faults.packets.names_lost import Names
from mainstay.adapters.faults.packets.namespaces import loopback_up, own_network
from mainstay.kernel.faults import Order
from mainstay.kernel.finding import Position
from mainstay.kernel.workload import At, Workload

_ASKER = """
import socket, sys
for _ in sys.stdin:
    try:
        print(socket.getaddrinfo("somewhere.example", 80, socket.AF_INET)[0][4][0], flush=True)
    except socket.gaierror as error:
        print({socket.EAI_NONAME: "no name", socket.EAI_AGAIN: "again"}.get(error.errno, error.errno), flush=True)
"""


class Asker:
    def __init__(self) -> None:
        self.process = subprocess.Popen([sys.executable, "-c", _ASKER], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        text=True)

    def ask(self) -> str:
        self.process.stdin.write("\n")  # type: ignore[union-attr]
        self.process.stdin.flush()  # type: ignore[union-attr]
        return self.process.stdout.readline().strip()  # type: ignore[union-attr]


def server() -> None:
    named = [line.split()[1] for line in Path("/etc/resolv.conf").read_text().splitlines()
             if line.startswith("nameserver")]
    host = named[0] if named else "127.0.0.1"
    if ":" in host:
        sys.exit(3)
    if not host.startswith("127."):
        subprocess.run(["ip", "address", "add", f"{host}/32", "dev", "lo"], check=True)
    one = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    one.bind((host, 53))

    def answer() -> None:
        while True:
            asked, asker = one.recvfrom(512)
            if b"\x09somewhere" in asked:
                end = asked.index(b"\0", 12) + 5
                said = (asked[:2] + b"\x81\x80\0\1\0\1\0\0\0\0" + asked[12:end]
                        + b"\xc0\x0c\0\1\0\1\0\0\0\1\0\4\x7f\0\0\x09")
            else:
                said = asked[:2] + b"\x81\x80" + asked[4:]
            one.sendto(said, asker)

    threading.Thread(target=answer, daemon=True).start()


def few_ports() -> None:
    """Everybody asks from the same few ports of this network.

    The kernel remembers for half a minute where a datagram of a port went, and each question draws a port: so here it
    shows at once when somebody else is led because of a port that the workload had before.
    """
    Path("/proc/sys/net/ipv4/ip_local_port_range").write_text("20000 20063\n")


def main() -> None:
    own_network()
    loopback_up()
    few_ports()
    server()
    victim, other = Asker(), Asker()
    workload = Workload("asker", Position("catalog.yaml", 1, 1), pid=At(str(victim.process.pid)))
    said: dict[str, object] = {"before": victim.ask()}
    fault = Names().inject(Order("dns-failure", workload, settings={"error": sys.argv[1]}), lambda _: None)
    said["proof"] = fault.proof().in_effect
    said["during"] = victim.ask() if sys.argv[1] != "timeout" else ""
    said["bystander"] = [other.ask() for _ in range(20)]
    said["victims"] = dict(fault.victims())
    fault.remove()
    said["after"], said["proof after"] = victim.ask(), fault.proof().in_effect
    said["rules"] = subprocess.run(["nft", "list", "ruleset"], capture_output=True, text=True, check=False).stdout
    for one in (victim, other):
        one.process.stdin.close()  # type: ignore[union-attr]
        one.process.wait(10)
    print(json.dumps(said))


if __name__ == "__main__":
    main()
