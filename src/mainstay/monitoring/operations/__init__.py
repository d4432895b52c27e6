"""The verbs of the word monitoring, each loaded when it is asked for: one verb must not pay for the others."""

from __future__ import annotations

VERBS: dict[str, tuple[str, str]] = {
    "rules": ("rules", "RULES"),
    "diff": ("diff", "DIFF"),
    "design": ("design", "DESIGN"),
    "backtest": ("backtest", "BACKTEST"),
    "dashboards": ("dashboards", "DASHBOARDS"),
    "queries": ("queries", "QUERIES"),
    "lint": ("lint", "LINT"),
    "alerts": ("alerts", "ALERTS"),
    "audit": ("audit", "AUDIT"),
    "import": ("exchange", "IMPORT"),
    "export": ("exchange", "EXPORT"),
}
"""Every verb in the order of help, with the room below this one and the name of its operation there."""
