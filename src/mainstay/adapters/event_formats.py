"""The formats of event files: how each is recognised, and the SQL that turns its rows into events.

An event has `time` (epoch seconds), and as far as the file knows them `status`, `method`, `path` (without the query
string), `duration` (seconds), `client`, `bytes`; every other field by the file's own name, nested ones with dots.
A wholly empty line is no line; every other line is an event or is rejected with a reason.
"""
# SQL is put together here from expressions of our own; words of the user get in as `literal` or `_quoted` only.

from __future__ import annotations

import json
import re
from collections.abc import Callable, Container, Iterable, Mapping, Sequence
from dataclasses import field, replace
from pathlib import Path
from typing import Any

from mainstay.adapters.event_fields import (
    PER_SECOND,
    Value,
    as_number,
    as_text,
    by_usual_names,
    duration_of_text,
    moment_of_text,
    moment_of_type,
    plain_path,
    unit_of,
)
from mainstay.adapters.event_files import (
    DELIMITER,
    LONGEST_LINE,
    Opened,
    lines_mended,
    table_header,
    table_mended,
)
from mainstay.adapters.event_recognition import ACCESS_GROUPS, ACCESS_PATTERNS, FORMATS, head_lines, recognised
from mainstay.adapters.event_records import Converted, converted
from mainstay.adapters.event_sums import misfit
from mainstay.kernel.dataclass import dataclass
from mainstay.kernel.errors import InvalidInput, NoData
from mainstay.kernel.finding import did_you_mean
from mainstay.kernel.ports import Condition, FileSet


