"""What Grafana puts in the place of variables before it asks Prometheus.

Source: Grafana documentation, "Prometheus template variables" and "Global variables": several values of a variable
become `(a|b)`, special signs escaped for a regular expression within a string; `All` becomes its custom value.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

BUILT_IN = {"__rate_interval": "2m", "__interval": "30s", "__range": "3h", "__range_s": "10800"}


def values_of(model: Mapping[str, Any], choose: str = "all") -> dict[str, Sequence[str]]:
    """Every variable's values: all of them, or those at first, or several of those with choices."""
    found: dict[str, Sequence[str]] = {}
    for variable in model["templating"]["list"]:
        if variable["type"] == "textbox":
            found[variable["name"]] = [variable["query"]]
        elif variable["type"] == "custom":
            choices = [option["value"] for option in variable["options"]]
            found[variable["name"]] = [variable["allValue"]] if choose == "all" else \
                choices if choose == "several" else choices[:1]
        elif variable["type"] == "query":
            found[variable["name"]] = [variable["allValue"]]
    return found


def filled(expr: str, values: Mapping[str, Sequence[str]]) -> str:
    """The expression as Grafana sends it."""
    def value(found: re.Match[str]) -> str:
        name = found[1] or found[2]
        if name in BUILT_IN:
            return BUILT_IN[name]
        chosen = values[name]
        if len(chosen) == 1:
            return chosen[0]
        return "(" + "|".join(re.sub(r"[\\^$.*+?()\[\]{}|]", lambda sign: "\\\\" + sign[0], one)
                              for one in chosen) + ")"

    return re.sub(r"\$(?:\{(\w+)(?::\w+)?\}|(\w+))", value, expr)
