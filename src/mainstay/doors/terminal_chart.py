"""A chart in characters: braille dots where the terminal has them, stars where it has not.

Every value lies in one column by its time; a column draws the whole range of its values, so that a spike of one slot
among thousands is still seen. A stretch without values stays empty.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta, tzinfo

from mainstay.kernel.dataclass import dataclass
from mainstay.kernel.view import Chart, Line, Mark, Tone

Runs = list[tuple[str, Tone]]
"""One line of the drawing as pieces, each with its tone."""

_ROWS = 10
# Braille cells are two dots wide and four high; bit of the dot at (x, y) in the code point from U+2800.
_DOTS = ((0x01, 0x02, 0x04, 0x40), (0x08, 0x10, 0x20, 0x80))
# Green, yellow and red mean states, so several lines differ by weight, and each has its letter at its end.
_WEIGHTS: tuple[Tone, ...] = ("strong", "plain", "quiet")


@dataclass(frozen=True, slots=True)
class Frame:
    """Where the chart is drawn: `width` columns in all; `zone` None is this machine's."""

    width: int
    ascii: bool = False
    zone: tzinfo | None = None


@dataclass(frozen=True, slots=True)
class _Canvas:
    """How values and times map onto the dots of the plot."""

    columns: int
    low: float
    high: float
    start: float
    end: float
    dots_x: int
    dots_y: int

    def x(self, at: datetime) -> int:
        """The dot column of a moment."""
        share = (at.timestamp() - self.start) / max(self.end - self.start, 1e-9)
        return min(max(int(share * self.columns * self.dots_x), 0), self.columns * self.dots_x - 1)

    def y(self, value: float) -> int:
        """The dot row of a value, 0 at the top."""
        share = (self.high - value) / (self.high - self.low)
        return min(max(round(share * (_ROWS * self.dots_y - 1)), 0), _ROWS * self.dots_y - 1)


