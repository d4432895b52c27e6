"""A view as text for a terminal or a pipe.

Colours are a handful of escape codes written here: rich costs 34 ms at every start and would be asked for little more.
Without colour every meaning is still in a sign or a word; without UTF-8 the signs become ASCII.
"""

from __future__ import annotations

import re
import shutil
import textwrap
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, tzinfo
from typing import TextIO, assert_never

from mainstay.kernel.dataclass import dataclass
from mainstay.kernel.errors import MainstayError
from mainstay.kernel.finding import InvalidFiles
from mainstay.kernel.quantity import State
from mainstay.kernel.view import SIGNS, Block, Cell, Chart, Code, Column, Next, Pairs, Table, Text, Timeline, Tone, View

PIPED_WIDTH = 100
_NARROWEST = 40
_BAR = 10
_BREAKS = re.compile(r"[\t\n\v\f\r\x85]+")
_SPARK = 24

_TONES: dict[Tone, str] = {"plain": "", "quiet": "2", "strong": "1", "good": "32", "warn": "33", "bad": "31"}
_STATES: dict[State, str] = {"healthy": "32", "at_risk": "33", "violated": "31", "no_data": "2"}
_ASCII = str.maketrans({
    "●": "*", "◐": "~", "○": "!", "–": "-", "—": "-", "·": "|", "×": "x", "→": "->", "←": "<-", "≤": "<=", "≥": ">=",
    "≈": "~", "…": "...", "█": "#", "░": ".", "Σ": "sum ", "±": "+/-", "−": "-", "“": '"', "”": '"', "’": "'",
    "▁": "_", "▂": ".", "▃": "-", "▅": "=", "▇": "#", "▲": "^", "│": "|", "┤": "|", "└": "+", "─": "-", "╌": "-",
    "µ": "u", "\N{NO-BREAK SPACE}": " ",
})


@dataclass(frozen=True, slots=True)
class Style:
    """How the reader's terminal wants it.

    Args:
        width: columns; tables are cut to it only when `cut`.
        cut: whether a person reads this: a pipe gets its lines whole, for grep.
        zone: the zone of times; None is this machine's.
    """

    width: int = PIPED_WIDTH
    colour: bool = False
    unicode: bool = True
    cut: bool = False
    zone: tzinfo | None = UTC

    def paint(self, text: str, code: str) -> str:
        """The text in that colour, when there are colours."""
        return f"\x1b[{code}m{text}\x1b[0m" if self.colour and code and text else text


def style_of(stream: TextIO, environ: Mapping[str, str], *, no_color: bool = False, utc: bool = False) -> Style:
    """What this stream can show: FORCE_COLOR, NO_COLOR, TERM=dumb and COLUMNS are kept."""
    person = stream.isatty()
    colour = person and environ.get("TERM") != "dumb"
    if environ.get("FORCE_COLOR"):
        colour = True
    if environ.get("NO_COLOR") or no_color:
        colour = False
    columns = environ.get("COLUMNS", "")
    if columns.isdigit() and int(columns) > 0:
        width = int(columns)
    else:
        width = shutil.get_terminal_size((PIPED_WIDTH, 24)).columns if person else PIPED_WIDTH
    encoding = (stream.encoding or "ascii").lower().replace("-", "").replace("_", "")
    return Style(max(width, _NARROWEST), colour, encoding.startswith("utf"), person, UTC if utc else None)


def render(view: View, style: Style) -> str:
    """The view as lines of text that end in a newline.

    The view's title is a page's heading; in a terminal the command just typed says it, and the first line is what was
    read. A view that is nothing but code is made for another program and printed as it is.
    """
    if len(view.blocks) == 1 and isinstance(view.blocks[0], Code) and not view.blocks[0].title:
        code = harmless(view.blocks[0].text) if style.cut else view.blocks[0].text
        return code if style.unicode else to_ascii(code)
    column = max((display_width(name) for block in view.blocks if isinstance(block, Pairs) for name, _ in block.rows),
                 default=0)
    lines: list[str] = []
    before: Block | None = None
    for block in view.blocks:
        drawn = _block(block, style, column)
        # Sentences that follow each other are one paragraph: what was read, and over what time.
        if lines and drawn and not (isinstance(block, Text) and isinstance(before, Text)):
            lines.append("")
        lines += drawn
        before = block
    text = harmless("".join(f"{line.rstrip()}\n" for line in lines), painted=style.colour)
    return text if style.unicode else to_ascii(text)


