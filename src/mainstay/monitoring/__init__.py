"""Rules, alerts and dashboards as code, proven before they run.

Declares: alerting: tiers, groups, budget thresholds, gates for little traffic.
Measures: precision, recall, detection and reset of alerts over any history; noise of the alerts that fired.
Decides:  whether an alert can ever trip, whether it trips while the promise is kept, what is wrong with a rule.
Records:  alerts that began and ended.
Offers:   rules, dashboards, queries, lint, alerts, audit, design, backtest, import, export, diff.
"""
