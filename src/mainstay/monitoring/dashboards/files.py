"""Dashboards as the files that a Grafana takes: plain JSON, a provisioning folder, or ConfigMaps for its sidecar."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal

from mainstay.kernel.dataclass import dataclass
from mainstay.kernel.errors import InvalidInput
from mainstay.monitoring.dashboards.board import Board
from mainstay.monitoring.rulefile import label_value, object_name, yaml_text

Shape = Literal["json", "configmap", "provisioning"]
SHAPES: tuple[Shape, ...] = ("json", "configmap", "provisioning")
MOST_CONFIGMAP = 1024 * 1024
"""Bytes that Kubernetes keeps in one ConfigMap."""
SIDECAR_LABEL = "grafana_dashboard"
"""The label by which Grafana's sidecar (of the Helm charts grafana and kube-prometheus-stack) picks a ConfigMap."""
_FOLDER = "Mainstay"


@dataclass(frozen=True, slots=True)
class DashboardFile:
    """A file to write: its path below the folder, its text, and the uid of the dashboard in it; empty for none."""

    path: str
    text: str
    uid: str = ""


def is_ours(text: str) -> bool:
    """Whether Mainstay wrote the file: its comment at the top, or a dashboard with one of Mainstay's uids."""
    return text.startswith("# Written by `mainstay monitoring ") or '"uid": "mainstay-' in text


def files_of(boards: Sequence[Board], shape: Shape, text: Callable[[Board], str]) -> tuple[DashboardFile, ...]:
    """The files of these dashboards, in their order.

    Args:
        text: a dashboard as JSON.
    Raises:
        InvalidInput: a dashboard has no room in a ConfigMap.
    """
    match shape:
        case "json":
            return tuple(DashboardFile(f"{board.file}.json", text(board), board.uid) for board in boards)
        case "configmap":
            return tuple(DashboardFile(f"{object_name(board.uid)}.yaml", _configmap(board, text(board)), board.uid)
                         for board in boards)
        case "provisioning":
            provider = DashboardFile("provisioning/dashboards/mainstay.yaml", _PROVIDER)
            return (provider, *(DashboardFile(f"dashboards/{board.kind}/{board.file}.json", text(board), board.uid)
                                for board in boards))


_PROVIDER = """\
# Written by `mainstay monitoring dashboards --to provisioning`. Mount this folder's `provisioning` as Grafana's
# provisioning path and `dashboards` as /etc/grafana/mainstay; the folders below it become folders in Grafana.
apiVersion: 1
providers:
  - name: mainstay
    type: file
    disableDeletion: false
    allowUiUpdates: false
    updateIntervalSeconds: 30
    options:
      path: /etc/grafana/mainstay
      foldersFromFilesStructure: true
"""


def _configmap(board: Board, text: str) -> str:
    body = "\n".join(f"    {line}" for line in text.rstrip("\n").split("\n"))
    labels = {SIDECAR_LABEL: "1", "app.kubernetes.io/managed-by": "mainstay"}
    if label_value(board.subject):
        labels["app.kubernetes.io/part-of"] = label_value(board.subject)
    written = "\n".join([
        "# Written by `mainstay monitoring dashboards --to configmap`; change the catalog, not this file.",
        "apiVersion: v1", "kind: ConfigMap", "metadata:", f"  name: {yaml_text(object_name(board.uid))}", "  labels:",
        *(f"    {yaml_text(key)}: {yaml_text(value)}" for key, value in labels.items()),
        "  annotations:", f"    grafana_folder: {_FOLDER}", "data:", f"  {yaml_text(board.file + '.json')}: |", body,
        ""])
    if len(written.encode()) > MOST_CONFIGMAP:
        raise InvalidInput(f"the dashboard {board.uid} has {len(written.encode()):,} bytes and a ConfigMap holds "
                           f"{MOST_CONFIGMAP:,}", "use --to provisioning, or split the service")
    return written
