"""The ledger of manual work, what of it is toil, and what automating it is worth.

Declares: a toil policy: the line, the cost of an hour, the working day, teams, leads.
Measures: hours by type, category, engineer, team and week; interrupts; how completely work is logged.
Decides:  state against the line, which wordings are one task, what to automate and when, changes of level.
Records:  work logged and withdrawn, timers, imports, corrections of the grouping.
Offers:   log, start, stop, import, entries, withdraw, report, candidates, group, roi, trend, decide,
          export-metrics, digest.
"""
