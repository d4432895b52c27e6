"""Other tools' formats, in and out: each format is one module here, and `FORMATS` lists them."""

from __future__ import annotations

from mainstay.monitoring.exchange.form import Format
from mainstay.monitoring.exchange.pyrra import PYRRA
from mainstay.monitoring.exchange.sloth import SLOTH, SLOTH_K8S

FORMATS: tuple[Format, ...] = (
    SLOTH,
    SLOTH_K8S,
    PYRRA,
)
"""Every format, in the order in which `--from auto` asks them."""
