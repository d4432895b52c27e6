"""The probe of names: asks the workload's server of names, as one of the workload's own processes, for the root.

Every server of names knows the servers of the root, so any answer but success is the fault's.
"""

from __future__ import annotations

import json
import socket
import sys

from mainstay.adapters.faults.packets.namespaces import enter

_ROOT = b"\x4d\x73\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\x00\x00\x02\x00\x01"
"""Number 0x4d73, recursion wanted, one question: the servers (NS) of the empty name."""
_CODES = {0: "NOERROR", 2: "SERVFAIL", 3: "NXDOMAIN", 5: "REFUSED"}


def main() -> int:
    """Answer each line, `{"inside": pid, "host": …, "seconds": …}`, with how it went."""
    inside = 0
    for line in sys.stdin:
        asked = json.loads(line)
        if asked["inside"] != inside:
            inside = asked["inside"]
            enter(inside)
        sys.stdout.write(json.dumps({"how": _asked(asked["host"], asked["seconds"])}) + "\n")
        sys.stdout.flush()
    return 0


def _asked(host: str, seconds: float) -> str:
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_DGRAM) as one:
        one.settimeout(seconds)
        try:
            one.connect((host, 53))
            one.send(_ROOT)
            answer = one.recv(4096)
        except TimeoutError:
            return "timeout"
        except OSError as error:
            return error.strerror or str(error)
    return _CODES.get(answer[3] & 0xF, str(answer[3] & 0xF)) if answer[:2] == _ROOT[:2] else "nonsense"


if __name__ == "__main__":
    sys.exit(main())
