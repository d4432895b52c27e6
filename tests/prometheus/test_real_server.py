"""A real Prometheus: its gauges, its refusals, its doors and locks."""

from __future__ import annotations

import gzip
import json
import ssl
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import httpx
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mainstay.adapters.prometheus import PrometheusSettings, PrometheusSource, Secret, Tls, selector
from mainstay.kernel.errors import InvalidInput, SourceUnavailable
from mainstay.kernel.ports import CountRequest, GaugeQuery, PromQuery
from mainstay.kernel.quantity import Span
from programs import need
from servers.prometheus import Server, prometheus, victoria_metrics
from shared_data import shared

pytestmark = pytest.mark.server("prometheus")

START = 1_740_787_200
SPAN = Span(datetime.fromtimestamp(START, UTC), datetime.fromtimestamp(START + 3600, UTC))
AWKWARD = 'a"b\\c} or vector(1) # `\'\nend'


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    name = AWKWARD.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    lines = ["# TYPE asked counter"]
    lines += [f'asked_total{{path="{name}"}} {nth} {START + 60 * nth}' for nth in range(61)]
    lines += ["# TYPE queue gauge"]
    lines += [f'queue{{pod="a"}} {nth % 4} {START + 60 * nth}' for nth in range(61)]
    lines += [f'queue{{pod="b"}} 0 {START + 60 * nth}' for nth in range(61)]
    with prometheus(tmp_path_factory.mktemp("real"), backfill="\n".join([*lines, "# EOF", ""])) as running:
        yield running


@pytest.fixture(scope="module")
def source(server: Server) -> Iterator[PrometheusSource]:
    with PrometheusSource(PrometheusSettings(server.url)) as source:
        yield source


def test_the_engine_and_its_version_are_told(source: PrometheusSource) -> None:
    assert source.probe().startswith("prometheus 2.")


@pytest.mark.server("victoria-metrics")
def test_victoria_metrics_is_recognised_and_reads_raw_samples_alike(tmp_path: Path) -> None:
    text = "".join(f'queue{{pod="a"}} {nth % 4} {(START + 60 * nth) * 1000}\n' for nth in range(61))

    with victoria_metrics(tmp_path, backfill=text) as server, PrometheusSource(
            PrometheusSettings(server.url)) as source:
        [reading] = source.count([CountRequest(GaugeQuery("queue", "<", 3), SPAN)])
        told = source.probe()

    assert told == "victoriametrics"
    assert reading.series.total.tolist() == [5.0] * 12
    assert reading.series.bad.tolist() == [1, 1, 1, 2, 1, 1, 1, 2, 1, 1, 1, 2]


def test_a_wrong_path_is_recognised(server: Server) -> None:
    with pytest.raises(SourceUnavailable) as caught:
        _probe(PrometheusSettings(server.url + "/prometheus/"))

    assert "is the path right?" in caught.value.way_out


# -- gauges -----------------------------------------------------------------------------------------------------------


def test_every_raw_sample_of_a_gauge_is_compared(source: PrometheusSource) -> None:
    [reading] = source.count([CountRequest(GaugeQuery('queue{pod="a"}', "<", 3), SPAN)])

    assert reading.series.total.tolist() == [5.0] * 12
    # Of nth = 0 … 59 each fourth is 3; a slot holds its own start and not its end.
    assert reading.series.bad.tolist() == [1, 1, 1, 2, 1, 1, 1, 2, 1, 1, 1, 2]


def test_the_series_of_a_gauge_weigh_alike(source: PrometheusSource) -> None:
    [reading] = source.count([CountRequest(GaugeQuery("queue", "<", 3), SPAN)])

    assert (reading.series.bad_sum, reading.series.total_sum) == (15, 120)


def test_an_expression_is_compared_once_a_step(source: PrometheusSource) -> None:
    [reading] = source.count([CountRequest(GaugeQuery("max(queue) # the longest", "<", 3), SPAN, step=60)])

    assert reading.series.total.tolist() == [1.0] * 60
    assert reading.series.bad_sum == 15


