"""What to do when something breaks, planned, approved, done and taken back.

Declares: runbooks: triggers, inputs, secrets, targets, steps with time-outs, retries and undo, approvals, escalation;
          remediations: when which runbook runs by itself, within which limits, and what proves that it helped.
Measures: success of each runbook, its time, the time people need without it, hours saved.
Decides:  the plan and its hash, what comes next in a run, what is taken back, who may approve; what is done about
          trouble without a person, and when a person is told instead.
Records:  plans, approvals, every step and its output, undos, ends; facts of a run form a chain; what rules decide.
Offers:   list, show, check, plan, run, status, approve, reject, answer, undo, audit, suggest, remedies, simulate,
          prove, trigger, resume.
"""
