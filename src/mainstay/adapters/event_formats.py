"""The formats of event files: how each is recognised, and the SQL that turns its rows into events.

An event has `time` (epoch seconds), and as far as the file knows them `status`, `method`, `path` (without the query
string), `duration` (seconds), `client`, `bytes`; every other field by the file's own name, nested ones with dots.
A wholly empty line is no line; every other line is an event or is rejected with a reason.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from mainstay.adapters.event_files import (
    DELIMITER,
    LONGEST_LINE,
    Opened,
    lines_mended,
    table_header,
    table_mended,
)
from mainstay.adapters.event_records import Converted, converted
from mainstay.kernel.errors import InvalidInput, NoData
from mainstay.kernel.finding import did_you_mean
from mainstay.kernel.ports import Condition, FileSet

FORMATS = ("combined", "common", "json", "csv", "tsv", "parquet", "spans-csv", "spans-json", "prometheus-matrix",
           "nginx-plus-status")


@dataclass(frozen=True, slots=True)
class Shape:
    """How the rows of files become events, as SQL.

    Args:
        origin: the text of a SELECT; with `True` it also numbers the rows, in `"row"`, from one.
        raw: the text of a row, to show a rejected one.
        unfit: NULL for a row that fits the format, else the reason.
        fields: name of a field to its value; always `time` in epoch seconds, NULL where it cannot be read.
        time_from: what the file calls the time.
        elsewhere: the value of a field that the first rows do not have; None when the fields are known for certain.
        weight: how many events a row stands for; None when it is one.
        bad_weight: how many of them were bad, where the file says so itself.
        mend: the same over files whose awkward bytes were replaced; None when there is nothing to mend.
        bad: what a bad event is in this format when nobody says.
        sampled: a slot without an event was not measured, rather than quiet.
        counted: the counts of records when rows are not records.
    """

    format: str
    origin: Callable[[bool], str]
    raw: str
    unfit: str
    fields: Mapping[str, str]
    time_from: str = "time"
    elsewhere: Callable[[str], str] | None = None
    mend: Callable[[], Shape] | None = None
    weight: str | None = None
    bad_weight: str | None = None
    bad: tuple[Condition, ...] = ()
    unique_by: tuple[str, ...] = ()
    sampled: bool = False
    counted: Converted | None = field(default=None)


def shape_of(files: Opened, wanted: FileSet, describe: Callable[[str], list[tuple[str, str]]]) -> Shape:
    """The shape of the files, recognised or as told, with the user's own names for fields in place.

    Args:
        describe: the column names and types of a SELECT.
    Raises:
        NoData: the files are empty.
        InvalidInput: no format fits, or a field the user named is not there.
    """
    head = files.head()
    if not head.strip():
        raise NoData("the files are empty: " + ", ".join(files.names[:5]), "name files that hold events")
    format = recognised(head, files.names[0]) if wanted.format == "auto" else wanted.format
    match format:
        case "combined" | "common":
            shape = _access_log(format, files)
        case "json" if head.lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"["):
            shape = _converted("json", files)
        case "json":
            shape = _json_lines(files, head)
        case "csv" | "tsv" | "spans-csv":
            shape = _table(format, files, head)
        case "parquet":
            shape = _parquet(files, describe)
        case "spans-json" | "prometheus-matrix" | "nginx-plus-status":
            shape = _converted(format, files)
        case _:
            raise InvalidInput(f'"{format}" is not a format of event files{did_you_mean(format, FORMATS)}',
                               "write one of: auto, " + ", ".join(FORMATS))
    return _as_told(shape, wanted)


def literal(text: str) -> str:
    """The text as an SQL literal; DuckDB knows no escapes in it but the doubled quote."""
    return "'" + text.replace("'", "''") + "'"


# -- recognition --------------------------------------------------------------------------------------------------

_ACCESS_HEAD = r'^([^ ]+) ([^ ]+) (.+?) \[([^\]"]*)\] "((?:[^"\\]|\\.)*)" (\d{3}) (\d+|-)'
_TAIL = r"(?: (\d+(?:\.\d+)?|-))?$"
_QUOTED = r' "((?:[^"\\]|\\.)*)"'
_ACCESS = {"combined": _ACCESS_HEAD + _QUOTED + _QUOTED + f"(?:{_QUOTED})?" + _TAIL, "common": _ACCESS_HEAD + _TAIL}
_ACCESS_GROUPS = ("client", "ident", "user", "time", "request", "status", "bytes", "referer", "agent", "forwarded",
                  "tail")
_SPAN_COLUMNS = {"spanid", "starttimeunixnano"}


def recognised(head: bytes, name: str) -> str:
    """The format whose first bytes these are.

    Raises:
        InvalidInput: binary, or like none of them.
    """
    if head.startswith(b"PAR1"):
        return "parquet"
    lines = [line for line in head[:1 << 16].decode("utf-8", "replace").removeprefix("\ufeff").splitlines() if line]
    if head.count(0) * 100 > len(head) or sum(line.count("\ufffd") for line in lines) * 4 > len(head[:1 << 16]):
        raise InvalidInput(f"{name} is a binary file", "name log files, tables or Parquet files")
    first = lines[0].lstrip() if lines else ""
    if first[:1] in ("{", "["):
        return _recognised_json(lines)
    whole = lines[:100]
    for format, pattern in _ACCESS.items():
        fits = re.compile(pattern)
        if sum(bool(fits.search(line)) for line in whole) * 2 >= len(whole):
            return format
    for delimiter, format in ((",", "csv"), ("\t", "tsv")):
        columns = lines[0].count(delimiter)
        if columns and sum(line.count(delimiter) >= columns for line in whole) * 2 >= len(whole):
            names = {cell.strip().strip('"').lower() for cell in lines[0].split(delimiter)}
            return "spans-csv" if names >= _SPAN_COLUMNS else format
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


# -- values -------------------------------------------------------------------------------------------------------

_ISO_MENDED = r"regexp_replace(replace({0}, ',', '.'), '[ ]+([+-]\d\d:?\d\d)( [A-Z]+)?( m=.*)?$', '\1')"


def _moment(text: str) -> str:
    """Epoch seconds of a text: a number (seconds, ms, µs or ns by its size), ISO 8601, or as logs write it."""
    return (f"coalesce({_epoch(f'TRY_CAST({text} AS DOUBLE)')}, epoch(TRY_CAST({text} AS TIMESTAMPTZ)), "
            f"epoch(TRY_CAST({_ISO_MENDED.format(text)} AS TIMESTAMPTZ)), "
            f"epoch(try_strptime({text}, '%d/%b/%Y:%H:%M:%S %z')), "
            f"epoch(try_strptime({text}, '%a, %d %b %Y %H:%M:%S %z')))")


def _epoch(number: str) -> str:
    # 1e11 s is the year 5138 and 1e11 ms is 1973: the units do not overlap for any plausible time.
    return (f"(CASE WHEN {number} < 1e11 THEN {number} WHEN {number} < 1e14 THEN {number} / 1e3 "
            f"WHEN {number} < 1e17 THEN {number} / 1e6 ELSE {number} / 1e9 END)")


def _moment_of_type(value: str, type: str) -> str:
    if type.startswith(("TIMESTAMP", "DATE")):
        return f"epoch(CAST({value} AS TIMESTAMPTZ))"
    if type == "VARCHAR":
        return _moment(value)
    return _epoch(f"TRY_CAST({value} AS DOUBLE)")


_PER_SECOND = {"s": 1.0, "sec": 1.0, "seconds": 1.0, "ms": 1e3, "msec": 1e3, "millis": 1e3, "milliseconds": 1e3,
               "us": 1e6, "usec": 1e6, "micros": 1e6, "microseconds": 1e6, "ns": 1e9, "nanos": 1e9,
               "nanoseconds": 1e9}
_DURATION_NAME = re.compile(
    r"(?:.*\.)?(?:duration|latency|elapsed|took|request_?time|response_?time|time_taken|upstream_response_time)"
    r"(?:_time)?[_.]?(" + "|".join(sorted(_PER_SECOND, key=len, reverse=True)) + r")?", re.IGNORECASE)


def _seconds(text: str, unit: str) -> str:
    """A duration in seconds: a number in its unit, or a number with the unit behind it (`12ms`, `1.5 s`)."""
    plain = f"TRY_CAST({text} AS DOUBLE)"
    number = rf"TRY_CAST(regexp_extract({text}, '^([0-9.]+) ?(?:s|ms|us|µs|ns)$', 1) AS DOUBLE)"
    behind = rf"regexp_extract({text}, '(s|ms|us|µs|ns)$', 1)"
    spelled = (f"{number} / (CASE {behind} WHEN 'ms' THEN 1e3 WHEN 'us' THEN 1e6 WHEN 'µs' THEN 1e6 "
               f"WHEN 'ns' THEN 1e9 ELSE 1e0 END)")
    value = f"coalesce({plain} / {_PER_SECOND[unit]!r}, {spelled})"
    return f"(CASE WHEN isfinite({value}) THEN {value} END)"


def _path(text: str) -> str:
    return f"nullif(split_part(regexp_replace({text}, '^[a-z]+://[^/]*', ''), '?', 1), '')"


# -- usual names --------------------------------------------------------------------------------------------------

USUAL_NAMES: Mapping[str, tuple[str, ...]] = {
    "time": ("time", "@timestamp", "timestamp", "ts", "datetime", "time_iso8601", "time_local", "event_time",
             "start_time", "starttime", "starttimeunixnano", "date"),
    "status": ("status", "status_code", "statuscode", "http_status", "response_code", "http.response.status_code",
               "http.status_code", "http.response.status", "response.status", "response.status_code", "res.statuscode",
               "res.status", "response", "code"),
    "method": ("method", "request_method", "http_method", "verb", "http.request.method", "http.method",
               "request.method", "req.method"),
    "path": ("path", "uri", "url", "request_uri", "request_path", "url.path", "http.target", "http.route", "http.url",
             "request.path", "request.uri", "request.url", "req.url", "endpoint", "route"),
    "client": ("client", "client_ip", "remote_addr", "remote_ip", "clientip", "client.ip", "client.address",
               "source.ip"),
    "bytes": ("bytes", "body_bytes_sent", "bytes_sent", "response_size", "http.response.body.bytes"),
}


def _usual(own: Mapping[str, str], moment: Callable[[str], str]) -> tuple[dict[str, str], str]:
    """Our fields from the file's own by their usual names, and what the time is called there."""
    lower = {name.lower(): name for name in reversed(own)}
    fields = dict(own)
    time_from = ""
    for ours, names in USUAL_NAMES.items():
        name = next((lower[name] for name in names if name in lower), None)
        if name is None:
            continue
        value = own[name]
        if ours == "time":
            time_from, value = name, moment(name)
        elif ours == "path":
            value = _path(_text(value))
        fields[ours] = value
    named = [(name, found[1]) for name in own if (found := _DURATION_NAME.fullmatch(name))]
    for name, unit in sorted(named, key=lambda item: item[0].count(".")):
        # Elasticsearch's `took` is in milliseconds; every other name without a unit means seconds.
        default = "ms" if name.lower() == "took" else "s"
        fields["duration"] = _seconds(_text(own[name]), (unit or default).lower())
        break
    return fields, time_from