def test_a_share_counts_as_much_of_each_step(source: PrometheusSource) -> None:
    shares = [GaugeQuery("vector(0.25)", share=share) for share in ("good", "bad")]

    [good, bad] = source.count([CountRequest(share, SPAN) for share in shares])

    assert (good.series.bad_sum, good.series.total_sum) == (9, 12)
    assert (bad.series.bad_sum, bad.series.total_sum) == (3, 12)


def test_a_breakdown_of_a_gauge_names_the_series_that_fail(source: PrometheusSource) -> None:
    spenders = source.breakdown(CountRequest(GaugeQuery("queue", "<", 3), SPAN), ["pod"])

    assert [(spender.labels, spender.bad) for spender in spenders] == [({"pod": "a"}, 15)]


def test_real_up_samples_read_as_their_origin_says(tmp_path: Path) -> None:
    # Readings of SOURCES.md: 34,197 distinct samples of nine targets, 1,889 of them 0.
    samples: dict[tuple[str, float], str] = {}
    for path in sorted(shared("prometheus").glob("redhat_aiops_up_*.json.gz")):
        for series in json.loads(gzip.decompress(path.read_bytes())):
            labels = {name: value for name, value in series["metric"].items() if name != "__name__"}
            samples |= {(selector("up", labels), at): value for at, value in series["values"]}
    text = "".join(f"{name} {value} {at}\n" for (name, at), value in sorted(samples.items()))
    span = Span(datetime(2019, 7, 28, 10, tzinfo=UTC), datetime(2019, 7, 29, 16, 5, tzinfo=UTC))

    with prometheus(tmp_path, backfill=f"# TYPE up gauge\n{text}# EOF\n") as server, PrometheusSource(
            PrometheusSettings(server.url)) as source:
        [reading] = source.count([CountRequest(GaugeQuery("up", ">=", 1), span)])
        spenders = source.breakdown(CountRequest(GaugeQuery("up", ">=", 1), span), ["instance"])

    assert (reading.series.total_sum, reading.series.bad_sum) == (34_197, 1_889)
    assert [spender.bad for spender in spenders] == [1800, 81, 8]


# -- queries ----------------------------------------------------------------------------------------------------------


def test_a_query_the_server_cannot_parse_is_shown_with_its_reason(source: PrometheusSource) -> None:
    with pytest.raises(InvalidInput) as caught:
        source.count([CountRequest(PromQuery("asked_total{path=}", counter=True), SPAN, bad=PromQuery("vector(0)"))])

    assert "query: sum(increase(asked_total{path=}[5m1ms:1m]))" in caught.value.message
    assert "parse error" in caught.value.message


def test_more_points_than_the_server_gives_are_asked_in_halves(server: Server) -> None:
    year = Span(datetime(2025, 1, 1, tzinfo=UTC), datetime(2025, 7, 1, tzinfo=UTC))
    request = CountRequest(PromQuery("asked_total", counter=True), year, bad=PromQuery("vector(0)"))

    with PrometheusSource(PrometheusSettings(server.url, max_points=100_000)) as greedy:
        [reading] = greedy.count([request])

    assert len(reading.series) == 181 * 288
    assert reading.series.total_sum == 60


def test_more_samples_than_the_server_loads_are_asked_in_parts(tmp_path: Path) -> None:
    text = "".join(f"asked_total {nth} {START + 60 * nth}\n" for nth in range(1441))
    day = Span(SPAN.start, datetime.fromtimestamp(START + 86_400, UTC))
    request = CountRequest(PromQuery("asked_total", counter=True), day, bad=PromQuery("vector(0)"))

    with prometheus(tmp_path, backfill=f"# TYPE asked counter\n{text}# EOF\n",
                    flags=["--query.max-samples=400"]) as small, PrometheusSource(
            PrometheusSettings(small.url)) as source:
        [reading] = source.count([request])

    assert reading.series.total.tolist() == [5.0] * 288


def test_any_text_as_a_label_value_matches_only_itself(source: PrometheusSource) -> None:
    def total_of(path: str) -> float:
        asked = PromQuery(selector("asked_total", {"path": path}), counter=True)
        return source.count([CountRequest(asked, SPAN, bad=PromQuery("vector(0)"))])[0].series.total_sum

    assert total_of(AWKWARD) == 60
    assert total_of('"} or vector(1) #') == 0


