"""A real Alertmanager for tests: own data, own port, gone afterwards."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

from programs import need
from servers.prometheus import Server, running


@contextlib.contextmanager
def alertmanager(folder: Path, webhook: str = "") -> Iterator[Server]:
    """A ready Alertmanager; skips the test when the program is absent.

    Args:
        webhook: where it sends every group, at once and again every second; nowhere by default.
    """
    program = need("prometheus-alertmanager")
    folder.mkdir(parents=True, exist_ok=True)
    receiver = f"{{name: out, webhook_configs: [{{url: '{webhook}'}}]}}" if webhook else "{name: out}"
    config = folder / "alertmanager.yml"
    config.write_text("route: {receiver: out, group_by: [alertname], group_wait: 0s, group_interval: 1s, "
                      f"repeat_interval: 1s}}\nreceivers: [{receiver}]\n")
    command = [program, f"--config.file={config}", f"--storage.path={folder / 'data'}", "--cluster.listen-address=",
               "--web.listen-address=127.0.0.1:{port}", "--log.level=warn"]
    with running(command, folder, "/-/ready") as server:
        yield server
