"""Other tools' formats, in and out: each format is one module here, and `FORMATS` lists them."""

from __future__ import annotations

from mainstay.monitoring.exchange import openslo_in, openslo_out, openslo_v1alpha
from mainstay.monitoring.exchange.form import Format
from mainstay.monitoring.exchange.pyrra import PYRRA
from mainstay.monitoring.exchange.slo_generator import SLO_GENERATOR
from mainstay.monitoring.exchange.sloth import SLOTH, SLOTH_K8S

FORMATS: tuple[Format, ...] = (
    Format("openslo", "OpenSLO v1", openslo_in.fits_v1, openslo_in.read_v1, openslo_out.write_v1),
    Format("openslo-v1alpha", "OpenSLO v1alpha", openslo_v1alpha.fits, openslo_v1alpha.read, None),
    Format("openslo-v2alpha", "OpenSLO v2alpha", openslo_in.fits_v2, openslo_in.read_v2, openslo_out.write_v2),
    SLOTH,
    SLOTH_K8S,
    PYRRA,
    SLO_GENERATOR,
)
"""Every format, in the order in which `--from auto` asks them."""
