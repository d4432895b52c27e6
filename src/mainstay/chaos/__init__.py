"""Faults that always come out again, and verdicts that can be believed.

Declares: workloads, experiments: hypothesis, faults, blast radius, hours, what stops them; monkeys, game days.
Measures: the hypothesis before, during and after; each fault when it is in and when it is out, by something else.
Decides:  whether it may start, how wide it may go, when it stops, what it proved.
Records:  every intent before the act, every proof, breach and removal, the verdict; who stopped what.
Offers:   list, check, plan, run, start, status, report, abort, recover, doctor, proxy, import, export, matrix, find,
          monkey, gameday.
"""
