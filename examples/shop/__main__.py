"""Starts the command line, as `python -m shop` (with `examples` on the path) or as `python examples/shop`."""

import sys
from pathlib import Path

# The repository's own library, at the end of the path, so that an installed one goes first. It needs nothing else.
sys.path.append(str(Path(__file__).resolve().parents[2] / "src"))
if not __package__:  # run as a folder: Python has put the folder itself on the path, and we want its parent
    sys.path[0] = str(Path(__file__).resolve().parents[1])

from shop.cli import main

if __name__ == "__main__":
    sys.exit(main())
