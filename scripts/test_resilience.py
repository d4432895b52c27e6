#!/usr/bin/env python3
"""Resilience, tried out: named chaos experiments, a circuit breaker seen from outside, graceful degradation.

Lists, help and dry runs need nothing installed. What it does is in src/mainstay/doors/resilience_tester.py; experiments
run through the engine of src/mainstay/chaos.
"""

import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.realpath(__file__))), "src"))

from mainstay.doors.resilience_tester import main

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
