"""Charts, sparklines and bars as SVG: no script, no style attribute, colours from the style sheet's variables.

A chart is as wide as the page lets it be. Lines live in an inner SVG that is stretched sideways (strokes are not);
texts live in the outer one at percentages of its width, so they keep their size on a phone.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta

import msgspec
from markupsafe import Markup, escape

from mainstay.doors.web.links import address
from mainstay.kernel.dataclass import dataclass
from mainstay.kernel.view import Chart, Line

WIDE = 1000
"""Units across the inner drawing; it is stretched to the page's width."""

TOP, PLOT, BOTTOM = 22, 168, 24
HEIGHT = TOP + PLOT + BOTTOM
MAX_COLUMNS = 500
"""A chart holds at most this many columns, each with its lowest and highest value; more cannot be told apart."""

MAX_ROWS = 100
_STEPS = tuple(timedelta(minutes=m) for m in (1, 5, 15, 30, 60, 180, 360, 720, 1440, 2880, 7 * 1440, 14 * 1440,
                                              30 * 1440, 91 * 1440, 365 * 1440))


@dataclass(frozen=True, slots=True)
class _Scale:
    """From values and instants to places in the drawing."""

    low: float
    high: float
    step: float
    start: float
    end: float

    def y(self, value: float) -> float:
        return round(TOP + PLOT * (1 - (value - self.low) / (self.high - self.low)), 1)

    def x(self, at: datetime) -> float:
        """0..1 across the plot."""
        return (at.timestamp() - self.start) / (self.end - self.start)


def draw_chart(chart: Chart) -> Markup:
    """The chart as one `<svg>` with a text alternative. Charts without any value are not drawn: an empty Markup."""
    values = [value for line in chart.lines for value in line.values if value is not None]
    if not values or len(chart.times) < 2:
        return Markup("")
    scale = _scale(chart, values)
    number = zlib.crc32(f"{chart.title}{describe(chart)}".encode())  # the same chart keeps its ids when drawn again
    inner = "".join((*_bands(chart, scale), *_gaps(chart, scale), *_lines(chart, scale)))
    parts = (
        f'<svg class="chart" width="100%" height="{HEIGHT}" role="img" aria-labelledby="ct{number} cd{number}">',
        f'<title id="ct{number}">{escape(chart.title)}</title>',
        f'<desc id="cd{number}">{escape(describe(chart))}</desc>',
        *_grid(scale), *_time_axis(scale),
        f'<svg x="0" y="0" width="100%" height="{HEIGHT}" viewBox="0 0 {WIDE} {HEIGHT}" preserveAspectRatio="none">',
        inner, "</svg>",
        *_value_axis(chart, scale), *_bounds(chart, scale), *_marks(chart, scale),
        f'<line class="cursor" x1="0" x2="0" y1="{TOP}" y2="{TOP + PLOT}" visibility="hidden"/>',
        "</svg>",
    )
    return Markup("".join(parts))  # noqa: S704  (every text in it went through escape)


def describe(chart: Chart) -> str:
    """The chart in words, for those who do not see it."""
    told = []
    for line in chart.lines:
        known = [value for value in line.values if value is not None]
        if not known:
            told.append(f"{line.name}: no data.")
            continue
        missing = len(line.values) - len(known)
        told.append(f"{line.name}: from {number_text(known[0], chart.unit)} to {number_text(known[-1], chart.unit)}, "
                    f"lowest {number_text(min(known), chart.unit)}, highest {number_text(max(known), chart.unit)}"
                    + (f", {missing} of {len(line.values)} values missing." if missing else "."))
    told += [f"{name} at {number_text(value, chart.unit)}." for value, name in chart.bounds]
    if chart.marks:
        told.append(f"{len(chart.marks)} marks, listed below the chart.")
    if chart.times:
        told.append(f"{chart.times[0]:%d %b %Y %H:%M} to {chart.times[-1]:%d %b %Y %H:%M} UTC.")
    return " ".join(told)


def number_text(value: float, unit: str) -> str:
    """A value with its unit as people read it: `99.97 %`, `14.2×`, `0.3 s`."""
    text = f"{value:,.6g}" if abs(value) < 1e6 else f"{value:,.0f}"
    return text.replace("-", "−", 1 if value < 0 else 0) + (unit if unit == "×" else f" {unit}" if unit else "")


def rows_behind(chart: Chart) -> tuple[list[tuple[datetime, list[str]]], int]:
    """The newest rows, newest first (instant, one text per line; `no data` for a gap), and how many are left out."""
    first = max(0, len(chart.times) - MAX_ROWS)
    rows = [(chart.times[i], ["no data" if line.values[i] is None else number_text(line.values[i] or 0.0, chart.unit)
                              for line in chart.lines]) for i in range(first, len(chart.times))]
    return rows[::-1], first


