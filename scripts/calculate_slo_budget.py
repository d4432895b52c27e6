#!/usr/bin/env python3
"""Error budgets on a bare Python: how much may fail, how fast it is being spent, and when it will be gone.

Nothing needs to be installed (a YAML --config needs PyYAML; a JSON one does not). What it does is in
src/mainstay/doors/calculator.py, where Python keeps it compiled; the arithmetic is src/mainstay/stats/budget.py.
"""

import gc
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.realpath(__file__))), "src"))

from mainstay.doors.calculator import main

if __name__ == "__main__":
    code = main(sys.argv[1:])
    # The interpreter looks for cycles in all that was imported once more at its end; what is frozen it leaves alone.
    gc.freeze()
    sys.exit(code)
