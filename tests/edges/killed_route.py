"""A run that tells a workload to call a proxy, and stands there until it is killed: `killed_route.py {json}`."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

from mainstay.adapters.faults.injector import HostInjector
from mainstay.adapters.faults.network import network_mechanisms
from mainstay.kernel.faults import Order
from mainstay.kernel.finding import Position
from mainstay.kernel.workload import At, Call, Dependency, Workload

said = json.loads(sys.argv[1])
here = Position(said["folder"] + "/catalog.yaml", 1, 1)
route = Call("POST", "http://{address}/route", '{"dependency": "{to}"}', '{"dependency": ""}', {},
             {"x-secret": At(file="secret")})
workload = Workload("caller", here, address=At(said["own"]),
                    dependencies=(Dependency("dependency", here, route=route),))
upstream = Workload("dependency", here, address=At(said["direct"]), health="/")
injector = HostInjector(Path(said["folder"]) / "state", network_mechanisms())
with injector.guard("killed") as guarded:
    guarded.inject(Order("dependency-failure", workload, "dependency", upstream=upstream, seconds=30))
    print("in", flush=True)
    time.sleep(60)
