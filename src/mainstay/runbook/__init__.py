"""What to do when something breaks, planned, approved, done and taken back.

Declares: runbooks: triggers, inputs, secrets, targets, steps with time-outs, retries and undo, approvals, escalation.
Measures: success of each runbook, its time, the time people need without it, hours saved.
Decides:  the plan and its hash, what comes next in a run, what is taken back, who may approve.
Records:  plans, approvals, every step and its output, undos, ends; facts of a run form a chain.
Offers:   list, show, check, plan, run, status, approve, reject, answer, undo, audit, suggest.
"""
