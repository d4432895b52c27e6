"""The command line: `mainstay WORD VERB`, generic over the words and their operations.

Exit codes: an operation's own for its result (0 unless it says otherwise); a `MainstayError`'s (2, or 3 for no data);
70 for a bug of ours; 130 when interrupted; 141 when the reader of our output went away.
Results go to standard output, everything else to standard error. With `--json` the result is one JSON document, and an
error is `{"error": {"code", "message", "way_out", …}}` on standard error with nothing on standard output.
"""

from __future__ import annotations

import getpass
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any, TextIO

from mainstay import __version__
from mainstay.app import MAINSTAY, Application, Settings, WordEntry
from mainstay.doors import commands, lazy_start
from mainstay.doors.harmless import harmless, on_one_line
from mainstay.kernel.errors import InvalidInput, MainstayError, NotFound
from mainstay.kernel.finding import InvalidFiles, did_you_mean
from mainstay.kernel.operation import Operation

OUR_BUG = 70
"""EX_SOFTWARE of sysexits.h."""
INTERRUPTED = 130
READER_LEFT = 141
_HELP = ("-h", "--help")


def run(argv: Sequence[str], application: Application = MAINSTAY) -> int:
    """The process's exit code for these arguments, after everything was printed."""
    asked = _before_dashes(argv)
    interrupts = _Interrupts()
    try:
        with interrupts:
            code = _dispatch(list(argv), application)
        with _written():
            sys.stdout.flush()
    except KeyboardInterrupt:
        sys.stderr.write("\n")
        return INTERRUPTED
    except BrokenPipeError:
        # The interpreter flushes standard output once more at its end; it must not meet the closed pipe again.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return READER_LEFT
    except _OutputRefused as error:
        # As with a closed pipe: what is still in the buffer would be refused again at the interpreter's end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        _print_error(error, json_wanted="--json" in asked, colour="--no-color" not in asked)
        return error.exit_code
    except MainstayError as error:
        if "--debug" in asked:
            _print_traceback()
        if interrupts.seen:
            sys.stderr.write("\n")
            return INTERRUPTED
        _print_error(error, json_wanted="--json" in asked, colour="--no-color" not in asked)
        return error.exit_code
    except Exception as error:  # the last line of defence: our bug becomes one sentence, not a page
        if "--debug" in asked:
            _print_traceback()
        if interrupts.seen:
            sys.stderr.write("\n")
            return INTERRUPTED
        _print_error(_Bug(error), json_wanted="--json" in asked, colour="--no-color" not in asked)
        return OUR_BUG
    return code


class _Interrupts:
    """Remembers Ctrl-C: DuckDB for one, interrupted in a query, raises an error of its own instead."""

    seen = False

    def __enter__(self) -> None:
        self._ours = signal.getsignal(signal.SIGINT) is signal.default_int_handler and \
            threading.current_thread() is threading.main_thread()
        if self._ours:
            signal.signal(signal.SIGINT, self._note)

    def __exit__(self, *_: object) -> None:
        if self._ours:
            signal.signal(signal.SIGINT, signal.default_int_handler)

    def _note(self, number: int, frame: FrameType | None) -> None:
        self.seen = True
        signal.default_int_handler(number, frame)


class _OutputRefused(MainstayError):
    """Standard output does not take what it is given, as on a full disk."""

    code = "output-refused"


class _Bug(MainstayError):
    """Something in Mainstay failed that must not fail."""

    code = "bug"
    exit_code = OUR_BUG

    def __init__(self, error: Exception) -> None:
        super().__init__(f"Mainstay failed on its own account: {type(error).__name__}: {error}",
                         "this is a bug of Mainstay; run again with --debug and report what it prints")


