"""A world around the running shop: its catalog with workloads, real probes, and faults put in by the tests' relay."""

from __future__ import annotations

from pathlib import Path

from mainstay.adapters.clock import SystemClock
from mainstay.adapters.probes import Probes
from mainstay.chaos.grammar import GRAMMAR
from mainstay.kernel.catalog import load
from mainstay.kernel.finding import errors_of
from mainstay.kernel.ports import World
from mainstay.slo.grammar import GRAMMAR as SLO
from memory_world import memory_world
from running_shop import EXAMPLES, RunningShop
from shop_faults import ShopInjector


def shop_world(shop: RunningShop, more: str = "") -> World:
    """A world of its own, with an empty journal, around a shop that runs."""
    folder = Path(shop.folder, "catalog")
    folder.mkdir(exist_ok=True)
    for file in (EXAMPLES / "08-chaos" / "catalog").glob("*.yaml"):
        (folder / file.name).write_text(file.read_text().replace("../../../var/shop", ".."))
    if more:
        (folder / "more.yaml").write_text(more)
    catalog, findings = load([folder], GRAMMAR + SLO)
    assert not errors_of(findings), "\n".join(one.render() for one in findings)
    clock = SystemClock()
    return memory_world(clock, catalog, injector=lambda: ShopInjector(shop), prober=lambda: Probes(catalog, clock),
                        actor="ana")
