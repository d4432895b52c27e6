"""A run that puts a fault in and stands there until it is killed."""

from __future__ import annotations

import sys
import time

from mainstay.adapters.faults.packets.mechanism import Packets
from mainstay.kernel.faults import Order
from mainstay.kernel.finding import Position
from mainstay.kernel.workload import At, Workload

workload = Workload("echo", Position("catalog.yaml", 1, 1), pid=At(sys.argv[1]), address=At(f"127.0.0.1:{sys.argv[2]}"))
fault = Packets().inject(Order("packet-loss", workload, settings={"loss": 1.0}), lambda _: None)
print("in", flush=True)
time.sleep(600)
