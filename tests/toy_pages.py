"""The two hand-made pages, filled with an invented shop, for the browser tests and for looking at."""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta

from mainstay.doors.web.pages import Page, PageQuery
from mainstay.doors.web.slo_pages import (
    BurnWindow,
    Choice,
    Fact,
    ObjectivePage,
    ObjectiveRow,
    OverviewPage,
    Policy,
    StateCount,
    Todo,
    Zone,
)
from mainstay.kernel.ports import World
from mainstay.kernel.quantity import State
from mainstay.kernel.view import Cell, Chart, Code, Line, Mark, Pairs, cells, table

NOW = datetime(2026, 5, 20, 21, 5, tzinfo=UTC)


def _falling(start: float, end: float, *, drop_at: float, gap: bool = False) -> tuple[float | None, ...]:
    out: list[float | None] = []
    for i in range(60):
        x = i / 59
        value = start + (end - start) * (0.4 * x + (0.6 if x > drop_at else 0.0))
        out.append(None if gap and 30 <= i < 36 else value + math.sin(i * 1.7) * 0.006)
    return tuple(out)


def _row(name: str, service: str, state: State, promise: str, measured: str, left: float | None, burn: str,
         **more: object) -> ObjectiveRow:
    spark = _falling(1, left, drop_at=0.7, gap=state == "at_risk") if left is not None else ()
    text = "no data" if left is None else f"{left * 100:.0f} %".replace("-", "−")
    return ObjectiveRow(name, service, f"slo/show?name={name}", state, promise, measured, left, text, burn,
                        spark=spark, **more)  # type: ignore[arg-type]


def overview(_: World, query: PageQuery) -> OverviewPage:
    rows = (
        _row("checkout-availability", "web", "violated", "99.9 % over 30 d", "99.871 %", -0.29, "14.2×",
             burn_note="last 1 h", burn_tone="bad", note="spent since 18 May 14:20"),
        _row("orders-latency-300ms", "orders", "at_risk", "99 % over 30 d", "99.14 %", 0.14, "3.1×",
             burn_note="last 6 h", burn_tone="warn", note="empty in 2 d 3 h"),
        _row("login-availability", "auth", "healthy", "99.95 % over 30 d", "99.981 %", 0.62, "0.8×",
             burn_note="last 1 h"),
        _row("catalogue-freshness", "api", "healthy", "99.5 % per month", "99.93 %", 0.86, "0.2×",
             burn_note="last 1 h"),
        _row("cart-availability", "web", "healthy", "99.9 % over 30 d", "99.997 %", 0.97, "0.0×", burn_note="last 1 h"),
        _row("invoice-correctness-of-monthly-statements", "orders", "no_data", "99.99 % over 28 d", "", None, "",
             note="nothing since 14:03"),
    )
    counts = tuple(StateCount(state, sum(row.state == state for row in rows), f"?state={state}",
                              query.get("state") == state)
                   for state in ("violated", "at_risk", "healthy", "no_data"))
    kept = tuple(row for row in rows if query.get("state") in ("", row.state))
    journeys = table("Journeys", ("journey", "state", "measured>", "weakest link"), [
        ("buy something", Cell("○ violated", state="violated"), "99.80 %",
         Cell("checkout-availability", link="slo/show?name=checkout-availability")),
        ("come back and log in", Cell("● healthy", state="healthy"), "99.97 %", "login-availability")])
    return OverviewPage(
        "1 of 6 objectives is violated: checkout-availability has spent its budget and burns 14.2× too fast.",
        "violated", counts, kept, NOW, journeys=journeys)