def _dispatch(argv: list[str], application: Application) -> int:
    leading, rest = commands.split_leading(argv)
    if rest[:1] == ["help"]:
        rest = [*rest[1:], "--help"]
    wants_help = any(token in _HELP for token in [*leading, *_before_dashes(rest)])
    if leading == ["--version"]:
        return _say(f"mainstay {__version__}\n")
    if not rest or rest[0] in _HELP:
        _refuse_flags_alone(leading)
        return _help(lambda texts: texts.main_help(application))
    if rest[0] == "completion":
        return _completion(rest[1:], application, wants_help=wants_help)
    entry = _find_word(rest[0], application)
    if entry in application.house:
        operation, tokens = commands.only_operation(entry), rest[1:]
    else:
        between, rest = commands.split_leading(rest[1:])
        leading += between
        if not rest:
            _refuse_flags_alone(leading)
            return _help(lambda texts: texts.word_help(entry, _offered(entry)))
        operation, tokens = _find_verb(entry, rest[0]), rest[1:]
    if wants_help:
        return _help(lambda texts: texts.operation_help(operation))
    return _run_operation(operation, [*leading, *tokens], application)


def _help(text: Callable[[Any], str]) -> int:
    from mainstay.doors import cli_help  # noqa: PLC0415  (a lazy start: what works writes no help)

    return _say(text(cli_help))


def _before_dashes(tokens: Sequence[str]) -> Sequence[str]:
    return tokens[:tokens.index("--")] if "--" in tokens else tokens


def _refuse_flags_alone(leading: Sequence[str]) -> None:
    for token in leading:
        if token not in _HELP:
            raise InvalidInput(f"{token} is a flag, but no command was given", "mainstay --help")


def _find_word(name: str, application: Application) -> WordEntry:
    """The word, or the command of the house, of that name."""
    entries = (*application.words, *application.house)
    for entry in entries:
        if entry.name == name:
            return entry
    known = [*(entry.name for entry in entries), "completion"]
    hint = did_you_mean(name, known)
    if not hint:
        # Someone who forgot the word: `mainstay report`.
        verbs = [f"mainstay {e.name} {o.verb}" for e in application.words for o in e.operations() if o.verb == name]
        hint = f" (did you mean {' or '.join(verbs)}?)" if verbs else ""
    raise NotFound(f'there is no command "{name}"{hint}', "mainstay --help lists every command")


def _offered(entry: WordEntry) -> list[Operation[Any, Any]]:
    return [operation for operation in entry.operations() if "cli" in operation.doors]


def _find_verb(entry: WordEntry, verb: str) -> Operation[Any, Any]:
    found = entry.operation(verb)
    if found is not None and "cli" in found.doors:
        return found
    hint = did_you_mean(verb, [operation.verb for operation in _offered(entry)])
    raise NotFound(f'{entry.name} has no verb "{verb}"{hint}', f"mainstay {entry.name} --help lists its verbs")


def _completion(tokens: Sequence[str], application: Application, *, wants_help: bool) -> int:
    if wants_help or not tokens:
        return _help(lambda texts: texts.completion_help())
    if len(tokens) > 1 or tokens[0] not in commands.SHELLS:
        hint = did_you_mean(tokens[0], commands.SHELLS)
        raise InvalidInput(f'completion is not made for "{" ".join(tokens)}"{hint}',
                           "write one of: " + ", ".join(commands.SHELLS))
    from mainstay.doors.completion import completion_script  # noqa: PLC0415  (a lazy start: cyclopts costs 25 ms)

    return _say(completion_script(application, tokens[0]))