def _text(value: str) -> str:
    return f"CAST({value} AS VARCHAR)"


def _as_told(shape: Shape, wanted: FileSet) -> Shape:
    fields = dict(shape.fields)
    time_from, weight, bad_weight = shape.time_from, shape.weight, shape.bad_weight
    for ours, told in wanted.fields.items():
        name, _, unit = told.rpartition(":")
        if told in shape.fields or unit not in _PER_SECOND:
            name, unit = told, "s"
        value = shape.fields.get(name) or (shape.elsewhere(name) if shape.elsewhere else None)
        if value is None:
            raise unknown_field(name, shape.fields)
        if ours in ("total", "weight"):
            weight = f"TRY_CAST({_text(value)} AS DOUBLE)"
        elif ours == "bad":
            bad_weight = f"TRY_CAST({_text(value)} AS DOUBLE)"
        if ours == "time":
            time_from, value = name, _moment(_text(value))
        elif ours == "duration":
            value = _seconds(_text(value), unit)
        elif ours == "path":
            value = _path(_text(value))
        fields[ours] = value
    if "time" not in fields:
        raise InvalidInput("the files have no field that is a time", "name it, such as time=created_at; the fields "
                           "are: " + ", ".join(sorted(shape.fields)))
    return replace(shape, fields=fields, time_from=time_from, weight=weight, bad_weight=bad_weight,
                   mend=None if shape.mend is None else lambda: _as_told(_mended(shape), wanted))


