"""In a network of its own: the kernel leads what one process opens to a proxy, and nothing that another opens.

`redirect_story.py {kind, settings, share}` prints what both saw before, during and after, as one line of JSON.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from edges.toy_dependency import CATALOG, callers, dependency, upstream
from mainstay.adapters.faults.edges.mechanism import ByLeading
from mainstay.adapters.faults.packets.namespaces import loopback_up, own_network
from mainstay.adapters.faults.processes import gone, process_of
from mainstay.kernel.faults import Order, Undo
from mainstay.kernel.workload import At, Dependency, Workload


def main() -> None:
    asked = json.loads(sys.argv[1])
    own_network()
    loopback_up()
    with dependency() as address, callers(address, address) as (victim, other):
        workload = Workload("caller", CATALOG, pid=At(str(victim.pid)),
                            dependencies=(Dependency("dependency", CATALOG),))
        order = Order(asked["kind"], workload, "dependency", asked["settings"], asked.get("share", 1.0), seed=1,
                      upstream=upstream(address))
        before = state()
        said: dict[str, object] = {"before": victim.call()}
        undos: list[Undo] = []
        fault = ByLeading().inject(order, undos.extend)
        said["means"] = [fault.means.mechanism, fault.means.healing, *fault.means.does]
        said["kept"] = victim.call(again=True)
        said["during"] = [victim.call() for _ in range(asked.get("calls", 3))]
        said["bystander"] = [other.call() for _ in range(40)]
        said["proof"] = [(proof := fault.proof()).in_effect, proof.seen, proof.note]
        if asked.get("kill"):
            for undo in undos:
                subprocess.run(["kill", "-9", str(undo.data["pid"])], check=True)
            assert all(gone(process_of(undo.data), 1) for undo in undos)
        fault.remove()
        said["after"] = [victim.call() for _ in range(3)]
        said["proof after"] = fault.proof().in_effect
        said["same"] = state() == before
        said["gone"] = [gone(process_of(undo.data), 1) for undo in undos]
        said["victims"] = dict(fault.victims())
    print(json.dumps(said))


def state() -> list[str]:
    return [subprocess.run(argv, capture_output=True, text=True, check=False).stdout
            for argv in (["nft", "list", "ruleset"], ["cat", "/proc/net/netfilter/nfnetlink_queue"])]


if __name__ == "__main__":
    main()
