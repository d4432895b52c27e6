"""`connectionDetails` of a DataSource: how to reach a Prometheus, or which files hold the events."""

from __future__ import annotations

import os

from mainstay.kernel.document import Node
from mainstay.kernel.finding import Finding
from mainstay.kernel.objective import SOURCE_RETRIES, SOURCE_TIMEOUT, Details, PrometheusDetails
from mainstay.kernel.ports import FileSet
from mainstay.kernel.quantity import zone_named
from mainstay.kernel.reader import Reader
from mainstay.slo.queries import read_conditions

KINDS = {"prometheus": "prometheus", "thanos": "prometheus", "mimir": "prometheus", "victoriametrics": "prometheus",
         "events": "events", "files": "events", "logs": "events"}
"""What a DataSource may be called, and which adapter it means: they all speak the Prometheus HTTP API."""


def read_details(spec: Reader, kind: str) -> Details | None:
    """The details of a source of that kind, or None where they are wrong or the kind is not one Mainstay can ask."""
    if kind not in KINDS:
        spec.ignore("connectionDetails")
        return None
    details = _details_of(spec)
    match KINDS.get(kind):
        case "prometheus" if details is not None:
            return _prometheus(details)
        case "events" if details is not None:
            return _events(details)
        case _:
            return None


def _details_of(spec: Reader) -> Reader | None:
    """The details as one mapping; the examples of OpenSLO's SDK list mappings of one entry each."""
    node = spec.node.value.get("connectionDetails") if isinstance(spec.node.value, dict) else None
    items = node.value if node is not None and isinstance(node.value, list) else []
    if node is None or not items or not all(isinstance(item.value, dict) for item in items):
        return spec.child("connectionDetails", required=True)
    spec.ignore("connectionDetails")
    values: dict[str, Node] = {}
    keys: dict[str, tuple[int, int]] = {}
    for item in items:
        for key, value in item.value.items() if isinstance(item.value, dict) else ():
            if key in values:
                spec.findings.append(spec.document.finding(
                    "duplicate-key", item.keys[key], f'"{key}" stands twice, first on line {keys[key][0]}',
                    "keep one of the two"))
            values[key], keys[key] = value, item.keys[key]
    return Reader(spec.document, Node(values, node.line, node.column, keys), spec.field("connectionDetails"),
                  spec.findings)


def _report_secret(details: Reader, key: str, mend: str) -> None:
    details.findings.append(Finding("secret-in-file", details.where_of(key), f"{details.field(key)} holds a secret",
                                    f"{mend}, and take the secret out of the file's history", hidden=True))


def _prometheus(details: Reader) -> PrometheusDetails | None:
    url = details.text("url", required=True)
    for key in ("password", "token", "bearerToken"):
        if details.has(key):
            details.ignore(key)
            _report_secret(details, key, f"write {key}_env: NAME or {key}_file: PATH")
    if url is not None and "@" in url.partition("://")[2].partition("/")[0]:
        _report_secret(details, "url", "write username: and password_env: beside the url")
    retries = details.whole("retries", minimum=0, maximum=10)
    out = PrometheusDetails(
        url or "", details.text("username", default=""), details.text("password_env", default=""),
        details.text("password_file", default=""), details.text("token_env", default=""),
        details.text("token_file", default=""), details.labels("headers"), details.text("ca_file", default=""),
        details.text("cert_file", default=""), details.text("key_file", default=""),
        details.flag("verify", default=True), details.duration("timeout") or SOURCE_TIMEOUT,
        SOURCE_RETRIES if retries is None else retries)
    details.done()
    if url is None:
        return None
    if not url.startswith(("http://", "https://")):
        details.report("invalid-value", f'{details.field("url")} is "{url}"', "write http://HOST:PORT", "url")
        return None
    return out


def _events(details: Reader) -> FileSet | None:
    paths = details.texts("paths", required=True)
    shape = details.text("format", default="auto")
    fields, unique = details.labels("fields"), details.texts("unique_by")
    where = read_conditions(details, "where")
    zone = details.parsed("timezone", lambda text: str(zone_named(text))) or "UTC"
    details.done()
    if not paths:
        return None
    # Relative paths start at the folder of the file that names them, so that a catalog works from anywhere.
    folder = os.path.dirname(details.document.file)
    return FileSet(tuple(os.path.join(folder, path) for path in paths), shape, fields, unique, where, zone)
