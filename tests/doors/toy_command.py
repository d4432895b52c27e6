"""The command line of the made-up word, started as Mainstay's own is."""

import sys

from mainstay.doors import lazy_start

lazy_start.defer()

from doors import toy  # noqa: E402  (after numpy was deferred, as in mainstay.__main__)
from mainstay.doors.cli import run  # noqa: E402

sys.exit(run(sys.argv[1:], toy.TEA))
