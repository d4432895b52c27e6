"""`mainstay` and `python -m mainstay`: nothing is imported before it is known to be needed."""

from __future__ import annotations

import gc
import sys


def main() -> None:
    """Run the command line; `--version` answers before anything is loaded."""
    if sys.argv[1:] == ["--version"]:
        from mainstay import __version__  # noqa: PLC0415  (a lazy start: the version must cost nothing)

        sys.stdout.write(f"mainstay {__version__}\n")
        return
    from mainstay.doors import lazy_start  # noqa: PLC0415  (a lazy start, as above)

    # A command lives a second and makes many small objects that stay: looking for cycles among them every 700 costs a
    # fifth of a large report. Imports alone make some 40,000.
    gc.set_threshold(50_000, 20, 100)
    lazy_start.defer()
    try:
        from mainstay.doors.cli import run  # noqa: PLC0415  (a lazy start: after numpy was deferred)
    except KeyboardInterrupt:
        sys.exit(130)
    code = run(sys.argv[1:])
    lazy_start.leave()
    sys.exit(code)


if __name__ == "__main__":
    main()