def readings(chart: Chart) -> str:
    """What the pointer may read from the chart, as JSON: instants in epoch seconds, names, unit, values."""
    picked = [indices[len(indices) // 2] for indices in _columns(len(chart.times))]
    return msgspec.json.encode({
        "t": [int(chart.times[i].timestamp()) for i in picked], "unit": chart.unit,
        "lines": [{"name": line.name, "v": [_short(line.values[i]) for i in picked]} for line in chart.lines],
    }).decode()


def draw_spark(values: Sequence[float | None], label: str = "", shares: bool = False) -> Markup:
    """A small line without axes; gaps are gaps. Hidden from screen readers unless it has a label.

    Args:
        shares: drawn between 0 and 1 (further when a value is) with a line at 0, so that several sparklines can be
            compared; else between the lowest and the highest value.
    """
    known = [value for value in values if value is not None]
    if len(known) < 2:
        return Markup("")
    low, high = (min(0.0, *known), max(1.0, *known)) if shares else (min(known), max(known))
    spread = (high - low) or 1.0
    places = [None if value is None else (index / (len(values) - 1) * 96, round(22 - (value - low) / spread * 20, 1))
              for index, value in enumerate(values)]
    alternative = Markup('role="img" aria-label="{}"').format(label) if label else Markup('aria-hidden="true"')
    zero = Markup('<line x1="0" x2="96" y1="{0}" y2="{0}"/>').format(round(22 + low / spread * 20, 1)) if shares else ""
    return Markup('<svg class="spark" width="96" height="24" viewBox="0 0 96 24" preserveAspectRatio="none" {}>{}'
                  '<path d="{}"/></svg>').format(alternative, zero, _path(places))


def draw_bar(share: float | None, state: str = "") -> Markup:
    """A share 0..1 as a bar, clamped; nothing for None. The number stands beside it, so it is hidden from readers."""
    if share is None:
        return Markup("")
    classes = f"{state.replace('_', '-')} overdrawn" if share < 0 else state.replace("_", "-")
    return Markup('<svg class="bar {}" width="100%" height="8" aria-hidden="true"><rect class="whole" width="100%" '
                  'height="8" rx="2"/><rect class="part" width="{}%" height="8" rx="2"/></svg>'
                  ).format(classes, f"{max(0.0, min(1.0, share)) * 100:.1f}")


# -- parts ---------------------------------------------------------------------------------------------------------


def _scale(chart: Chart, values: Sequence[float]) -> _Scale:
    levels = [*values, *(value for value, _ in chart.bounds)]
    low, high = min(levels), max(levels)
    if 0 < low < 0.6 * high:
        low = 0.0
    if low == high:
        low, high = (0.0, high) if high > 0 else (low - 1, high + 1)
    step = _nice((high - low) / 4)
    return _Scale(math.floor(low / step + 1e-9) * step, math.ceil(high / step - 1e-9) * step, step,
                  chart.times[0].timestamp(), chart.times[-1].timestamp())


def _nice(rough: float) -> float:
    """The next of 1, 2, 2.5, 5 times a power of ten."""
    power = 10.0 ** math.floor(math.log10(rough))
    return next(factor * power for factor in (1, 2, 2.5, 5, 10) if factor * power >= rough * (1 - 1e-9))


def _levels(scale: _Scale) -> list[float]:
    return [scale.low + index * scale.step for index in range(round((scale.high - scale.low) / scale.step) + 1)]


def _grid(scale: _Scale) -> Iterator[str]:
    for value in _levels(scale):
        y = scale.y(value)
        yield f'<line class="grid" x1="0" x2="100%" y1="{y}" y2="{y}"/>'


def _value_axis(chart: Chart, scale: _Scale) -> Iterator[str]:
    decimals = max(0, -math.floor(math.log10(scale.step)) + (1 if f"{scale.step:e}".startswith("2.5") else 0))
    unit = chart.unit if chart.unit == "×" else f" {chart.unit}"
    for value in _levels(scale):
        text = f"{value:,.{decimals}f}{unit}".rstrip().replace("-", "−")
        yield f'<text class="tick" x="0" y="{scale.y(value) - 4}">{escape(text)}</text>'


def _time_axis(scale: _Scale) -> Iterator[str]:
    length = scale.end - scale.start
    # From two days on a clock time would not say which day it belongs to.
    fitting = (s.total_seconds() for s in _STEPS
               if length / s.total_seconds() <= 7 and (length < 2 * 86400 or s.days >= 1))
    step = next(fitting, _STEPS[-1].total_seconds())
    y, index = HEIGHT - 6, 0
    at = math.ceil(scale.start / step) * step
    while at <= scale.end:
        moment, x = datetime.fromtimestamp(at, UTC), (at - scale.start) / length * 100
        anchor = "start" if x < 4 else "end" if x > 96 else "middle"
        text, form = (f"{moment:%H:%M}", "clock") if step < 86400 else (f"{moment.day} {moment:%b}", "day")
        yield (f'<text class="tick{" minor" if index % 2 else ""}" x="{x:.2f}%" y="{y}" text-anchor="{anchor}" '
               f'data-at="{moment:%Y-%m-%dT%H:%M:%SZ}" data-form="{form}">{text}</text>')
        at, index = at + step, index + 1


def _bands(chart: Chart, scale: _Scale) -> Iterator[str]:
    for mark in chart.marks:
        if mark.until is not None:
            left, right = (max(0.0, min(1.0, scale.x(at))) * WIDE for at in (mark.at, mark.until))
            yield (f'<rect class="band {mark.tone}" x="{left:.1f}" y="{TOP}" width="{max(1.0, right - left):.1f}" '
                   f'height="{PLOT}"/>')


def _gaps(chart: Chart, scale: _Scale) -> Iterator[str]:
    """Where every line is silent, the ground says so."""
    silent = [all(line.values[i] is None for line in chart.lines) for i in range(len(chart.times))]
    begin: int | None = None
    for i, quiet in enumerate([*silent, False]):
        if quiet and begin is None:
            begin = i
        elif not quiet and begin is not None:
            left = scale.x(chart.times[max(0, begin - 1)]) * WIDE
            right = scale.x(chart.times[min(i, len(silent) - 1)]) * WIDE
            yield f'<rect class="gap" x="{left:.1f}" y="{TOP}" width="{right - left:.1f}" height="{PLOT}"/>'
            begin = None


def _columns(length: int) -> list[range]:
    """Indices in at most MAX_COLUMNS runs of nearly equal length."""
    parts = min(length, MAX_COLUMNS)
    return [range(i * length // parts, (i + 1) * length // parts) for i in range(parts)]


def _lines(chart: Chart, scale: _Scale) -> Iterator[str]:
    for index, line in enumerate(chart.lines):
        places: list[tuple[float, float] | None] = []
        for column in _columns(len(chart.times)):
            known = [i for i in column if line.values[i] is not None]
            if not known:
                places.append(None)
            ends = {min(known, key=lambda i: line.values[i] or 0.0), max(known, key=lambda i: line.values[i] or 0.0)} \
                if known else set()
            places += [(scale.x(chart.times[i]) * WIDE, scale.y(line.values[i] or 0.0)) for i in sorted(ends)]
        if len(chart.lines) == 1:
            yield f'<path class="area {line.tone}" d="{_area(places, scale.y(max(scale.low, min(0.0, scale.high))))}"/>'
        yield f'<path class="line {style_of(index, line)}" d="{_path(places)}"/>'


def style_of(index: int, line: Line) -> str:
    """The classes that tell lines apart: a colour by tone and a dash by position."""
    return f"{line.tone} dash{index % 4}"


def _path(places: Sequence[tuple[float, float] | None]) -> str:
    out, lifted = [], True
    for i, place in enumerate(places):
        if place is None:
            lifted = True
            continue
        out.append(f"{'M' if lifted else 'L'}{place[0]:.1f} {place[1]}")
        # A value between two gaps is a dot: a stroke of no length with round ends.
        if lifted and (i + 1 == len(places) or places[i + 1] is None):
            out.append("h0")
        lifted = False
    return "".join(out)


def _area(places: Sequence[tuple[float, float] | None], floor: float) -> str:
    out: list[str] = []
    run: list[tuple[float, float]] = []
    for place in [*places, None]:
        if place is not None:
            run.append(place)
        elif run:
            edge = "".join(f"L{x:.1f} {y}" for x, y in run)
            out.append(f"M{run[0][0]:.1f} {floor}{edge}L{run[-1][0]:.1f} {floor}Z")
            run = []
    return "".join(out)


def _bounds(chart: Chart, scale: _Scale) -> Iterator[str]:
    taken: list[float] = []
    for value, name in sorted(chart.bounds, key=lambda bound: -bound[0]):
        y = scale.y(value)
        label = y - 5
        while any(abs(label - other) < 14 for other in taken):
            label += 14
        taken.append(label)
        yield (f'<line class="bound" x1="0" x2="100%" y1="{y}" y2="{y}"/>'
               f'<text class="bound" x="100%" y="{label}" text-anchor="end">{escape(name)}</text>')


_APART = 3.0
"""Percent of the width between two marks below which their numbers would cover each other: `4–6` stands for all."""


def _marks(chart: Chart, scale: _Scale) -> Iterator[str]:
    places = [max(0.0, min(1.0, scale.x(mark.at))) * 100 for mark in chart.marks]
    first = 0
    while first < len(places):
        last = first
        while last + 1 < len(places) and places[last + 1] - places[first] < _APART:
            last += 1
        for number in range(first, last + 1):
            mark, x = chart.marks[number], places[number]
            text = ""
            if number == first:
                told = f"{first + 1}" if first == last else f"{first + 1}–{last + 1}"
                text = f'<text x="{x:.2f}%" y="{TOP - 8}" text-anchor="{_anchor(x)}">{told}</text>'
            if text and mark.link:
                # Not in the keyboard's way: the list below the chart has the same link with its words.
                text = f'<a href="{escape(address(mark.link))}" tabindex="-1">{text}</a>'
            yield (f'<g class="mark {mark.tone}"><line x1="{x:.2f}%" x2="{x:.2f}%" y1="{TOP - 4}" y2="{TOP + PLOT}"/>'
                   f'{text}</g>')
        first = last + 1


def _anchor(x: float) -> str:
    return "start" if x < 1 else "end" if x > 99 else "middle"


def _short(value: float | None) -> float | None:
    return None if value is None else float(f"{value:.6g}")
