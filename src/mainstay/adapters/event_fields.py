"""Fields of events as SQL: what a time, a duration and a path are made of, and by which names files call them."""

from __future__ import annotations

import re
from collections.abc import Callable, Container, Mapping

from mainstay.kernel.dataclass import dataclass


def _same(text: str) -> str:
    return text


@dataclass(frozen=True, slots=True)
class Value:
    """The value of a field as SQL: what is in the row, and what is made of it.

    The two are kept apart so that what is costly to find (a part of a JSON text) is named once and used often.
    """

    raw: str
    made: Callable[[str], str] = _same

    @property
    def inline(self) -> str:
        """Both in one expression."""
        return self.made(self.raw)

    def then(self, made: Callable[[str], str]) -> Value:
        """What `made` makes of this value."""
        return Value(self.raw, lambda raw: made(self.made(raw)))


_ISO_MENDED = r"regexp_replace(replace({0}, ',', '.'), '[ ]+([+-]\d\d:?\d\d)( [A-Z]+)?( m=.*)?$', '\1')"


def moment_of_text(text: str, *, numbers_first: bool = False) -> str:
    """Epoch seconds of a text: a number (seconds, ms, µs or ns by its size), ISO 8601, or as logs write it.

    No text is both a number and a time in ISO 8601, so which is tried first is a matter of speed only.
    """
    usual = [_epoch_of_plain(text), f"epoch(TRY_CAST({text} AS TIMESTAMPTZ))", _epoch(as_number(text))]
    if numbers_first:
        usual.insert(0, usual.pop())
    return (f"coalesce({', '.join(usual)}, epoch(TRY_CAST({_ISO_MENDED.format(text)} AS TIMESTAMPTZ)), "
            f"epoch(try_strptime({text}, '%d/%b/%Y:%H:%M:%S %z')), "
            f"epoch(try_strptime({text}, '%a, %d %b %Y %H:%M:%S %z')))")


def _epoch_of_plain(text: str) -> str:
    """Of a text without a zone where the session's is UTC: asking a calendar for the zone takes three times as long.

    The form is held to exactly, because the cast to TIMESTAMP passes over a zone that it finds.
    """
    plain = " OR ".join(f"{text} LIKE '____-__-__{between}__:__:__'" for between in " T")
    return (f"epoch(CASE WHEN current_setting('TimeZone') = 'UTC' AND length({text}) = 19 AND ({plain}) "
            f"THEN TRY_CAST({text} AS TIMESTAMP) END)")


def _epoch(number: str) -> str:
    # 1e11 s is the year 5138 and 1e11 ms is 1973: the units do not overlap for any plausible time.
    return (f"(CASE WHEN {number} < 1e11 THEN {number} WHEN {number} < 1e14 THEN {number} / 1e3 "
            f"WHEN {number} < 1e17 THEN {number} / 1e6 ELSE {number} / 1e9 END)")


def moment_of_type(value: str, type: str, zone: str) -> str:
    """Epoch seconds of a value of that DuckDB type; times without a zone are in the given one."""
    if type.startswith(("TIMESTAMP", "DATE")):
        # The cast asks for the session's zone at every row, which UTC and times that have a zone can do without.
        without = zone == "UTC" or type == "TIMESTAMP WITH TIME ZONE"
        return f"epoch({value})" if without else f"epoch(CAST({value} AS TIMESTAMPTZ))"
    if type == "VARCHAR":
        return moment_of_text(value)
    return _epoch(as_number(value))


PER_SECOND = {"s": 1.0, "sec": 1.0, "seconds": 1.0, "ms": 1e3, "msec": 1e3, "millis": 1e3, "milliseconds": 1e3,
               "us": 1e6, "usec": 1e6, "micros": 1e6, "microseconds": 1e6, "ns": 1e9, "nanos": 1e9,
               "nanoseconds": 1e9}
_DURATION_NAME = re.compile(
    r"(?:.*\.)?(?:duration|latency|elapsed|took|request_?time|response_?time|time_taken|upstream_response_time)"
    r"(?:_time)?[_.]?(" + "|".join(sorted(PER_SECOND, key=len, reverse=True)) + r")?", re.IGNORECASE)


_UNIT_AT_END = re.compile(r".*[_.](" + "|".join(PER_SECOND) + r")", re.IGNORECASE)


def unit_of(name: str) -> str:
    """The unit that a duration's name ends in, as `latency_ms` does; seconds when it names none."""
    found = _UNIT_AT_END.fullmatch(name) or _DURATION_NAME.fullmatch(name)
    if found is not None and found[1]:
        return found[1].lower()
    # Elasticsearch's `took` is in milliseconds.
    return "ms" if name.lower() == "took" else "s"


def _seconds(text: str, unit: str) -> str:
    """A duration in seconds: a number in its unit, or a number with the unit behind it (`12ms`, `1.5 s`)."""
    # No part of this is written twice: DuckDB would compute it for every row, needed or not.
    spelled = ", ".join(f"TRY_CAST(regexp_extract({text}, '^([0-9.]+) ?{sign}$', 1) AS DOUBLE) / {per!r}"
                        for sign, per in (("s", 1.0), ("ms", 1e3), ("us", 1e6), ("µs", 1e6), ("ns", 1e9)))
    value = f"coalesce({as_number(text)} / {PER_SECOND[unit]!r}, {spelled})"
    return f"(CASE WHEN isfinite({value}) THEN {value} END)"


def plain_path(text: str) -> str:
    """A path without scheme, host and query string; NULL when nothing is left."""
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


def by_usual_names(own: Mapping[str, Value], moment: Callable[[str], Value],
                   numbers: Container[str] = ()) -> tuple[dict[str, Value], str]:
    """Our fields from the file's own by their usual names, and what the time is called there."""
    lower = {name.lower(): name for name in reversed(list(own))}
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
            value = value.then(as_text).then(plain_path)
        fields[ours] = value
    named = [(name, found[1]) for name in own if (found := _DURATION_NAME.fullmatch(name))]
    for name, unit in sorted(named, key=lambda item: item[0].count(".")):
        spelled = (unit or unit_of(name)).lower()
        fields["duration"] = (own[name].then(seconds_of_number(spelled)) if name in numbers
                              else duration_of_text(own[name], spelled))
        break
    return fields, time_from


def as_text(value: str) -> str:
    """The value as text."""
    return f"CAST({value} AS VARCHAR)"


def as_number(value: str) -> str:
    """The value as a number, NULL when it is none."""
    return f"TRY_CAST({value} AS DOUBLE)"


def seconds_of_number(unit: str) -> Callable[[str], str]:
    """What makes seconds of a number in the unit."""
    def made(value: str) -> str:
        number = as_number(value)
        return f"(CASE WHEN isfinite({number}) THEN {number} / {PER_SECOND[unit]!r} END)"

    return made


def duration_of_text(value: Value, unit: str) -> Value:
    """The value as seconds: a number in the unit, or one with its own unit behind it."""
    return value.then(lambda raw: _seconds(as_text(raw), unit))
