"""The verbs of the word slo."""

from __future__ import annotations

from mainstay.slo.operations.policy import ENFORCE, GATE, POLICY
from mainstay.slo.operations.questions import ATTRIBUTE, DOWNTIME, JOURNEY, REVIEW, REVIEWED, SUGGEST
from mainstay.slo.operations.show import SHOW
from mainstay.slo.operations.standings import REPORT
from mainstay.slo.operations.try_log import TRY
from mainstay.slo.operations.upkeep import EXPORT_METRICS, RECOMPUTE

OPERATIONS = (TRY, REPORT, SHOW, GATE, SUGGEST, ATTRIBUTE, JOURNEY, POLICY, ENFORCE, DOWNTIME, REVIEW, REVIEWED,
              RECOMPUTE, EXPORT_METRICS)