def render_error(error: MainstayError, style: Style) -> str:
    """What happened and the way out; findings as they are, each with its line and caret."""
    if isinstance(error, InvalidFiles):
        text = f"{error.message}\n"
    else:
        text = f"{style.paint('error:', _TONES['bad'])} {error.message}\n"
    if error.way_out:
        text += f"  → {error.way_out}\n"
    text = harmless(text, painted=style.colour)
    return text if style.unicode else to_ascii(text)


def harmless(text: str, *, painted: bool = False) -> str:
    """The text with a sign in the place of whatever a terminal would obey instead of showing.

    Titles of alerts, notes, output of programs: what others wrote must not clear the screen of whoever reads it, name
    its window, or turn the text around.

    Args:
        painted: whether the text has colours of ours, which are kept.
    """
    def shown(found: re.Match[str]) -> str:
        sign = found[0]
        if sign.endswith("m"):
            return sign if painted and sign in _OURS else ""
        return chr(0x2400 + ord(sign)) if sign < " " else "\u2421" if sign == "\x7f" else "\ufffd"

    return _OBEYED.sub(shown, text)


def display_width(text: str) -> int:
    """Columns the text takes: wide characters take two, combining ones and escape codes none."""
    if text.isascii() and "\x1b" not in text:
        return len(text)
    bare = _ESCAPES.sub("", text)
    return sum(0 if unicodedata.combining(c) else 2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in bare)


_ESCAPES = re.compile(r"\x1b\[[0-9;]*m")
_OBEYED = re.compile("\x1b\\[[0-9;]*m|[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069]")
_OURS = {f"\x1b[{code}m" for code in ("0", *_TONES.values(), *_STATES.values()) if code}


def to_ascii(text: str) -> str:
    """The text in ASCII, every sign with a stand-in; letters lose their accents."""
    plain = unicodedata.normalize("NFKD", text.translate(_ASCII))
    return "".join(c for c in plain if not unicodedata.combining(c)).encode("ascii", "replace").decode()


def bar(share: float) -> str:
    """A share 0..1 as ten blocks; a little is never drawn as nothing, nor almost all as all."""
    clamped = min(max(share, 0.0), 1.0)
    full = round(clamped * _BAR)
    if 0 < clamped < 1:
        full = min(max(full, 1), _BAR - 1)
    return "█" * full + "░" * (_BAR - full)


def sparkline(values: Sequence[float | None]) -> str:
    """Values as a small line between their own least and greatest; a gap is a space."""
    drawn = _thinned(values, _SPARK)
    known = [value for value in drawn if value is not None]
    if not known:
        return " " * len(drawn)
    low, high = min(known), max(known)
    levels = "▁▂▃▅▇"
    return "".join(" " if value is None else levels[2] if high == low
                   else levels[min(int((value - low) / (high - low) * len(levels)), len(levels) - 1)]
                   for value in drawn)


