#!/usr/bin/env python3
"""Toil on a bare Python: how much of the work it is, what to automate first, what that is worth, where it is heading.

Nothing needs to be installed. What it does is in src/mainstay/doors/toil_analyser.py, where Python keeps it compiled;
the mathematics is in src/mainstay/toil and src/mainstay/stats.
"""

import gc
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.realpath(__file__))), "src"))

from mainstay.doors.toil_analyser import main

if __name__ == "__main__":
    code = main(sys.argv[1:])
    # The interpreter looks for cycles in all that was imported once more at its end; what is frozen it leaves alone.
    gc.freeze()
    sys.exit(code)