@settings(max_examples=40, deadline=None)
@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_no_label_value_breaks_out_of_its_selector(source: PrometheusSource, value: str) -> None:
    asked = f"count({selector('asked_total', {'path': value})}) or vector(0)"

    [reading] = source.count([CountRequest(PromQuery(asked), SPAN, bad=PromQuery("vector(0)"))])

    assert reading.series.known.all()
    assert np.array_equal(reading.series.total > 0, np.full(12, value == AWKWARD))


@pytest.mark.parametrize(("metric", "labels"), [("x{}", {}), ("", {}), ("x", {'a="b",c': "d"}), ("x", {"": "d"})])
def test_a_name_that_is_none_makes_no_selector(metric: str, labels: dict[str, str]) -> None:
    with pytest.raises(InvalidInput, match="is not a name of a"):
        selector(metric, labels)


# -- locks ------------------------------------------------------------------------------------------------------------


def _certificate(folder: Path, name: str) -> tuple[str, str]:
    key, cert = folder / f"{name}.key", folder / f"{name}.pem"
    subprocess.run([need("openssl"), "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2",
                    "-subj", f"/CN={name}", "-addext", "subjectAltName=IP:127.0.0.1",
                    "-keyout", str(key), "-out", str(cert)], check=True, capture_output=True)
    return str(cert), str(key)


@contextmanager
def _locked(folder: Path) -> Iterator[PrometheusSettings]:
    """A real Prometheus that wants TLS with a client's certificate and a password, and the settings that open it."""
    cert, key = _certificate(folder, "server")
    client_cert, client_key = _certificate(folder, "client")
    web = folder / "web.yml"
    web.write_text(
        f"tls_server_config: {{cert_file: {cert}, key_file: {key}, client_ca_file: {client_cert}, "
        "client_auth_type: RequireAndVerifyClientCert}\n"
        # bcrypt of "correct horse"
        "basic_auth_users: {reader: $2b$04$1gGsq3ydvtBONbf2xbC8TuOEMG/B/Pty41ygE4rhxfpZxJPRls1Ia}\n")
    password = folder / "password"
    password.write_text("correct horse\n")
    trust = ssl.create_default_context(cafile=cert)
    trust.load_cert_chain(client_cert, client_key)
    with httpx.Client(verify=trust, auth=("reader", "correct horse"), trust_env=False) as client, prometheus(
            folder / "server", flags=[f"--web.config.file={web}"], client=client) as server:
        yield PrometheusSettings(server.url, user="reader", password=Secret(file=str(password)),
                                 tls=Tls(ca=cert, cert=client_cert, key=client_key), retries=0)


@pytest.fixture(scope="module")
def locked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PrometheusSettings]:
    with _locked(tmp_path_factory.mktemp("locked")) as settings:
        yield settings


def _probe(settings: PrometheusSettings) -> str:
    with PrometheusSource(settings) as source:
        return source.probe()


def test_password_and_certificates_open_a_locked_server(locked: PrometheusSettings) -> None:
    assert _probe(locked).startswith("prometheus 2.")


def test_a_certificate_nobody_vouched_for_is_accepted_only_when_told_so(locked: PrometheusSettings) -> None:
    with pytest.raises(SourceUnavailable, match="no trusted TLS connection") as caught:
        _probe(replace(locked, tls=replace(locked.tls, ca="")))

    assert "`ca`" in caught.value.way_out
    assert _probe(replace(locked, tls=replace(locked.tls, ca="", insecure=True))).startswith("prometheus 2.")


def test_a_missing_client_certificate_is_a_refusal(locked: PrometheusSettings) -> None:
    with pytest.raises(SourceUnavailable):
        _probe(replace(locked, tls=replace(locked.tls, cert="", key="")))


def test_a_wrong_password_is_a_locked_door(locked: PrometheusSettings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WRONG", "incorrect horse")

    with pytest.raises(SourceUnavailable, match=r"does not let us in \(401\)") as caught:
        _probe(replace(locked, password=Secret(env="WRONG")))

    assert "incorrect" not in caught.value.message