def _thinned(values: Sequence[float | None], most: int) -> list[float | None]:
    """At most so many values, each the mean of the known ones it stands for."""
    if len(values) <= most:
        return list(values)
    out: list[float | None] = []
    for index in range(most):
        part = [v for v in values[index * len(values) // most:(index + 1) * len(values) // most] if v is not None]
        out.append(sum(part) / len(part) if part else None)
    return out


def _block(block: Block, style: Style, column: int) -> list[str]:
    match block:
        case Text():
            return [style.paint(line, _TONES[block.tone]) for line in _wrapped(block.text, style.width)]
        case Pairs():
            return _pairs(block, style, column)
        case Table():
            return _table(block, style)
        case Chart():
            return _chart(block, style)
        case Timeline():
            return _timeline(block, style)
        case Code():
            return [*_titled(block.title, style), *(f"    {line}" for line in block.text.splitlines())]
        case Next():
            return _next(block, style)
        case other:
            assert_never(other)


def _wrapped(text: str, width: int) -> list[str]:
    return [line for paragraph in _ESCAPES.sub("", text).splitlines()
            for line in textwrap.wrap(paragraph, width, break_long_words=False, break_on_hyphens=False) or [""]]


def _titled(title: str, style: Style) -> list[str]:
    lines = _wrapped(title, style.width) if style.cut else [title] if title else []
    return [style.paint(line, _TONES["strong"]) for line in lines]


def _cell(cell: Cell, style: Style) -> str:
    """The cell on one line."""
    return _cell_lines(cell, style, None)[0]


def _cell_lines(cell: Cell, style: Style, room: int | None) -> list[str]:
    """The cell with its text wrapped into the room; what is drawn with it stands before the first line."""
    code = _STATES[cell.state] if cell.state is not None else _TONES[cell.tone]
    text = _ESCAPES.sub("", _BREAKS.sub(" ", cell.text)) if cell.at is None else in_zone(cell.at, style.zone)
    if cell.state is not None and not text:
        text = " ".join(SIGNS[cell.state])
    parts = [style.paint(bar(cell.bar), code)] if cell.bar is not None else []
    parts += [sparkline(cell.spark)] if cell.spark else []
    if not text:
        return ["  ".join(parts)]
    indent = sum(display_width(part) + 2 for part in parts)
    first, *more = [text] if room is None else _wrapped(text, max(room - indent, _NARROWEST // 2)) or [""]
    return ["  ".join([*parts, style.paint(first, code)]), *(" " * indent + style.paint(line, code) for line in more)]


def _padded(text: str, width: int, *, right: bool = False) -> str:
    space = " " * max(width - display_width(text), 0)
    return space + text if right else text + space


# -- pairs and tables -----------------------------------------------------------------------------------------------

def _pairs(block: Pairs, style: Style, column: int) -> list[str]:
    """Names share one column in the whole view; cells align where rows have several."""
    widths: dict[int, int] = {}
    for _, row in block.rows:
        for index, cell in enumerate(row[:-1]):
            widths[index] = max(widths.get(index, 0), display_width(_cell(cell, style)))
    lines = _titled(block.title, style)
    for name, row in block.rows:
        texts = [_cell(cell, style) for cell in row]
        texts[:-1] = [_padded(text, widths[index]) for index, text in enumerate(texts[:-1])]
        line = "   ".join(texts)
        room = style.width - column - 5
        # As with tables, a pipe gets its lines whole.
        drawn = [line] if not style.cut or display_width(line.rstrip()) <= room else _broken(row, style, room)
        names = [style.paint(_padded(name, column), _TONES["quiet"]), *[" " * column] * (len(drawn) - 1)]
        lines += [f"  {called}   {text}" for called, text in zip(names, drawn, strict=True)]
    return lines


def _broken(row: Sequence[Cell], style: Style, room: int) -> list[str]:
    """A row that one line cannot hold: as many cells a line as fit, a long one wrapped."""
    lines: list[str] = []
    for cell in row:
        first, *more = _cell_lines(cell, style, room)
        if lines and display_width(lines[-1]) + 3 + display_width(first) <= room:
            lines[-1] += "   " + first
        else:
            lines.append(first)
        lines += more
    return lines


def _table(block: Table, style: Style) -> list[str]:
    lines = _titled(block.title, style)
    if not block.rows:
        return lines + [f"  {line}" for line in _wrapped(block.empty or "nothing to show", style.width - 2)]
    drawn = [[_cell(cell, style) for cell in row] for row in block.rows]
    widths = [max(display_width(text) for text in (column.title, *(row[index] for row in drawn)))
              for index, column in enumerate(block.columns)]
    kept = list(range(len(widths)))
    if style.cut:
        kept = _with_room(block.columns, widths, style.width - 2)
        fitted = _fitted([widths[index] for index in kept], [block.columns[index].right for index in kept],
                         style.width - 2)
        widths = [dict(zip(kept, fitted, strict=True)).get(index, 0) for index in range(len(widths))]

    def line(texts: Sequence[str]) -> str:
        return "  ".join(_padded(_shortened(texts[index], widths[index], style), widths[index],
                                 right=block.columns[index].right) for index in kept)

    heading = line([column.title for column in block.columns])
    if heading.strip():
        lines.append("  " + style.paint(heading.rstrip(), _TONES["quiet"]))
    lines += ["  " + line(row) for row in drawn]
    left_out = [column.title for index, column in enumerate(block.columns) if index not in kept]
    if left_out:
        lines += [style.paint(f"  {text}", _TONES["quiet"])
                  for text in _wrapped(f"in a wider terminal also: {' · '.join(left_out)}", style.width - 2)]
    return lines


def _with_room(columns: Sequence[Column], widths: Sequence[int], room: int) -> list[int]:
    """The columns that are shown: what gives way goes until the rest fits, and comes back where there is room."""
    kept = set(range(len(columns)))

    def wide(some: set[int]) -> int:
        return sum(widths[index] for index in some) + 2 * (len(some) - 1)

    ranked = sorted((index for index in kept if columns[index].gives_way), key=lambda one: -columns[one].gives_way)
    for index in ranked:
        if wide(kept) > room:
            kept.discard(index)
    for index in reversed(ranked):
        if wide(kept | {index}) <= room:
            kept.add(index)
    return sorted(kept)


def _fitted(widths: Sequence[int], right: Sequence[bool], room: int) -> list[int]:
    """Widths that fit the room: the widest text column gives way first; numbers are never cut."""
    fitted = list(widths)
    texts = [index for index, is_right in enumerate(right) if not is_right]
    while texts and sum(fitted) + 2 * (len(fitted) - 1) > room:
        widest = max(texts, key=lambda index: fitted[index])
        if fitted[widest] <= 8:
            break
        fitted[widest] -= 1
    return fitted


def _shortened(text: str, width: int, style: Style) -> str:
    """The text within the width, with `…` where it was cut; a coloured text keeps its colour."""
    if not style.cut or display_width(text) <= width:
        return text
    escapes = _ESCAPES.findall(text)
    kept = ""
    for c in _ESCAPES.sub("", text):
        if display_width(kept + c) > width - 1:
            break
        kept += c
    return f"{escapes[0]}{kept}…{escapes[-1]}" if escapes else f"{kept}…"


# -- charts, timelines, what next -----------------------------------------------------------------------------------


def _chart(block: Chart, style: Style) -> list[str]:
    lines = _titled(block.title, style)
    known = any(value is not None for line in block.lines for value in line.values)
    if not known:
        return lines + [f"  {line}" for line in _wrapped(block.empty or "no data to draw", style.width - 2)]
    from mainstay.doors import terminal_chart  # noqa: PLC0415  (a lazy start: most answers draw nothing)

    frame = terminal_chart.Frame(style.width - 2, ascii=not style.unicode, zone=style.zone)
    for runs in terminal_chart.draw(block, frame):
        lines.append("  " + "".join(style.paint(text, _TONES[tone]) for text, tone in runs))
    return lines


def _timeline(block: Timeline, style: Style) -> list[str]:
    lines = _titled(block.title, style)
    if not block.entries:
        return lines + [f"  {line}" for line in _wrapped(block.empty or "nothing happened", style.width - 2)]
    moments = [entry.at.astimezone(style.zone) for entry in block.entries]
    lines[-1:] = [(lines[-1] if lines else "") + style.paint(
        f"{'  ' if lines else ''}times in {zone_name(moments[-1])}, {_years(moments)}", _TONES["quiet"])]
    shape = "%e %b %H:%M:%S" if any(moment.second for moment in moments) else "%e %b %H:%M"
    for moment, entry in zip(moments, block.entries, strict=True):
        at = moment.strftime(shape)
        first, *more = _wrapped(entry.text, max(style.width - len(at) - 5, 20)) or [""]
        lines.append(f"  {style.paint(at, _TONES['quiet'])}   {style.paint(first, _TONES[entry.tone])}")
        lines += [" " * (len(at) + 5) + style.paint(line, _TONES[entry.tone]) for line in more]
    return lines


def in_zone(at: datetime, zone: tzinfo | None) -> str:
    """`Mon 2 Mar 14:00 UTC` by the clock of the zone; None is this machine's."""
    moment = at.astimezone(zone)
    return f"{moment:%a %-d %b %H:%M} {zone_name(moment)}"


def zone_name(moment: datetime) -> str:
    """`UTC`, `CEST`, or the offset where the zone has no name."""
    return moment.tzname() or moment.strftime("%z")


def _years(moments: Iterable[datetime]) -> str:
    years = sorted({moment.year for moment in moments})
    return str(years[0]) if len(years) == 1 else f"{years[0]} – {years[-1]}"


def _next(block: Next, style: Style) -> list[str]:
    """`next: a · b`, broken between commands and never inside one, so that each can be copied."""
    if not block.commands:
        return []
    lines = [f"next: {block.commands[0]}"]
    for command in block.commands[1:]:
        if display_width(lines[-1]) + 3 + display_width(command) > style.width:
            lines[-1] += " ·"
            lines.append(" " * 6 + command)
        else:
            lines[-1] += f" · {command}"
    return lines
