"""In a network of its own: the kernel's traffic control on what leaves one port. `shaped_story.py KIND {settings}`."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from mainstay.adapters.faults.packets.namespaces import loopback_up, own_network
from mainstay.adapters.faults.packets.traffic_control import TrafficControl
from mainstay.adapters.faults.undo import perform
from mainstay.kernel.faults import Order, Undo
from mainstay.kernel.finding import Position
from mainstay.kernel.workload import At, Workload
from packets.inside import bystander, round_trips, state, transfer


def main() -> None:
    own_network()
    loopback_up()
    server = subprocess.Popen([sys.executable, str(Path(__file__).with_name("echo_server.py")), "here"],
                              stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert server.stdin is not None
    assert server.stdout is not None
    port, other = json.loads(server.stdout.readline())["ports"]
    workload = Workload("echo", Position("catalog.yaml", 1, 1), pid=At(str(os.getpid())),
                        address=At(f"127.0.0.1:{port}"))
    before = state()
    undos: list[Undo] = []
    settings = json.loads(sys.argv[2])
    fault = TrafficControl().inject(Order(sys.argv[1], workload, settings=settings), undos.extend)
    said: dict[str, object] = {"healing": fault.means.healing, "proof": fault.proof().in_effect}
    said["bystander"] = bystander("127.0.0.1", other, 2000)
    if "rate" in settings and sys.argv[1] == "bandwidth-limit":
        said["rate"] = transfer("127.0.0.1", port, int(2.5 * settings["rate"]))["rate"]
    else:
        said["trips"] = round_trips("127.0.0.1", port, 20, udp=True)
    said["victims"] = dict(fault.victims())
    perform(undos[0].act, undos[0].data, None, "")
    said["same"] = state() == before
    fault.remove()
    said["proof after"] = fault.proof().in_effect
    server.stdin.close()
    server.wait(10)
    print(json.dumps(said))


if __name__ == "__main__":
    main()