def _run_operation(operation: Operation[Any, Any], tokens: Sequence[str], application: Application) -> int:
    from mainstay.doors import flags  # noqa: PLC0415  (a lazy start: help parses nothing)

    request, everywhere = flags.parse(operation, tokens)
    if operation.numbers:
        lazy_start.load_now()
    progress = _Progress(sys.stderr)
    settings = Settings(catalog=everywhere.catalog, catalog_use=operation.catalog_for(request),
                        store=everywhere.store or default_store(), as_of=everywhere.as_of,
                        actor=_user(), progress=progress.show, tell=progress.tell)
    with _world(application, settings) as world:
        try:
            result = operation.run(world, request)
            if operation.word and operation.scope != "read":
                application.react(world)
        finally:
            progress.clear()
        if everywhere.json:
            from mainstay.doors import as_json  # noqa: PLC0415  (a lazy start: what is drawn is not encoded …)

            _say_bytes(as_json.encode(operation.as_json(result) if operation.as_json else result))
        else:
            from mainstay.doors import terminal  # noqa: PLC0415  (a lazy start: … and the other way round)

            style = terminal.style_of(sys.stdout, os.environ, no_color=everywhere.no_color, utc=everywhere.utc)
            _say(terminal.render(operation.view(result), style))
        return operation.exit_code(result)


@contextmanager
def _world(application: Application, settings: Settings) -> Iterator[Any]:
    world = application.build_world(settings)
    try:
        yield world
    finally:
        world.journal.close()
        world.ledger.close()


def default_store() -> str:
    """SQLite in the user's state folder (XDG base directories)."""
    state = os.environ.get("XDG_STATE_HOME") or str(Path.home() / ".local" / "state")
    return f"sqlite:///{state}/mainstay/mainstay.db"


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        # A container may run under a number that has no name.
        return f"uid-{os.getuid()}"


class _Progress:
    """One line on standard error that replaces itself; nothing when that is not a terminal."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._shows = stream.isatty() and os.environ.get("TERM") != "dumb"
        self._used = False

    def show(self, sentence: str) -> None:
        """Replace the line."""
        if self._shows:
            # A terminal that does not know its size says 0.
            columns = os.get_terminal_size(self._stream.fileno()).columns or 80
            self._stream.write(f"\r\x1b[K{on_one_line(sentence)[:columns - 1]}")
            self._stream.flush()
            self._used = True

    def tell(self, line: str) -> None:
        """A line that stays, above the one that replaces itself; also where nobody watches a terminal."""
        self.clear()
        self._stream.write(harmless(line).encode(self._stream.encoding or "utf-8", "replace").decode(
            self._stream.encoding or "utf-8") + "\n")
        self._stream.flush()

    def clear(self) -> None:
        """Take the line away."""
        if self._used:
            self._stream.write("\r\x1b[K")
            self._stream.flush()


def _say(text: str) -> int:
    encoding = sys.stdout.encoding or "utf-8"
    with _written():
        sys.stdout.write(text.encode(encoding, "replace").decode(encoding))
    return 0


def _say_bytes(data: bytes) -> None:
    # JSON is UTF-8 whatever the terminal's encoding is.
    with _written():
        sys.stdout.flush()
        sys.stdout.buffer.write(data)


@contextmanager
def _written() -> Iterator[None]:
    """A full disk behind `> file` is not our bug; a reader that left is not an error at all."""
    try:
        yield
    except BrokenPipeError:
        raise
    except OSError as error:
        raise _OutputRefused(f"the output cannot be written: {error.strerror}",
                            "make room where it goes, then run it again; what was recorded stays recorded") from error


def _print_traceback() -> None:
    import traceback  # noqa: PLC0415  (a lazy start: only --debug needs it)

    traceback.print_exc()


def _print_error(error: MainstayError, *, json_wanted: bool, colour: bool) -> None:
    from mainstay.doors import as_json, terminal  # noqa: PLC0415  (a lazy start: only when something failed)

    if json_wanted:
        said: dict[str, Any] = {"code": error.code, "message": error.message, "way_out": error.way_out}
        if isinstance(error, InvalidFiles):
            said |= {"message": error.message.rpartition("\n")[2],
                     "findings": [finding.as_dict() for finding in error.findings]}
        sys.stderr.write(as_json.encode({"error": said}).decode())
        return
    style = terminal.style_of(sys.stderr, os.environ, no_color=not colour, utc=True)
    sys.stderr.write(terminal.render_error(error, style))
