"""How the format of event files is recognised from their first bytes, and what a line of an access log is."""

from __future__ import annotations

import csv
import re
from collections.abc import Sequence

from mainstay.kernel.errors import InvalidInput

FORMATS = ("combined", "common", "json", "csv", "tsv", "parquet", "spans-csv", "spans-json", "prometheus-matrix",
           "nginx-plus-status")

_ACCESS_HEAD = r'^([^ ]+) ([^ ]+) (.+?) \[([^\]"]*)\] "((?:[^"\\]|\\.)*)" (\d{3}) (\d+|-)'
_TAIL = r"(?: (\d+(?:\.\d+)?|-))?$"
_QUOTED = r' "((?:[^"\\]|\\.)*)"'
ACCESS_PATTERNS = {"combined": _ACCESS_HEAD + _QUOTED + _QUOTED + f"(?:{_QUOTED})?" + _TAIL,
                   "common": _ACCESS_HEAD + _TAIL}
"""What a line of an access log is; good for RE2 and, with re.ASCII, for Python on a text without line ends."""
_COMMON_GROUPS = ("client", "ident", "user", "time", "request", "status", "bytes")
ACCESS_GROUPS = {"combined": (*_COMMON_GROUPS, "referer", "agent", "forwarded", "tail"),
                 "common": (*_COMMON_GROUPS, "tail")}
"""What the groups of the patterns hold, in their order."""
_SPAN_COLUMNS = {"spanid", "starttimeunixnano"}


def recognised(head: bytes, name: str) -> str:
    """The format whose first bytes these are.

    Raises:
        InvalidInput: binary, or like none of them.
    """
    if head.startswith(b"PAR1"):
        return "parquet"
    lines = [line for line in head_lines(head[:1 << 16]) if line]
    if head.count(0) * 100 > len(head) or sum(line.count("\ufffd") for line in lines) * 4 > len(head[:1 << 16]):
        raise InvalidInput(f"{name} is a binary file", "name log files, tables or Parquet files")
    first = lines[0].lstrip() if lines else ""
    if first[:1] in ("{", "["):
        return _recognised_json(lines)
    whole = lines[:100]
    for log, pattern in ACCESS_PATTERNS.items():
        fits = re.compile(pattern)
        if sum(bool(fits.search(line)) for line in whole) * 2 >= len(whole):
            return log
    for delimiter, table in ((",", "csv"), ("\t", "tsv")):
        try:
            rows = list(csv.reader(whole, delimiter=delimiter))
        except csv.Error:
            # No table with this delimiter; what it is instead is said below.
            continue
        if len(rows[0]) > 1 and sum(len(row) == len(rows[0]) for row in rows) * 2 >= len(rows):
            return "spans-csv" if {cell.strip().lower() for cell in rows[0]} >= _SPAN_COLUMNS else table
    raise InvalidInput(f"the format of {name} was not recognised",
                       "name it with --format, one of: " + ", ".join(FORMATS))


def _recognised_json(lines: Sequence[str]) -> str:
    start = "".join(lines[:50])[:4000]
    if '"resourceSpans"' in start or ('"traceId"' in start and re.search('"(parentId|startTimeUnixNano)"', start)):
        return "spans-json"
    if '"server_zones"' in "".join(lines[:1]):
        return "nginx-plus-status"
    if re.search(r'"metric"\s*:\s*\{', start) and re.search(r'"values?"\s*:\s*\[|"resultType"', "".join(lines)):
        return "prometheus-matrix"
    return "json"


def head_lines(head: bytes) -> list[str]:
    """The lines of a file's first bytes as text; the last may be cut."""
    return head.decode("utf-8", "replace").removeprefix("\ufeff").replace("\r\n", "\n").split("\n")
