"""Giving a workload of Kubernetes its replicas again: the act of guardians, and the program that it starts.

Guardians load nothing but the standard library; speaking to a cluster needs more, so a process of its own does it.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from mainstay.kernel.journal import Data

_SECONDS = 20.0
_SOURCES = str(Path(__file__).parents[4])
_START = ("import sys; sys.path.insert(0, sys.argv[1]); "
          "from mainstay.adapters.faults.cluster.scaling_back import main; sys.exit(main())")


def scale_back(data: Data, _notes: object, _step: str) -> None:
    """Want so many replicas: config, context, namespace, kind, name, replicas.

    Raises:
        OSError: the cluster did not take it.
    """
    done = subprocess.run([sys.executable, "-c", _START, _SOURCES], input=json.dumps(dict(data)), text=True,
                          capture_output=True, timeout=_SECONDS, check=False)
    if done.returncode:
        raise OSError(done.stderr.strip().rpartition("\n")[2] or f"it ended with {done.returncode}")


def main() -> int:
    """Carry out what standard input says."""
    from mainstay.adapters.kubernetes import Cluster  # noqa: PLC0415  (a lazy start: not for guardians)
    from mainstay.kernel.errors import MainstayError, NotFound  # noqa: PLC0415  (a lazy start: not for guardians)
    from mainstay.kernel.workload import ClusterObject  # noqa: PLC0415  (a lazy start: not for guardians)

    data = json.load(sys.stdin)
    which = ClusterObject(data["namespace"], data["kind"], data["name"], data["context"])
    try:
        Cluster(data["config"], which.context).scale(which, int(data["replicas"]))
    except NotFound:
        return 0  # what is gone has no replicas to get back
    except MainstayError as problem:
        sys.stderr.write(f"{problem.message}\n")
        return 1
    return 0
