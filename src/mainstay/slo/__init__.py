"""Objectives and error budgets.

Declares: services, indicators, objectives, journeys, budget policies, maintenance.
Measures: bad and total events per five-minute slot, from logs, spans or any Prometheus.
Decides:  status, burn rates, time to exhaustion, policy zone, target, who spent it.
Records:  zone changes, freezes, reviews, corrections, maintenance left out of account.
Offers:   try, report, show, gate, suggest, attribute, journey, policy, enforce, downtime, review, reviewed,
          recompute, export-metrics.
"""