def _mended(shape: Shape) -> Shape:
    assert shape.mend is not None, "only a shape that can be mended is"
    return shape.mend()


def unknown_field(name: str, known: Mapping[str, object]) -> InvalidInput:
    """The error for a field that no row has."""
    return InvalidInput(f'the files have no field "{name}"{did_you_mean(name, known)}',
                        "the fields are: " + ", ".join(sorted(known)))


# -- whole lines --------------------------------------------------------------------------------------------------


def _file_list(files: Sequence[Path]) -> str:
    return "[" + ", ".join(literal(str(file)) for file in files) + "]"


def _lines(files: Sequence[Path], numbered: bool) -> str:
    number = 'row_number() OVER () AS "row", ' if numbered else ""
    read = (f"SELECT {number}line FROM read_csv({_file_list(files)}, columns = {{'line': 'VARCHAR'}}, "
            f"delim = {literal(DELIMITER)}, quote = '', escape = '', header = false, auto_detect = false, "
            f"new_line = '\\n', max_line_size = {LONGEST_LINE}, compression = 'none')")
    return f"SELECT * FROM ({read}) WHERE line IS NOT NULL"


def _lines_mended(files: Opened) -> Opened:
    out = []
    for index, file in enumerate(files.files):
        target = files.folder / f"mended-{index:05}"
        lines_mended(file, target)
        out.append(target)
    return files.replaced(out)