def objective(_: World, query: PageQuery) -> ObjectivePage:
    start = NOW - timedelta(days=30)
    times = tuple(start + timedelta(hours=i) for i in range(30 * 24 + 1))
    left: list[float | None] = []
    spent = 0.0
    for i in range(len(times)):
        spent += 0.05 + (0.03 if math.sin(i / 24 * 2 * math.pi) > 0.6 else 0)
        spent += 3.4 if 300 <= i < 306 else 0
        spent += 2.6 if 662 <= i < 686 else 0
        left.append(None if 420 <= i < 436 else 100 - spent)
    budget = Chart(
        "Budget left, 30 d: −29 % and falling since 18 May", times, (Line("budget left", tuple(left)),), "%",
        bounds=((0.0, "budget spent"),),
        marks=(Mark(times[300], "incident 12: card payments refused", "bad", "incident/show?id=12", times[306]),
               Mark(times[540], "deployed web 1.4.2", link="rollout/show?id=31"),
               Mark(times[600], "experiment: cache down", "warn", "chaos/show?id=4"),
               Mark(times[662], "incident 14: checkout answers 503", "bad", "incident/show?id=14", times[686])),
        query='1 - sum(increase(http_requests_total{service="web",route="/checkout",code=~"5.."}[30d]))\n'
              '  / sum(increase(http_requests_total{service="web",route="/checkout"}[30d]))')
    burn_times = tuple(NOW - timedelta(minutes=5 * i) for i in range(72 * 12, -1, -1))
    slots = range(len(burn_times))
    fast = tuple(0.6 + 0.3 * math.sin(i / 40) + 13.4 * math.exp(-((i - 640) / 60) ** 2) for i in slots)
    slow = tuple(0.7 + 0.1 * math.sin(i / 80) + 6.4 * math.exp(-((i - 670) / 110) ** 2) for i in slots)
    burn_chart = Chart("Burn, 3 d: back under the paging threshold since 20 May 18:40", burn_times,
                       (Line("over 1 h", fast), Line("over 6 h", slow)), "×",
                       bounds=((14.4, "page at 14.4×"), (6.0, "page at 6×")))
    return ObjectivePage(
        name=query.get("name", "checkout-availability"), service="web", owner="team payments",
        promise="99.9 % of requests to /checkout are answered without a server error, over any 30 days.",
        state="violated", verdict="The budget was spent on 18 May at 14:20; what came since breaks the promise.",
        facts=(Fact("Spent", "129 %", "55 m 44 s of 43 m 12 s", "bad", 1.0),
               Fact("Left", "−29 %", "12 m 32 s overdrawn", "bad", -0.29),
               Fact("Measured", "99.871 %", "target 99.9 %"),
               Fact("Back above zero", "in 6 d 4 h", "if nothing more fails: incident 12 ages out on 27 May")),
        budget=budget,
        burn=(BurnWindow("5 m", "2.1×", 0.15, "14.4×", "page, with 1 h"),
              BurnWindow("1 h", "14.2×", 0.99, "14.4×", "page"),
              BurnWindow("6 h", "7.3×", 1.0, "6×", "page", firing=True),
              BurnWindow("3 d", "1.6×", 1.0, "1×", "ticket", firing=True)),
        burn_chart=burn_chart,
        spenders=table("What spent it", ("spent by", "share>", "failures>", "since"), [
            (Cell("incident 14: checkout answers 503", link="incident/show?id=14"), Cell("51 %", bar=0.51),
             "1,204", "18 May 14:20"),
            (Cell("incident 12: card payments refused", link="incident/show?id=12"), Cell("33 %", bar=0.33),
             "779", "3 May 09:10"),
            (Cell("deployed web 1.4.2", link="rollout/show?id=31"), Cell("4 %", bar=0.04), "94", "13 May 08:00"),
            (Cell("unexplained", "quiet"), Cell("12 %", bar=0.12), "283", "–")]),
        worst=table("Worst five minutes", ("slot", "bad>", "total>", "share>"), [
            ("18 May 14:25", "118", "702", "16.8 %"), ("18 May 14:30", "97", "689", "14.1 %"),
            ("3 May 09:15", "61", "655", "9.3 %")]),
        policy=Policy("default", (
            Zone("Ship", "above 50 % left", "good"), Zone("Take care", "50–25 % left", "plain"),
            Zone("Slow down", "25–0 % left", "warn"), Zone("Freeze", "spent", "bad", True)),
            "Only fixes for reliability are deployed until the budget is above zero again.",
            ("The gate refuses deployments of web: the command mainstay slo gate ends with 1.",
             "A review is due by 22 May with the owner, team payments."), datetime(2026, 5, 18, 14, 20, tzinfo=UTC)),
        todo=(Todo("Runbook: checkout answers 5xx", "runbook/show?name=checkout-5xx", detail="7 steps, 2 to approve"),
              Todo("Incident 14 is open", "incident/show?id=14", detail="no commander yet"),
              Todo("See whether you may deploy", command="mainstay slo gate --service web")),
        definition=Pairs((
            ("indicator", cells("good / total, requests to /checkout")),
            ("bad is", cells("status ≥ 500")), ("excluded", cells("synthetic probes, maintenance windows")),
            ("method", cells("Occurrences")), ("source", cells("prometheus “main”")),
            ("declared in", cells("slo/checkout.yaml:1"))), "Definition"),
        source=Code("apiVersion: openslo/v1\nkind: SLO\nmetadata:\n  name: checkout-availability\nspec:\n"
                    "  service: web\n",
                    "yaml", "Show the document"),
        windows=(Choice("30 days", "slo/show?name=checkout-availability&window=30d", True),
                 Choice("calendar quarter", "slo/show?name=checkout-availability&window=quarter")),
        measured_at=NOW)


PAGES = (
    Page("/", "Objectives", "overview.html", overview, "slo"),
    Page("/slo/show", "Objective", "objective.html", objective, "slo", ranged=True, listed=False),
)