@dataclass(frozen=True, slots=True)
class Shape:
    """How the rows of files become events, as SQL.

    Args:
        origin: the text of a SELECT; with `True` it also has whole rows and their numbers, in `"row"`, from one.
        raw: the text of a row, to show a rejected one; only where rows are numbered.
        unfit: NULL for a row that fits the format, else the reason.
        fields: name of a field to its value; always `time` in epoch seconds, NULL where it cannot be read.
        time_from: what the file calls the time.
        elsewhere: the value, where rows are whole, of a field that the first rows do not have; None when the fields
            are known for certain.
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
    fields: Mapping[str, Value]
    time_from: str = "time"
    elsewhere: Callable[[str], Value] | None = None
    mend: Callable[[], Shape] | None = None
    weight: Value | None = None
    bad_weight: Value | None = None
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
    if not head.removeprefix(b"\xef\xbb\xbf").strip():
        raise NoData("the files are empty: " + ", ".join(files.names[:5]), "name files that hold events")
    name = recognised(head, files.names[0]) if wanted.format == "auto" else wanted.format
    match name:
        case "combined" | "common":
            shape = _access_log(name, files)
        case "json" if head.lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"["):
            shape = _converted("json", files)
        case "json":
            shape = _json_lines(files, head)
        case "csv" | "tsv" | "spans-csv":
            shape = _table(name, files)
        case "parquet":
            shape = _parquet(files, wanted.zone, describe)
        case "spans-json" | "prometheus-matrix" | "nginx-plus-status":
            shape = _converted(name, files)
        case _:
            raise InvalidInput(f'"{name}" is not a format of event files{did_you_mean(name, FORMATS)}',
                               "write one of: auto, " + ", ".join(FORMATS))
    return _as_told(shape, wanted)


def literal(text: str) -> str:
    """The text as an SQL literal; DuckDB knows no escapes in it but the doubled quote."""
    return "'" + text.replace("'", "''") + "'"




def _as_told(shape: Shape, wanted: FileSet) -> Shape:
    fields = dict(shape.fields)
    time_from, weight, bad_weight = shape.time_from, shape.weight, shape.bad_weight
    origin = shape.origin
    for ours, told in wanted.fields.items():
        name, _, unit = told.rpartition(":")
        if told in shape.fields or unit not in PER_SECOND:
            name, unit = told, unit_of(told)
        value = shape.fields.get(name)
        if value is None:
            if shape.elsewhere is None:
                raise unknown_field(name, shape.fields)
            value, origin = shape.elsewhere(name), lambda _: shape.origin(True)
        if ours in ("total", "weight"):
            weight = value.then(as_text).then(as_number)
        elif ours == "bad":
            bad_weight = value.then(as_text).then(as_number)
        if ours == "time":
            time_from, value = name, value.then(as_text).then(moment_of_text)
        elif ours == "duration":
            value = duration_of_text(value, unit)
        elif ours == "path":
            value = value.then(as_text).then(plain_path)
        fields[ours] = value
    if not time_from:
        raise InvalidInput("the files have no field that is a time", "name it, such as time=created_at; the fields "
                           "are: " + ", ".join(sorted(shape.fields)))
    return replace(shape, origin=origin, fields=fields, time_from=time_from, weight=weight, bad_weight=bad_weight,
                   mend=None if shape.mend is None else lambda: _as_told(_mended(shape), wanted))


def _mended(shape: Shape) -> Shape:
    assert shape.mend is not None, "only a shape that can be mended is"
    return shape.mend()


def unknown_field(name: str, known: Mapping[str, object]) -> InvalidInput:
    """The error for a field that no row has."""
    return InvalidInput(f'the files have no field "{name}"{did_you_mean(name, known)}',
                        "the fields are: " + listed(known))


def listed(fields: Iterable[str]) -> str:
    """The names, the first twelve of many."""
    names = sorted(fields)
    return ", ".join(names[:12]) + (f" and {len(names) - 12} more" if len(names) > 12 else "")


# -- whole lines --------------------------------------------------------------------------------------------------


def _file_list(files: Sequence[Path]) -> str:
    return "[" + ", ".join(literal(str(file)) for file in files) + "]"


_RAW_LINES = (f"quote = '', escape = '', header = false, auto_detect = false, new_line = '\\n', "
              f"max_line_size = {LONGEST_LINE}, compression = 'none'")


def _row_number(numbered: bool) -> str:
    return 'row_number() OVER () AS "row", ' if numbered else ""


def _text_columns(names: Sequence[str]) -> str:
    return ", ".join(f"'{name}': 'VARCHAR'" for name in names)


def _lines(files: Sequence[Path], numbered: bool) -> str:
    read = (f"SELECT {_row_number(numbered)}line FROM read_csv({_file_list(files)}, "
            f"columns = {{{_text_columns(['line'])}}}, delim = {literal(DELIMITER)}, {_RAW_LINES})")
    return f"SELECT * FROM ({read}) WHERE line IS NOT NULL"


def _lines_mended(files: Opened) -> Opened:
    out = []
    for index, file in enumerate(files.files):
        target = files.folder / f"mended-{index:05}"
        lines_mended(file, target)
        out.append(target)
    return files.replaced(out)


_SIZE = "split_part(p3, ' ', 3)"
_PARTS = 16
"""Pieces a line of an access log is cut into at its quotes; a line with more makes the files be read otherwise."""


def _access_log(format: str, files: Opened, *, mended: bool = False) -> Shape:
    """Common and combined logs, each with an optional last number: whole = microseconds (%D), else seconds.

    Every line is cut at its quotes by DuckDB's reader of tables, its fastest part. Most lines are plain
    (`client - - [time] "…" …`, nothing escaped) and what is needed is in those pieces; the rest are put together again
    and go through the full pattern. Both give the same fields for a line (a property test holds them to it).
    """
    pieces = [f"p{index}" for index in range(1, _PARTS + 1)]
    glued = f"concat_ws('\"', {', '.join(pieces)})"

    def origin(numbered: bool) -> str:
        # The reader of tables passes over empty lines, so where lines are numbered they are read whole.
        if mended or numbered:
            cut = ", ".join(f"parts[{index}] AS {name}" for index, name in enumerate(pieces[:-1], 1))
            rest = f"nullif(array_to_string(parts[{_PARTS}:], '\"'), '') AS {pieces[-1]}"
            read = (f"SELECT *, {cut}, {rest} FROM (SELECT *, string_split(line, '\"') AS parts "
                    f"FROM ({_lines(files.files, numbered)}))")
        else:
            read = (f"SELECT * FROM read_csv({_file_list(files.files)}, "
                    f"columns = {{{_text_columns(pieces)}}}, "
                    f"delim = '\"', null_padding = true, nullstr = {literal(DELIMITER)}, {_RAW_LINES})")
            read = f"SELECT * FROM ({read}) WHERE p2 IS NOT NULL OR p1 <> ''"
        sorted_out = f"SELECT *, {_plain(format)} AS plain FROM ({read})"
        groups = "[" + ", ".join(map(literal, ACCESS_GROUPS[format])) + "]"
        found = f"regexp_extract({glued}, {literal(ACCESS_PATTERNS[format])}, {groups})"
        return f"SELECT *, CASE WHEN NOT plain THEN {found} END AS found FROM ({sorted_out})"

    unfit = f"CASE WHEN NOT plain AND found.status = '' THEN {literal(misfit(format))} END"
    return Shape(format, origin, "line", unfit, _access_fields(format),
                 mend=None if mended else lambda: _access_log(format, _lines_mended(files), mended=True))


def _plain(format: str) -> str:
    start = ("strpos(p1, ' - - [') = length(p1) - 33 AND strpos(p1, ' ') = length(p1) - 33 AND strpos(p1, ' ') > 1 "
             "AND strpos(p1, ']') = length(p1) - 1 AND suffix(p1, ' ')")
    if format == "combined":
        return (rf"coalesce(p8 IS NULL AND p5 = ' ' AND (p7 = '' OR regexp_full_match(p7, ' (?:\d+(?:\.\d+)?|-)')) "
                rf"AND {start} AND regexp_full_match(p3, ' \d\d\d (?:\d+|-) ') AND NOT contains(p2, '\') "
                rf"AND NOT contains(p4, '\') AND NOT contains(p6, '\'), FALSE)")
    return (rf"coalesce(p4 IS NULL AND {start} AND NOT contains(p2, '\') "
            rf"AND regexp_full_match(p3, ' \d\d\d (?:\d+|-)(?: (?:\d+(?:\.\d+)?|-))?'), FALSE)")


def _access_fields(format: str) -> dict[str, Value]:
    def either(fast: str, group: str) -> str:
        return f"(CASE WHEN plain THEN {fast} ELSE found.{group} END)"

    def target(request: str) -> str:
        return rf"regexp_extract({request}, '^[A-Za-z_-]+ (\S.*?)(?: HTTP/[0-9.]+)?$', 1)"

    def time(text: str) -> str:
        return f"epoch(try_strptime({text}, '%d/%b/%Y:%H:%M:%S %z'))"

    def seconds(last: str) -> str:
        return f"(CASE WHEN contains({last}, '.') THEN {as_number(last)} ELSE {as_number(last)} / 1e6 END)"

    request = Value(either("p2", "request"))
    tail = "p7" if format == "combined" else "split_part(p3, ' ', 4)"
    fields = {
        "time": Value(either("substr(p1, length(p1) - 27, 26)", "time"), time),
        "status": Value(f"TRY_CAST({either('substr(p3, 2, 3)', 'status')} AS SMALLINT)"),
        "method": request.then(lambda raw: f"nullif(regexp_extract({raw}, '^([A-Za-z_-]+) ', 1), '')"),
        "path": request.then(lambda raw: f"nullif(split_part({target(raw)}, '?', 1), '')"),
        "request": request,
        "client": Value(either("split_part(p1, ' ', 1)", "client")),
        "user": Value("(CASE WHEN NOT plain THEN nullif(found.user, '-') END)"),
        "bytes": Value(f"TRY_CAST({either(_SIZE, 'bytes')} AS BIGINT)"),
        "duration": Value(f"nullif({either(tail, 'tail')}, '')", seconds),
    }
    if format == "combined":
        fields |= {"referer": Value(f"nullif({either('p4', 'referer')}, '-')"),
                   "agent": Value(f"nullif({either('p6', 'agent')}, '-')")}
    return fields


# -- JSON lines ---------------------------------------------------------------------------------------------------


def _pointer(keys: Sequence[str]) -> str:
    return "".join("/" + key.replace("~", "~0").replace("/", "~1") for key in keys)


def _json_lines(files: Opened, head: bytes, *, mended: bool = False) -> Shape:
    """One object a line; blank lines are no lines.

    DuckDB's reader of JSON takes the members that are asked for out of each line, and stops at the first line that is
    no object. Then, and where lines are numbered, lines are read whole and taken apart one by one.
    """
    sample = _json_sample(head)
    if not sample:
        raise InvalidInput(f"none of the first lines of {files.names[0]} is a JSON object",
                           "write one object a line, or name another format")
    keys: dict[str, tuple[str, ...]] = {}
    for document in sample:
        keys |= {name: path for name, path in _flat(document).items() if name not in keys}
    holders = {name for name, path in keys.items() if any(isinstance(_at(each, path), dict) for each in sample)}
    members = {path[0]: f"j{index}" for index, path in enumerate(path for path in keys.values() if len(path) == 1)}
    own = {name: Value(members[path[0]] if len(path) == 1 and name not in holders else
                       f"json_extract_string({members[path[0]]}, {literal(_pointer(path[1:]))})")
           for name, path in keys.items()}
    whole = mended or len({key.lower() for key in members}) < len(members) or "" in members

    def moment(name: str) -> Value:
        numeric = any(isinstance(_at(document, keys[name]), int | float) for document in sample)
        return own[name].then(lambda raw: moment_of_text(raw, numbers_first=numeric))

    def origin(numbered: bool) -> str:
        if whole or numbered:
            return _json_whole(files, members, holders, numbered)
        types = ", ".join(f"{literal(key)}: '{'JSON' if key in holders else 'VARCHAR'}'" for key in members)
        renamed = ", ".join(f"{_quoted(key)} AS {name}" for key, name in members.items())
        return (f"SELECT TRUE AS fits, {renamed} FROM read_json({_file_list(files.files)}, columns = {{{types}}}, "
                f"format = 'newline_delimited', records = 'true', maximum_object_size = {LONGEST_LINE}, "
                f"compression = 'uncompressed')")

    # `url` may be a text or hold `url.path`: what only ever holds others is not what a usual name means.
    texts = {name: value for name, value in own.items() if name not in holders
             or any(isinstance(_at(each, keys[name]), str | int | float) for each in sample)}
    fields, time_from = by_usual_names(texts, moment)
    return Shape("json", origin, "line", "CASE WHEN NOT fits THEN 'not a JSON object' END", {**own, **fields},
                 time_from, elsewhere=lambda name: Value(
                     f"(CASE WHEN fits THEN json_extract_string(line, {literal(_pointer(name.split('.')))}) END)"),
                 mend=None if mended else lambda: _json_lines(_lines_mended(files), head, mended=True))


def _json_whole(files: Opened, members: Mapping[str, str], holders: Container[str], numbered: bool) -> str:
    taken = ", ".join(f"CASE WHEN fits THEN json_extract{'' if key in holders else '_string'}"
                      f"(line, {literal(_pointer([key]))}) END AS {name}" for key, name in members.items())
    lines = (f"SELECT *, starts_with(ltrim(line), '{{') AND json_valid(line) AS fits "
             f"FROM ({_lines(files.files, numbered)}) WHERE trim(line) <> ''")
    return f"SELECT *, {taken} FROM ({lines})"


def _flat(document: Mapping[str, Any], prefix: tuple[str, ...] = ()) -> dict[str, tuple[str, ...]]:
    out: dict[str, tuple[str, ...]] = {}
    for key, value in document.items():
        keys = (*prefix, key)
        out.setdefault(".".join(keys), keys)
        if isinstance(value, dict):
            out |= {name: path for name, path in _flat(value, keys).items() if name not in out}
    return out


def _at(document: Any, keys: Sequence[str]) -> Any:
    for key in keys:
        document = document.get(key) if isinstance(document, dict) else None
    return document


def _json_sample(head: bytes) -> list[dict[str, Any]]:
    out = []
    for line in head_lines(head)[:200]:
        try:
            document = json.loads(line)
        except (ValueError, RecursionError):
            # The line will be rejected and shown when it is read.
            continue
        if isinstance(document, dict):
            out.append(document)
    return out


_BAD = {"spans-json": (Condition("status", "==", ("ERROR",)),),
        "prometheus-matrix": (Condition("value", "==", (0.0,)),)}


def _converted(format: str, files: Opened) -> Shape:
    out = converted(format, files)
    if not out.lines:
        raise NoData("the files hold no records: " + ", ".join(files.names[:5]), "name files that hold events")
    with out.file.open("rb") as stream:
        head = stream.read(1 << 18)
    matrix = format == "prometheus-matrix"
    shape = _json_lines(files.replaced([out.file]), head)
    weight = shape.fields["weight"].then(as_number) if format == "nginx-plus-status" else None
    return replace(shape, format=format, mend=None, counted=out, weight=weight, bad=_BAD.get(format, ()),
                   unique_by=("series", "time") if matrix else (), sampled=matrix)


# -- tables -------------------------------------------------------------------------------------------------------


def _table(format: str, files: Opened) -> Shape:
    delimiter = "\t" if format == "tsv" else ","
    headers = {table_header(file, delimiter) for file in files.files if file.stat().st_size}
    if len(headers) > 1:
        raise InvalidInput("the tables have different columns", "read tables of one shape at a time")
    names = headers.pop()
    cells = [f"c{index}" for index in range(len(names))]
    own = {name: Value(cell) for name, cell in zip(names, cells, strict=True)}

    def origin(numbered: bool) -> str:
        return f"SELECT {_row_number(numbered)}* FROM {_read_table(files.files, cells, delimiter)}"

    def mend() -> Shape:
        out = []
        for index, file in enumerate(files.files):
            out.append(files.folder / f"mended-{index:05}")
            table_mended(file, out[-1], len(names), delimiter)
        return replace(shape, raw="coalesce(text, " + shape.raw + ")", unfit="reason", mend=None,
                       origin=lambda numbered: f"SELECT {_row_number(numbered)}* FROM "
                       + _read_table(out, [*cells, "reason", "text"], delimiter))

    fields, time_from = by_usual_names(own, lambda name: own[name].then(moment_of_text))
    if format == "spans-csv":
        lower = {name.lower(): cell for name, cell in zip(names, cells, strict=True)}
        # Nezha's Duration is (End - Start) / 1000: microseconds, while times are in nanoseconds.
        if "duration" in lower:
            fields["duration"] = duration_of_text(Value(lower["duration"]), "us")
        elif "endtimeunixnano" in lower:
            fields["duration"] = Value(f"((TRY_CAST({lower['endtimeunixnano']} AS BIGINT) - "
                                       f"TRY_CAST({lower['starttimeunixnano']} AS BIGINT)) / 1e9)")
    shape = Shape(format, origin, f"concat_ws({literal(delimiter)}, {', '.join(cells)})", "NULL", fields,
                  time_from, mend=mend)
    return shape


def _read_table(files: Sequence[Path], columns: Sequence[str], delimiter: str) -> str:
    return (f"read_csv({_file_list(files)}, columns = {{{_text_columns(columns)}}}, delim = {literal(delimiter)}, "
            f"quote = '\"', escape = '\"', header = true, nullstr = '', auto_detect = false, strict_mode = true, "
            f"max_line_size = {LONGEST_LINE}, compression = 'none')")


_NUMERIC = re.compile(r"U?(TINY|SMALL|BIG|HUGE)?INT|FLOAT|DOUBLE|DECIMAL|INTEGER|UINTEGER")


def _parquet(files: Opened, zone: str, describe: Callable[[str], list[tuple[str, str]]]) -> Shape:
    source = f"read_parquet({_file_list(files.files)}, union_by_name = true)"
    own: dict[str, Value] = {}
    types: dict[str, str] = {}
    columns = describe(f"SELECT * FROM {source}")
    for index, (name, kind) in enumerate(columns):
        own[name], types[name] = Value(f"c{index}"), kind
        if kind.startswith("STRUCT("):
            for key, inner in describe(f"SELECT unnest({_quoted(name)}) FROM {source} LIMIT 0"):
                own[f"{name}.{key}"], types[f"{name}.{key}"] = Value(f"c{index}.{_quoted(key)}"), inner
    named = ", ".join(f"{_quoted(name)} AS c{index}" for index, (name, _) in enumerate(columns))
    numbers = {name for name, kind in types.items() if _NUMERIC.match(kind)}
    fields, time_from = by_usual_names(
        own, lambda name: own[name].then(lambda raw: moment_of_type(raw, types[name], zone)), numbers)
    raw = "concat_ws(', ', " + ", ".join(as_text(f"c{index}") for index in range(len(columns))) + ")"
    return Shape("parquet", lambda numbered: f"SELECT {_row_number(numbered)}{named} FROM {source}", raw, "NULL",
                 fields, time_from)


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