def _access_log(format: str, files: Opened) -> Shape:
    """Common and combined logs, each with an optional last number: whole = microseconds (%D), else seconds.

    Most lines are plain (`client - - [time] "…" …`, nothing escaped) and are cut at their quotes; the rest go through
    the full pattern. Both give the same fields for every line that both accept (a property test holds them to it).
    """
    parts, cut = (7, "parts[7]") if format == "combined" else (3, "regexp_extract(parts[3], '^ ... [^ ]+(.*)$', 1)")
    between = "parts[5] = ' ' AND " if format == "combined" else ""
    numbers = r" \d\d\d (?:\d+|-) " if format == "combined" else r" \d\d\d (?:\d+|-)(?: (?:\d+(?:\.\d+)?|-))?"
    tail = r"(parts[7] = '' OR regexp_full_match(parts[7], ' (?:\d+(?:\.\d+)?|-)')) AND " if format == "combined" else ""
    plain = (f"len(parts) = {parts} AND {between}{tail}right(parts[1], 34)[:6] = ' - - [' AND "
             f"strpos(parts[1], ' ') = length(parts[1]) - 33 AND strpos(parts[1], ' ') > 1 AND "
             f"right(parts[1], 2) = '] ' AND strpos(right(parts[1], 28), ']') = 27 AND "
             f"regexp_full_match(parts[3], {literal(numbers)}) AND NOT contains(line, '\\')")
    names = [name for name in _ACCESS_GROUPS if format == "combined" or name not in ("referer", "agent", "forwarded")]
    groups = "[" + ", ".join(map(literal, names)) + "]"

    def origin(numbered: bool, of: Opened = files) -> str:
        split = f"SELECT *, string_split(line, '\"') AS parts FROM ({_lines(of.files, numbered)})"
        sorted_out = f"SELECT *, {plain} AS plain FROM ({split})"
        return (f"SELECT *, CASE WHEN NOT plain THEN regexp_extract(line, {literal(_ACCESS[format])}, {groups}) END "
                f"AS found FROM ({sorted_out})")

    def either(fast: str, group: str) -> str:
        return f"(CASE WHEN plain THEN {fast} ELSE found.{group} END)"

    request = either("parts[2]", "request")
    last = f"nullif(ltrim({either(cut, 'tail')}, ' '), '-')"
    size = either("split_part(parts[3], ' ', 3)", "bytes")
    target = rf"regexp_extract({request}, '^[A-Za-z_-]+ (\S.*?)(?: HTTP/[0-9.]+)?$', 1)"
    fields = {
        "time": f"epoch(try_strptime({either('left(right(parts[1], 28), 26)', 'time')}, '%d/%b/%Y:%H:%M:%S %z'))",
        "status": f"TRY_CAST({either('parts[3][2:4]', 'status')} AS SMALLINT)",
        "method": f"nullif(regexp_extract({request}, '^([A-Za-z_-]+) ', 1), '')",
        "path": f"nullif(split_part({target}, '?', 1), '')",
        "request": request,
        "client": either("split_part(parts[1], ' ', 1)", "client"),
        "user": "(CASE WHEN NOT plain THEN nullif(found.user, '-') END)",
        "bytes": f"TRY_CAST({size} AS BIGINT)",
        "duration": f"(CASE WHEN contains({last}, '.') THEN TRY_CAST({last} AS DOUBLE) "
                    f"ELSE TRY_CAST({last} AS DOUBLE) / 1e6 END)",
    }
    if format == "combined":
        fields |= {"referer": f"nullif({either('parts[4]', 'referer')}, '-')",
                   "agent": f"nullif({either('parts[6]', 'agent')}, '-')"}
    return Shape(format, origin, "line", f"CASE WHEN NOT plain AND found.status = '' THEN 'not a {format} line' END",
                 fields, mend=lambda: replace(_access_log(format, _lines_mended(files)), mend=None))


