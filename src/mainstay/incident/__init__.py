"""From an alert to the right person, through any crash, to a post-mortem that is done.

Declares: escalation policies, routing of alerts, inhibitions, heartbeats, intakes, diagnostics.
Measures: time to acknowledge and to resolve, budget spent, what changed shortly before.
Decides:  which alerts are one incident, whom to page and when, what a post-mortem lacks.
Records:  alerts, incidents, pages, acknowledgements, roles, updates, post-mortems, action items.
Offers:   open, list, show, ack, note, role, status, update, resolve, merge, diagnose, statuspage, alerts, silence,
          page, postmortem, postmortems, actions, action, stats, simulate.
"""
