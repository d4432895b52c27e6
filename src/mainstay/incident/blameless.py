"""Language that blames: where a text says whose fault it was, instead of what made it possible. Pure.

Every rule names a turn of phrase, why it teaches nothing, and what to write instead. Rules are narrow: what machines
do (`the check failed`, `page fault`, `blameless`, `the alert should have fired`) is not said of people. Code, links and
comments are not read.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from functools import lru_cache

from mainstay.kernel.dataclass import dataclass
from mainstay.kernel.finding import Finding, Position, Severity

_WHO = (r"(?:<people>he|she|they|you|we|i|who|somebody|someone|nobody|no one|everybody|everyone|anyone"
        r"|(?:the |our |an? |this |that )?(?:[\w-]+ )?(?:engineers?|operators?|developers?|devs?|admins?|person|people"
        r"|on-?call(?: engineer| person)?|responders?|commander|author|reviewers?|team|colleagues?|contractors?"
        r"|interns?|employees?|staff|human))")
"""Whoever is a person; `<people>` stands for the names of those who took part.

A rule that needs a person is not tripped by what a machine should have done.
"""


@dataclass(frozen=True, slots=True)
class Rule:
    """A turn of phrase that blames."""

    pattern: str
    why: str
    instead: str


RULES = (
    Rule(r"\b(?:human|operator|user|pilot|driver) errors?\b"
         r"|\berrors? (?:by|of) (?:the )?(?:operator|engineer|human)s?\b",
         "it ends the search where it should begin: people err every day, and mostly nothing breaks",
         "say what made the step look right, and what let it through"),
    Rule(r"\b(?:who|whom)(?:'s| is| was| are)? (?:to blame|at fault|responsible for (?:this|the (?:outage|incident)))\b"
         r"|\bwho (?:caused|broke|did|deployed|pushed|approved) (?:this|that|it)\b|\bshould we blame\b",
         "it asks for a name, and a name cannot be fixed", "ask which conditions made it possible"),
    Rule(r"\bwhy (?:didn['’]t|did not|hadn['’]t|wasn['’]t|weren['’]t) (?:you|he|she|they|anyone|anybody|nobody|we)\b",
         "it judges by what is known only now", "ask what they could see at that moment, and what hid the rest"),
    Rule(r"\b(?:whose|(?:my|your|his|her|our|their|[A-Z][a-z]+['’]s) own|my|your|his|her|their"
         r"|(?:<people>[A-Z][a-z]+)['’]s) (?:fault|mistake|negligence|blunder)\b"
         r"|\b(?:is|was|were|are) (?:at fault|to blame)\b",
         "fault belongs to somebody; causes belong to the system", "name the condition, not its owner"),
    Rule(r"\bblam(?:es?|ed|ing)\b", "blame makes the next person silent", "say what happened and why it made sense"),
    Rule(r"\b(?:careless(?:ly|ness)?|reckless(?:ly|ness)?|negligent(?:ly)?|negligence|sloppy|sloppily|incompeten\w+"
         r"|clueless|stupid(?:ly|ity)?|idiot(?:ic|s)?|foolish(?:ly)?|unprofessional(?:ly)?|irresponsibl[ey])\b",
         "it describes a person and predicts nothing", "say which safeguard was missing or easy to pass"),
    Rule(r"\blaz(?:y|iness)\b(?! ?(?:load|init|eval|start|import|sequence|propert|val\b|field|connect|mode|delet|expir"
         r"|free|fetch|quer))", "it describes a person and predicts nothing", "say what cost too much effort, and why"),
    Rule(r"\b(?:stupid|silly|dumb|rookie|careless|obvious|avoidable|basic|honest) (?:mistakes?|errors?"
         r"|oversights?)\b", "it looks simple only afterwards", "say what was seen at that time, and what was not"),
    Rule(r"\b<who> (?:really |clearly |obviously |certainly )?(?:should|could|ought to) (?:not )?have\b"
         r"(?! to\b)|\bshould(?:['’]ve| have)? known better\b"
         r"|\b<who> (?:should(?:n['’]t| not|['’]ve)|ought to) (?:have )?(?:known|noticed|caught|checked|seen"
         r"|tested)\b",
         "it measures by an outcome that nobody knew yet",
         "say what was known then, and what would have shown the rest"),
    Rule(r"\b<who> (?:had |has |have )?(?:simply |just |completely )?(?:failed|neglected|omitted|refused) to\b"
         r"|\b(?:failed|neglected) to (?:notice|realis|realiz|pay attention|double-?check|follow (?:the )?(?:procedure"
         r"|process|runbook|checklist|rules?|instructions?)|read the|remember|think|communicate|inform|ask)\w*",
         "it says what was not done, and so explains nothing", "say what was done instead, and what it was aimed at"),
    Rule(r"\bforg(?:ot|otten|etting|etful)\b(?! password)",
         "memory is not a safeguard", "say which step depended on memory, and what could do it instead"),
    Rule(r"\b<who> (?:did not|didn['’]t|never|do not|don['’]t) (?:bother|care|think|pay attention|follow|understand"
         r"|know what)\b|\b(?:did not|didn['’]t|could not|couldn['’]t) be bothered\b",
         "it guesses at what somebody thought", "ask them, and write what they saw and expected"),
    Rule(r"\b(?:ignor(?:ed|ing)|disregard(?:ed|ing)|violat(?:ed|ing)|flout(?:ed|ing)) (?:all |the |our |an? |several "
         r"|repeated )?(?:alerts?|alarms?|warnings?|pages?|procedures?|process|polic(?:y|ies)|rules?|runbooks?|advice"
         r"|instructions?|checklists?)\b",
         "it takes a choice for disobedience", "say how many such signals there were, and how many had been false"),
    Rule(r"\b(?:<who>|[A-Z][a-z]+) (?:accidentally|mistakenly|wrongly|incorrectly|inadvertently|carelessly|blindly) "
         r"\w+(?:ed|ran|sent|set|put|made|wrote|did|cut|shut|took)?\b",
         "the adverb judges; the act was normal work", "say what was done and which effect was expected"),
    Rule(r"\b<who> (?:broke|crashed|took down|killed|messed up|screwed up|botched|bungled) "
         r"(?:the |our )?\w+|\b(?:messed|screwed|fouled) up\b|\bbotched\b|\bbungled\b",
         "one act is made the cause of all that let it through", "say which change had which effect"),
    Rule(r"\b(?:root )?cause(?:d by| was| is|:)? (?:an? |the )?(?:human|person|people|engineer|operator|lack of (?:care"
         r"|attention|discipline|diligence))\b",
         "a person is no root cause: with another one it would have happened as well", "name what let it happen"),
    Rule(r"\b(?:be more careful|pay more attention|try harder|be more vigilant|more careful next time|more discipline"
         r"|better discipline)\b",
         "it changes nothing: who is careful already cannot be more so",
         "change the system so that less care is needed"),
    Rule(r"\b(?:disciplinary|punish(?:ed|ment|ing)?|reprimand(?:ed)?|held accountable|hold \w+ accountable)\b",
         "after a punishment, the next incident is not told", "write what is changed, not who pays"),
)
"""What is looked for, in this order; a stretch of text is found once."""


@lru_cache(maxsize=64)
def _compiled(people: tuple[str, ...]) -> tuple[tuple[re.Pattern[str], Rule], ...]:
    """The rules, with these names among those who are persons."""
    names = "".join(f"{re.escape(one)}|" for one in people)
    who = _WHO.replace("<people>", names)
    return tuple((re.compile(rule.pattern.replace("<who>", who).replace("<people>", names),
                             re.NOFLAG if "[A-Z]" in rule.pattern else re.IGNORECASE), rule) for rule in RULES)


_INNOCENT = re.compile(r"\b(?:blameless\w*|git blame|no[- ]blame|without (?:any )?blame|not (?:to |about )?blam\w+"
                       r"|fault[- ](?:toleran\w+|inject\w+|domain)|default\w*|user error (?:rates?|budget|pages?))\b",
                       re.IGNORECASE)
_UNREAD = re.compile(r"`[^`]*`|<!--.*?-->|https?://\S+|(?<=\])\([^)]*\)")
_FENCE = re.compile(r"\s*(```|~~~)")


def findings(text: str, file: str, people: Iterable[str] = ()) -> list[Finding]:
    """Every place that blames, as warnings in the order of the text.

    Args:
        people: names of those who took part; in prose a role says more (a hint).
    """
    out: list[Finding] = []
    people = tuple(sorted({one for one in people if len(one) > 1}))
    named, rules = _named(people), _compiled(people)
    for number, line in _prose(text):
        read = _UNREAD.sub(lambda found: " " * len(found[0]), line)
        read = _INNOCENT.sub(lambda found: "." * len(found[0]), read)
        places: dict[int, Finding] = {}
        taken: list[tuple[int, int]] = []
        for pattern, rule in rules:
            for found in pattern.finditer(read):
                if any(found.start() < end and start < found.end() for start, end in taken):
                    continue
                taken.append(found.span())
                places[found.start()] = Finding(
                    "blameful", Position(file, number, found.start() + 1), f'"{found[0]}" blames: {rule.why}',
                    rule.instead, line, Severity.WARNING)
        for found in named.finditer(read) if named is not None else ():
            places.setdefault(found.start(), Finding(
                "names-a-person", Position(file, number, found.start() + 1),
                f'"{found[0]}" is a person: a role says more',
                "write the role, such as the commander or the responder", line, Severity.HINT))
        out += [places[start] for start in sorted(places)]
    return out


def _named(people: Iterable[str]) -> re.Pattern[str] | None:
    names = sorted(map(re.escape, people), key=len, reverse=True)
    return re.compile(rf"(?<![\w@/.-])@?(?:{'|'.join(names)})(?![\w/-]|\.\w)", re.IGNORECASE) if names else None


def _prose(text: str) -> Iterator[tuple[int, str]]:
    """The lines that are read, with their numbers: what stands between fences is code."""
    fence = ""
    for number, line in enumerate(text.splitlines(), 1):
        found = _FENCE.match(line)
        if found and fence in ("", found[1]):
            fence = "" if fence else found[1]
        elif not fence:
            yield number, line