# -- JSON lines ---------------------------------------------------------------------------------------------------


def _pointer(keys: Sequence[str]) -> str:
    return "/" + "/".join(key.replace("~", "~0").replace("/", "~1") for key in keys)


def _json_value(pointer: str) -> str:
    return f"(CASE WHEN fits THEN json_extract_string(line, {literal(pointer)}) END)"


def _flat(document: Mapping[str, Any], prefix: tuple[str, ...] = ()) -> dict[str, tuple[str, ...]]:
    out: dict[str, tuple[str, ...]] = {}
    for key, value in document.items():
        keys = (*prefix, key)
        out.setdefault(".".join(keys), keys)
        if isinstance(value, dict):
            out |= {name: path for name, path in _flat(value, keys).items() if name not in out}
    return out


def _json_fields(head: bytes) -> dict[str, str]:
    keys: dict[str, tuple[str, ...]] = {}
    for line in head.decode("utf-8", "replace").removeprefix("\ufeff").splitlines()[:200]:
        try:
            document = json.loads(line)
        except (ValueError, RecursionError):
            continue
        if isinstance(document, dict):
            keys = {**_flat(document), **keys}
    return {name: _json_value(_pointer(path)) for name, path in keys.items()}


def _json_lines(files: Opened, head: bytes) -> Shape:
    own = _json_fields(head)
    fields, time_from = _usual(own, lambda name: _moment(own[name]))

    def origin(numbered: bool, of: Opened = files) -> str:
        return (f"SELECT *, starts_with(ltrim(line), '{{') AND json_valid(line) AS fits "
                f"FROM ({_lines(of.files, numbered)})")

    return Shape("json", origin, "line", "CASE WHEN NOT fits THEN 'not a JSON object' END", fields, time_from,
                 elsewhere=lambda name: _json_value(_pointer(name.split("."))),
                 mend=lambda: replace(_json_lines(_lines_mended(files), head), mend=None))


_BAD = {"spans-json": (Condition("status", "==", ("ERROR",)),), "prometheus-matrix": (Condition("value", "==", (0.0,)),)}