def draw(chart: Chart, frame: Frame) -> list[Runs]:
    """The chart's lines below its title: the plot with its axis, the times, the marks, the names of several lines."""
    low, high = _range(chart)
    ticks = {0: high, _ROWS // 2: (low + high) / 2, _ROWS - 1: low}
    labels = {row: _number(value, high - low, chart.unit) for row, value in ticks.items()}
    bounds = [(value, f"{name} {value:g} {chart.unit}".strip()) for value, name in chart.bounds]
    letters = len(chart.lines) > 1
    left = max(len(label) for label in labels.values())
    right = max((len(text) + 1 for _, text in bounds), default=0) + (2 * len(chart.lines) if letters else 0)
    columns = max(frame.width - left - 2 - right, 16)
    dots = (1, 1) if frame.ascii else (2, 4)
    canvas = _Canvas(columns, low, high, chart.times[0].timestamp(), chart.times[-1].timestamp(), *dots)
    grid = _plotted(chart, canvas, frame)
    beside: dict[int, list[str]] = {}
    for index, line in enumerate(chart.lines if letters else ()):
        last = _last(line)
        if last is not None:
            beside.setdefault(canvas.y(last) // canvas.dots_y, []).append(_letter(index))
    bound_rows = {canvas.y(value) // canvas.dots_y for value, _ in bounds}
    for value, text in bounds:
        beside.setdefault(canvas.y(value) // canvas.dots_y, []).append(text)
    out: list[Runs] = []
    for row in range(_ROWS):
        runs: Runs = [(f"{labels.get(row, ''):>{left}} ┤" if row in labels else " " * left + " │", "quiet")]
        runs += _with_bound(grid[row], row in bound_rows)
        runs += [(f" {text}", "quiet") for text in beside.get(row, ())]
        out.append(_joined(runs))
    out.append([(" " * left + " └" + _mark_row(chart.marks, canvas), "quiet")])
    out.append([(" " * (left + 2) + _times(chart, columns, frame.zone), "quiet")])
    out += _legend(chart, left + 2, frame.zone)
    return out


def _letter(index: int) -> str:
    return chr(ord("a") + index)


def _last(line: Line) -> float | None:
    return next((value for value in reversed(line.values) if value is not None), None)


def _tone(chart: Chart, index: int) -> Tone:
    tone = chart.lines[index].tone
    return tone if tone != "plain" or len(chart.lines) == 1 else _WEIGHTS[index % len(_WEIGHTS)]


def _range(chart: Chart) -> tuple[float, float]:
    values = [value for line in chart.lines for value in line.values if value is not None]
    values += [value for value, _ in chart.bounds]
    low, high = min(values), max(values)
    if low == high:
        room = abs(high) * 0.1 or 1.0
        return low - room, high + room
    return low, high


def _number(value: float, spread: float, unit: str) -> str:
    """The value with as many digits as tell the ticks apart."""
    digits = next((d for d in range(7) if spread >= 10.0 ** (1 - d)), 7)
    text = f"{value:,.{digits}f}"
    if float(text.replace(",", "")) == 0:
        text = text.lstrip("-")
    return f"{text} {unit}".strip()


def _plotted(chart: Chart, canvas: _Canvas, frame: Frame) -> list[list[tuple[str, Tone]]]:
    grid: list[list[tuple[str, Tone]]] = [[(" ", "plain")] * canvas.columns for _ in range(_ROWS)]
    for index, line in enumerate(chart.lines):
        lit: dict[tuple[int, int], int] = {}
        for x, top, bottom in _columns(chart.times, line, canvas):
            for y in range(top, bottom + 1):
                cell = (y // canvas.dots_y, x // canvas.dots_x)
                lit[cell] = lit.get(cell, 0) | _DOTS[x % canvas.dots_x][y % canvas.dots_y]
        for (row, column), bits in lit.items():
            star = "*" if len(chart.lines) == 1 else _letter(index)
            grid[row][column] = (star if frame.ascii else chr(0x2800 | bits), _tone(chart, index))
    return grid


def _columns(times: Sequence[datetime], line: Line, canvas: _Canvas) -> Iterable[tuple[int, int, int]]:
    """(dot column, top dot, bottom dot) for every column the line touches, joined where no gap lies between."""
    before: tuple[int, int] | None = None
    for at, value in zip(times, line.values, strict=True):
        if value is None:
            before = None
            continue
        x, y = canvas.x(at), canvas.y(value)
        if before is None:
            yield x, y, y
        else:
            steps = max(x - before[0], 1)
            previous = before[1]
            for step in range(1, steps + 1):
                here = round(before[1] + (y - before[1]) * step / steps)
                yield min(before[0] + step, x), min(previous, here), max(previous, here)
                previous = here
        before = (x, y)


def _with_bound(cells: Sequence[tuple[str, Tone]], bound: bool) -> Runs:
    return [("╌", "quiet") if bound and text == " " else (text, tone) for text, tone in cells]


def _joined(runs: Runs) -> Runs:
    """Neighbours of one tone as one piece, so that colours are written once."""
    out: Runs = []
    for text, tone in runs:
        if out and out[-1][1] == tone:
            out[-1] = (out[-1][0] + text, tone)
        else:
            out.append((text, tone))
    return out


def _mark_row(marks: Sequence[Mark], canvas: _Canvas) -> str:
    row = ["─"] * canvas.columns
    for number, mark in enumerate(marks, 1):
        if canvas.start <= mark.at.timestamp() <= canvas.end:
            column = canvas.x(mark.at) // canvas.dots_x
            for offset, digit in enumerate(f"▲{number}"):
                if column + offset < canvas.columns:
                    row[column + offset] = digit
    return "".join(row)


_SHORT = timedelta(minutes=10)
"""Below this minutes alone tell no two moments apart."""


def _shape(chart: Chart) -> str:
    return "%-d %b %H:%M:%S" if chart.times and chart.times[-1] - chart.times[0] < _SHORT else "%-d %b %H:%M"


def _times(chart: Chart, columns: int, zone: tzinfo | None) -> str:
    start, end = (moment.astimezone(zone) for moment in (chart.times[0], chart.times[-1]))
    shape = _shape(chart)
    first = start.strftime(shape)
    last = f"{end.strftime(shape)} {end.tzname() or end.strftime('%z')}"
    middle = (start + (end - start) / 2).strftime(shape)
    if columns < len(first) + len(last) + 2:
        return last.rjust(columns)
    line = list(first.ljust(columns - len(last)) + last)
    place = columns // 2 - len(middle) // 2
    if place > len(first) + 2 and place + len(middle) < columns - len(last) - 2:
        line[place:place + len(middle)] = middle
    return "".join(line)


def _legend(chart: Chart, indent: int, zone: tzinfo | None) -> list[Runs]:
    out: list[Runs] = []
    if len(chart.lines) > 1:
        runs: Runs = [(" " * indent, "plain")]
        for index, line in enumerate(chart.lines):
            last = _last(line)
            said = "no data" if last is None else _number(last, abs(last) or 1.0, chart.unit)
            runs += [(f"{_letter(index)} {line.name} {said}", _tone(chart, index)), ("   ", "plain")]
        out.append(runs)
    shape = _shape(chart)
    for number, mark in enumerate(chart.marks, 1):
        at = mark.at.astimezone(zone).strftime(shape)
        until = f" – {mark.until.astimezone(zone).strftime(shape)}" if mark.until else ""
        out.append([(f"{' ' * indent}▲{number} {at}{until}  ", "quiet"), (mark.text, mark.tone)])
    return out
