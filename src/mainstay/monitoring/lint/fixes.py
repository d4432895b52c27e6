"""Mends, applied: changes of letters, so that comments, order and quotes stay as they are.

Every mended text is read and judged again: the flaw must be gone, and nothing may be broken that was whole. A mend of
which that is not true is left out.
"""

from __future__ import annotations

import difflib
from collections import Counter
from collections.abc import Callable, Sequence

from mainstay.monitoring.lint.flaw import Flaw

_MOST_ROUNDS = 8
"""One mend may make room for the next, such as two wrong escapes in one text."""


def mended(text: str, judge: Callable[[str], Sequence[Flaw]]) -> tuple[str, int]:
    """The text with every mend that holds, and how many were made.

    Args:
        judge: all flaws of a text of this file; called again after each round.
    """
    made = 0
    refused: set[tuple[str, str]] = set()
    flaws = list(judge(text))
    for _ in range(_MOST_ROUNDS):
        round_made = 0
        chosen = [flaw for flaw in flaws if flaw.edits and _key(flaw) not in refused]
        if not chosen:
            break
        together, taken = _applied(text, chosen)
        after = list(judge(together)) if taken else flaws
        if taken and _better(flaws, after, taken):
            text, flaws, round_made = together, after, len(taken)
        else:
            for flaw in chosen:
                alone, taken = _applied(text, [flaw])
                after = list(judge(alone)) if taken else flaws
                if taken and _better(flaws, after, taken):
                    text, flaws, round_made = alone, after, 1
                    break
                refused.add(_key(flaw))
        made += round_made
        if not round_made:
            break
    return text, made


_GRAVE = frozenset({"not-yaml", "promql-syntax", "promql-type", "duplicate-key", "unknown-field", "missing-field",
                    "wrong-type"})
"""What makes a file unreadable: no mend may bring one."""


def _key(flaw: Flaw) -> tuple[str, str]:
    return flaw.code, f"{flaw.place()} {flaw.message}"


def _better(before: Sequence[Flaw], after: Sequence[Flaw], taken: Sequence[Flaw]) -> bool:
    """Whether the flaws that were mended are gone, and nothing is broken that was whole."""
    if sum(flaw.code in _GRAVE for flaw in after) > sum(flaw.code in _GRAVE for flaw in before):
        return False
    was, left = (Counter((flaw.code, flaw.message) for flaw in flaws) for flaws in (before, after))
    mended_of = Counter((flaw.code, flaw.message) for flaw in taken)
    # Behind what could not be read others of its kind may hide; they are next.
    return all(left[key] <= was[key] - count for key, count in mended_of.items()) \
        or any(flaw.code in _GRAVE for flaw in taken)


def _applied(text: str, flaws: Sequence[Flaw]) -> tuple[str, list[Flaw]]:
    """The text with the edits of these flaws, but for those that meet an edit of an earlier one."""
    changes: list[tuple[int, int, str]] = []
    taken: list[Flaw] = []
    for flaw in flaws:
        mine = [edit.text.edit(edit.start, edit.end, edit.new) for edit in flaw.edits]
        if any(_meet(one, other) for one in mine for other in changes):
            continue
        changes += mine
        taken.append(flaw)
    # From the end, so that the places of earlier changes stay true; of two insertions at one place the first is first.
    for start, end, new in sorted(changes, key=lambda change: change[:2], reverse=True):
        text = text[:start] + new + text[end:]
    return text, taken


def _meet(one: tuple[int, int, str], other: tuple[int, int, str]) -> bool:
    if one[0] == one[1] and other[0] == other[1]:
        return one[0] == other[0]
    return one[0] < other[1] and other[0] < one[1]


def difference(before: str, after: str, file: str) -> str:
    """Both as a unified diff."""
    name = file.lstrip("/")
    return "".join(difflib.unified_diff(before.splitlines(keepends=True), after.splitlines(keepends=True),
                                        f"a/{name}", f"b/{name}"))
