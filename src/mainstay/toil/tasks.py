"""Which wordings are one task: "Restarted api worker 3" and "restart the api workers". Standard library only.

Deterministic: words are cut to their stems, numbers, dates and identifiers are taken out, and a wording joins the
largest task whose words it shares for the most part (Jaccard index). People correct it; a correction always wins.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from mainstay.kernel.dataclass import dataclass

ALIKE = 0.6
"""Share of words in common from which two wordings are one task: two of three, three of four or five. At a half,
"restart api" and "restart web cache" would be one."""

_PARTS = re.compile(r"[^\W_]+")
_NAMES_NOTHING = re.compile(r"\d+|(?=[a-f]*\d)[0-9a-f]{6,}|\d+(st|nd|rd|th|am|pm|[hm]|min|mins)")
"""Numbers, hexadecimal identifiers, times: they tell one time from another, not one task from another."""
_NUMBERED = re.compile(r"([a-z]{2,})\d+")
"""web03, inc0012: the number is taken away. Names such as k8s or s3 stay whole."""
UNSAID = "no description"
_PLACE = re.compile(rf".*\S / \S.*|.*, {UNSAID}", re.DOTALL)
"""A place in somebody's classification, such as "Category 26 / Subcategory 175": what a ticket without a description is
called. Nobody worded it, and its numbers are names."""
_EMPTY = frozenset({
    "a", "an", "the", "of", "on", "in", "at", "to", "for", "and", "or", "by", "with", "from", "our", "my", "again",
    "manual", "manually", "hand", "some", "please", "via", "after", "due", "another", "new"})
_ENDINGS = ("ations", "ation", "ments", "ment", "ings", "ing", "ied", "ies", "ed")
_SHORTEST_STEM = 4


def words_of(wording: str) -> frozenset[str]:
    """The stems of a wording that name its task; where nothing else is left, all it says. A place is one word."""
    if _PLACE.fullmatch(wording):
        # Its ends are part of it: "… / 17" is not short for "… / 175".
        return frozenset({f"\n{' '.join(wording.lower().split())}\n"})
    every = _PARTS.findall(wording.lower()) or [wording.strip()]
    parts = [part for part in every if part not in _EMPTY]
    named = [part for part in parts if not _NAMES_NOTHING.fullmatch(part)]
    return frozenset(_stem(_NUMBERED.sub(r"\1", part)) for part in named or parts or every)


def _stem(word: str) -> str:
    """The word without its ending: a light form of Porter's stemmer, enough to find a verb's forms and a plural."""
    for ending in _ENDINGS:
        if word.endswith(ending) and len(word) - len(ending) >= _SHORTEST_STEM:
            word = word.removesuffix(ending)
            break
    else:
        if len(word) > 3 and word.endswith("s") and not word.endswith(("ss", "us", "is")):
            word = word[:-1]
    if len(word) > _SHORTEST_STEM and word[-1] == word[-2] and word[-1] not in "ls":
        word = word[:-1]  # "stopp" of "stopping"
    return word.removesuffix("e") if len(word) > _SHORTEST_STEM else word


def likeness(one: frozenset[str], other: frozenset[str]) -> float:
    """Jaccard index of two sets of stems, 0..1; a stem and its abbreviation (`cert`, `certificat`) are one word."""
    common = len(one & other)
    left, rest = one - other, set(other - one)
    for stem in sorted(left):
        match = next((each for each in sorted(rest) if _abbreviates(stem, each)), None)
        if match is not None:
            rest.discard(match)
            common += 1
    every = len(one) + len(other) - common
    return common / every if every else 0.0


def _abbreviates(one: str, other: str) -> bool:
    short, long = sorted((one, other), key=len)
    return len(short) >= _SHORTEST_STEM and long.startswith(short)


@dataclass(frozen=True, slots=True)
class Grouping:
    """Tasks and their wordings.

    Args:
        task_of: every wording with the name of its task.
        corrected: the wordings that people put where they are.
    """

    task_of: Mapping[str, str]
    corrected: frozenset[str]

    def like(self, wording: str) -> str:
        """The task of a wording, or the one that is worded most like it; the wording itself where none is alike."""
        if wording in self.task_of:
            return self.task_of[wording]
        words = words_of(wording)
        best = max(((likeness(words, words_of(each)), each) for each in sorted(self.task_of)), default=(0.0, ""))
        return self.task_of[best[1]] if best[0] >= ALIKE else wording

    def wordings(self) -> dict[str, tuple[str, ...]]:
        """Each task with its wordings, in order."""
        out: dict[str, list[str]] = {}
        for wording, task in self.task_of.items():
            out.setdefault(task, []).append(wording)
        return {task: tuple(sorted(those)) for task, those in sorted(out.items())}


def group(weights: Mapping[str, float], corrections: Mapping[str, str] | None = None) -> Grouping:
    """Put wordings together into tasks.

    Args:
        weights: every wording with what it weighs, such as its hours; a task is named by its heaviest wording.
        corrections: wordings with the task that people said they are; such a task also draws wordings like its name.
    """
    said = {wording: task for wording, task in (corrections or {}).items() if wording in weights}
    leaders: list[tuple[str, frozenset[str]]] = []
    by_stem: dict[str, list[int]] = {}
    exact: dict[frozenset[str], str] = {}

    def lead(name: str, words: frozenset[str]) -> None:
        exact[words] = name
        for stem in () if _PLACE.fullmatch(name) else words:
            by_stem.setdefault(stem[:_SHORTEST_STEM], []).append(len(leaders))
        leaders.append((name, words))

    for task in sorted(set(said.values())):
        # A task that stands alone on purpose draws nothing.
        if [wording for wording in said if said[wording] == task] != [task]:
            lead(task, words_of(task))
    out: dict[str, str] = {}
    for wording in sorted(weights, key=lambda each: (-weights[each], each)):
        if wording in said:
            out[wording] = said[wording]
            continue
        words = words_of(wording)
        name = exact.get(words)
        if name is None:
            stems = () if _PLACE.fullmatch(wording) else words
            near = {index for stem in stems for index in by_stem.get(stem[:_SHORTEST_STEM], ())}
            best = max(((likeness(words, leaders[index][1]), -index) for index in near), default=(0.0, 0))
            if best[0] >= ALIKE:
                name = leaders[-best[1]][0]
                exact[words] = name
            else:
                name = wording
                lead(name, words)
        out[wording] = name
    return Grouping(_named(out, weights, set(said.values())), frozenset(said))


def _named(task_of: Mapping[str, str], weights: Mapping[str, float], fixed: set[str]) -> dict[str, str]:
    """Each task under its heaviest wording without a number, where it has one: "restart worker", not "… worker 3"."""
    wordings: dict[str, list[str]] = {}
    for wording, task in task_of.items():
        wordings.setdefault(task, []).append(wording)
    names = {task: task if task in fixed else
             min(those, key=lambda one: (any(char.isdigit() for char in one), -weights[one], one))
             for task, those in wordings.items()}
    return {wording: names[task] for wording, task in task_of.items()}
