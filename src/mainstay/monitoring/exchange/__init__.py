"""Other tools' formats, in and out: each format is one module here, and `FORMATS` lists them."""

from __future__ import annotations

from mainstay.monitoring.exchange import (
    grafana_out,
    grafana_slo,
    mixin,
    nobl9_in,
    nobl9_out,
    openslo_in,
    openslo_out,
    openslo_v1alpha,
    slok,
)
from mainstay.monitoring.exchange.form import Format
from mainstay.monitoring.exchange.pyrra import PYRRA
from mainstay.monitoring.exchange.slo_generator import SLO_GENERATOR
from mainstay.monitoring.exchange.sloth import SLOTH, SLOTH_K8S

FORMATS: tuple[Format, ...] = (
    Format("openslo", "OpenSLO v1", openslo_in.fits_v1, openslo_in.read_v1, openslo_out.write_v1),
    Format("openslo-v1alpha", "OpenSLO v1alpha", openslo_v1alpha.fits, openslo_v1alpha.read, None),
    Format("openslo-v2alpha", "OpenSLO v2alpha", openslo_in.fits_v2, openslo_in.read_v2, openslo_out.write_v2),
    Format("nobl9", "Nobl9", nobl9_in.fits, nobl9_in.read, nobl9_out.write),
    Format("grafana-slo", "Grafana SLO for Terraform", grafana_slo.fits_terraform, grafana_slo.read_terraform,
           grafana_out.write_terraform),
    Format("grafana-slo-api", "Grafana SLO's API", grafana_slo.fits_api, grafana_slo.read_api, grafana_out.write_api),
    SLOTH,
    SLOTH_K8S,
    PYRRA,
    SLO_GENERATOR,
    Format("slok", "slok operator", slok.fits, slok.read, None),
    Format("mixin", "mixin rules", mixin.fits, mixin.read, None),
)
"""Every format, in the order in which `--from auto` asks them."""
