"""The shop while its api finds auth slow: logins fail fast, browsing goes on, and all is as before afterwards."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from statistics import median

import pytest

from mainstay.adapters.faults.injector import HostInjector
from mainstay.kernel.faults import Healing, Order
from mainstay.kernel.finding import Position
from mainstay.kernel.workload import At, Call, Dependency, Workload
from running_shop import RunningShop, eventually, running_shop

pytestmark = pytest.mark.alone


def workloads(folder: Path) -> tuple[Workload, Workload]:
    here = Position(str(folder / "catalog.yaml"), 1, 1)
    route = Call("POST", "http://{address}/admin/dependencies", '{"auth": "{to}"}', '{"auth": ""}',
                 {"content-type": "application/json"}, {"x-shop-secret": At(file="shop/secret")})
    api, auth = (Workload(name, here, pid=At(file=f"shop/{name}.json", key="pid"), address=At(file=f"shop/{name}.json"),
                          health="/healthz", experiments=True,
                          dependencies=(Dependency("auth", here, route=route),) if name == "api" else ())
                 for name in ("api", "auth"))
    return api, auth


def logins(shop: RunningShop, count: int = 15) -> tuple[Counter[tuple[int, str]], float]:
    answers = [shop.ask("POST", "/login", {"user": "ada", "password": "let-me-in"}) for _ in range(count)]
    return (Counter((one.status, one.data.get("error", "")) for one in answers),
            median(one.seconds for one in answers[6:]))


def browsing(shop: RunningShop, count: int = 15) -> Counter[int]:
    return Counter(shop.ask("GET", "/products/1").status for _ in range(count))


def test_logins_fail_fast_while_auth_is_slow_and_browsing_goes_on(tmp_path):
    with running_shop(tmp_path / "shop") as shop:
        api, auth = workloads(tmp_path)
        injector = HostInjector(tmp_path / "state")
        order = Order("dependency-slow", api, "auth", {"latency": 0.5}, upstream=auth, seconds=60)
        assert injector.means(order).healing is Healing.GUARDIAN
        with injector.guard("slow-auth") as guarded:
            fault = guarded.inject(order)
            assert fault.proof().in_effect
            fared, usual = logins(shop)
            assert fared == {(503, "auth_unavailable"): 15}
            assert usual < 0.2  # the breaker is open by then: nobody waits, but who tries whether it is well again
            assert browsing(shop) == {200: 15}
            fault.remove()
            assert not fault.proof().in_effect
        eventually(lambda: shop.ask("POST", "/login", {"user": "ada", "password": "let-me-in"}).status == 200)
        assert logins(shop)[0] == {(200, ""): 15}
        assert injector.recover() == ()
        secret = (tmp_path / "shop" / "secret").read_text().strip()
        assert not any(secret in path.read_text() for path in (tmp_path / "state").rglob("*") if path.is_file())
