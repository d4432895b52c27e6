"""A document in a few kinds of blocks, as Markdown and as HTML. Pure.

What people wrote is Markdown and is kept as it is; what facts say is literal and is escaped in both.
"""

from __future__ import annotations

import html
import re
from collections.abc import Iterable, Iterator, Sequence

from mainstay.kernel.dataclass import dataclass


@dataclass(frozen=True, slots=True)
class Heading:
    """A heading; the title of the document is level 1."""

    level: int
    text: str


@dataclass(frozen=True, slots=True)
class Prose:
    """Paragraphs. `written` ones are somebody's Markdown; others are literal."""

    text: str
    written: bool = False


@dataclass(frozen=True, slots=True)
class Missing:
    """What is not there yet, and how to say it."""

    what: str
    command: str


@dataclass(frozen=True, slots=True)
class Listing:
    """Points, one a line, literal."""

    items: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Grid:
    """A table of literal texts."""

    headings: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


Block = Heading | Prose | Missing | Listing | Grid


# -- Markdown -----------------------------------------------------------------------------------------------------


def literal(text: str) -> str:
    """The text so that Markdown shows it as it is, on one line."""
    text = " ".join(text.split()).replace("&", "&amp;").replace("<", "&lt;")
    return re.sub(r"([\\`*\[\]|]|(?<!\w)_|_(?!\w))", r"\\\1", text)


def markdown(blocks: Iterable[Block]) -> str:
    """The document as Markdown."""
    return "\n\n".join(_markdown(block) for block in blocks) + "\n"


def _markdown(block: Block) -> str:
    match block:
        case Heading(level, text):
            return f"{'#' * level} {literal(text)}"
        case Prose(text, written):
            return _lowered(text) if written else literal(text)
        case Missing(what, command):
            return f"*Missing:* {literal(what)} (`{command}`)"
        case Listing(items):
            return "\n".join(f"- {literal(item)}" for item in items)
        case Grid(headings, rows):
            lines = [headings, tuple("---" for _ in headings), *rows]
            return "\n".join("| " + " | ".join(cell if line is lines[1] else literal(cell) or " " for cell in line)
                             + " |" for line in lines)


_OWN_HEADING = re.compile(r"^#{1,6}\s+(.*?)\s*#*$", re.MULTILINE)


def _lowered(text: str) -> str:
    """Somebody's Markdown; a heading of their own becomes a bold line, for the headings are the layout's."""
    return _OWN_HEADING.sub(r"**\1**", text.strip())


# -- HTML ---------------------------------------------------------------------------------------------------------

_STYLE = """\
:root{color-scheme:light dark;--quiet:#5a6472;--line:#d5dae1;--warn:#8a4b00}
@media(prefers-color-scheme:dark){:root{--quiet:#a3adba;--line:#3a424d;--warn:#f0b060}}
body{font:16px/1.5 system-ui,sans-serif;max-width:52rem;margin:2rem auto;padding:0 1rem;overflow-wrap:anywhere}
h1{font-size:1.75rem;line-height:1.25}h2{font-size:1.25rem;margin-top:2rem}h3{font-size:1rem;margin-top:1.5rem}
table{border-collapse:collapse;font-variant-numeric:tabular-nums}th,td{text-align:left;vertical-align:top;
padding:.25rem 1rem .25rem 0;border-bottom:1px solid var(--line)}th{color:var(--quiet);font-weight:600}
.scroll{overflow-x:auto}.missing{color:var(--warn)}code{font-size:.9em}"""


def page(blocks: Sequence[Block], title: str) -> str:
    """The document as a whole page of HTML that loads nothing."""
    return (f'<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
            f'<meta name="viewport" content="width=device-width, initial-scale=1">\n<title>{html.escape(title)}</title>'
            f"\n<style>\n{_STYLE}\n</style>\n</head>\n<body>\n{fragment(blocks)}\n</body>\n</html>\n")


def fragment(blocks: Iterable[Block]) -> str:
    """The document as HTML to be put into a page."""
    return "\n".join(_html(block) for block in blocks)


def _html(block: Block) -> str:
    match block:
        case Heading(level, text):
            return f"<h{level}>{html.escape(text)}</h{level}>"
        case Prose(text, written):
            return written_html(text) if written else f"<p>{html.escape(text)}</p>"
        case Missing(what, command):
            return (f'<p class="missing"><strong>Missing:</strong> {html.escape(what)} '
                    f"(<code>{html.escape(command)}</code>)</p>")
        case Listing(items):
            return "<ul>\n" + "\n".join(f"<li>{html.escape(item)}</li>" for item in items) + "\n</ul>"
        case Grid(headings, rows):
            head = "".join(f'<th scope="col">{html.escape(one)}</th>' for one in headings)
            body = "\n".join("<tr>" + "".join(f"<td>{html.escape(cell)}</td>" for cell in row) + "</tr>"
                             for row in rows)
            return (f'<div class="scroll"><table>\n<thead><tr>{head}</tr></thead>\n<tbody>\n{body}\n</tbody>\n'
                    "</table></div>")


_BULLET = re.compile(r"\s*(?:[-*+]|(\d+)[.)])\s+(.*)")


def written_html(text: str) -> str:
    """Somebody's Markdown as HTML: paragraphs, points, `code`, **bold**, links to web addresses; all else literally."""
    out: list[str] = []
    for lines in _paragraphs(_lowered(text)):
        points = [_BULLET.fullmatch(line) for line in lines]
        if points[0]:
            tag = "ol" if points[0][1] else "ul"
            items: list[str] = []
            for point, line in zip(points, lines, strict=True):
                if point:
                    items.append(point[2])
                else:
                    items[-1] += " " + line.strip()
            out.append(f"<{tag}>" + "".join(f"<li>{_inline(one)}</li>" for one in items) + f"</{tag}>")
        else:
            out.append(f"<p>{_inline(' '.join(line.strip() for line in lines))}</p>")
    return "\n".join(out)


def _paragraphs(text: str) -> Iterator[list[str]]:
    """Lines that stand together; points begin a stretch of their own."""
    lines: list[str] = []
    for line in text.splitlines():
        begins = lines and bool(_BULLET.fullmatch(line)) and not _BULLET.fullmatch(lines[0])
        if (not line.strip() or begins) and lines:
            yield lines
            lines = []
        if line.strip():
            lines.append(line)
    if lines:
        yield lines


_SPECIAL = re.compile(r"`([^`]+)`|\*\*(.+?)\*\*|\[([^\]]+)\]\((https?://[^\s)]+)\)|(https?://[^\s<>\"']*[\w/])")


def _inline(text: str) -> str:
    out, place = [], 0
    for found in _SPECIAL.finditer(text):
        out.append(html.escape(text[place:found.start()]))
        code, bold, shown, target, bare = found.groups()
        if code is not None:
            out.append(f"<code>{html.escape(code)}</code>")
        elif bold is not None:
            out.append(f"<strong>{html.escape(bold)}</strong>")
        else:
            out.append(f'<a href="{html.escape(target or bare)}">{html.escape(shown or bare)}</a>')
        place = found.end()
    return "".join(out) + html.escape(text[place:])