def _converted(format: str, files: Opened) -> Shape:
    out = converted(format, files)
    if not out.lines:
        raise NoData("the files hold no records: " + ", ".join(files.names[:5]), "name files that hold events")
    with out.file.open("rb") as stream:
        head = stream.read(1 << 18)
    matrix = format == "prometheus-matrix"
    shape = _json_lines(files.replaced([out.file]), head)
    weight = f"TRY_CAST({shape.fields['weight']} AS DOUBLE)" if format == "nginx-plus-status" else None
    return replace(shape, format=format, mend=None, counted=out, weight=weight, bad=_BAD.get(format, ()),
                   unique_by=("series", "time") if matrix else (), sampled=matrix)


# -- tables -------------------------------------------------------------------------------------------------------


def _table(format: str, files: Opened, head: bytes) -> Shape:
    delimiter = "\t" if format == "tsv" else ","
    headers = {table_header(file, delimiter) for file in files.files if file.stat().st_size}
    if len(headers) > 1:
        raise InvalidInput("the tables have different columns", "read tables of one shape at a time")
    names = headers.pop()
    columns = {name: f"c{index}" for index, name in enumerate(names)}

    def origin(numbered: bool) -> str:
        return f"SELECT {_number(numbered)}* FROM {_read_table(files.files, list(columns.values()), delimiter)}"

    def mend() -> Shape:
        out = []
        for index, file in enumerate(files.files):
            out.append(files.folder / f"mended-{index:05}")
            table_mended(file, out[-1], len(names), delimiter)
        return replace(shape, raw="coalesce(text, " + shape.raw + ")", unfit="why", mend=None,
                       origin=lambda numbered: f"SELECT {_number(numbered)}* FROM "
                       + _read_table(out, [*columns.values(), "why", "text"], delimiter))

    fields, time_from = _usual(columns, lambda name: _moment(columns[name]))
    if format == "spans-csv":
        lower = {name.lower(): column for name, column in columns.items()}
        # Nezha's Duration is (End - Start) / 1000: microseconds, while times are in nanoseconds.
        fields["duration"] = _seconds(lower["duration"], "us") if "duration" in lower else \
            f"((TRY_CAST({lower['endtimeunixnano']} AS BIGINT) - " \
            f"TRY_CAST({lower['starttimeunixnano']} AS BIGINT)) / 1e9)"
    shape = Shape(format, origin, f"concat_ws({literal(delimiter)}, {', '.join(columns.values())})", "NULL", fields,
                  time_from, mend=mend)
    return shape


def _number(numbered: bool) -> str:
    return 'row_number() OVER () AS "row", ' if numbered else ""


def _read_table(files: Sequence[Path], columns: Sequence[str], delimiter: str) -> str:
    types = ", ".join(f"'{column}': 'VARCHAR'" for column in columns)
    return (f"read_csv({_file_list(files)}, columns = {{{types}}}, delim = {literal(delimiter)}, quote = '\"', "
            f"escape = '\"', header = true, nullstr = '', auto_detect = false, strict_mode = true, "
            f"max_line_size = {LONGEST_LINE}, compression = 'none')")


def _parquet(files: Opened, describe: Callable[[str], list[tuple[str, str]]]) -> Shape:
    source = f"read_parquet({_file_list(files.files)}, union_by_name = true)"
    types = dict(describe(f"SELECT * FROM {source}"))
    own: dict[str, str] = {}
    for name, type in types.items():
        own[name] = '"' + name.replace('"', '""') + '"'
        if type.startswith("STRUCT"):
            inner = dict(describe(f"SELECT unnest({own[name]}) FROM {source} LIMIT 0"))
            own |= {f"{name}.{key}": f"{own[name]}.\"" + key.replace('"', '""') + '"' for key in inner}
            types |= {f"{name}.{key}": type for key, type in inner.items()}
    fields, time_from = _usual(own, lambda name: _moment_of_type(own[name], types[name]))
    raw = "concat_ws(', ', " + ", ".join(_text(own[name]) for name in own if "." not in name) + ")"
    return Shape("parquet", lambda numbered: f"SELECT {_number(numbered)}* FROM {source}", raw, "NULL", fields,
                 time_from)
