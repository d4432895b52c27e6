"""Every way a Prometheus can fail us, against a fake server: what the message says, and the way out."""

from __future__ import annotations

import gzip
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path

import numpy as np
import pytest

from mainstay.adapters.clock import FakeClock
from mainstay.adapters.prometheus import PrometheusSettings, PrometheusSource, Secret, Tls
from mainstay.kernel.errors import InvalidInput, MainstayError, SourceUnavailable
from mainstay.kernel.ports import Condition, CountRequest, EventQuery, GaugeQuery, PromQuery, Reading
from mainstay.kernel.quantity import Span
from servers.fake_prometheus import FakeAnswer, FakePrometheus, fake_prometheus, matrix
from servers.nowhere import nobody_listens

START = 1_740_787_200
SPAN = Span(datetime.fromtimestamp(START, UTC), datetime.fromtimestamp(START + 900, UTC))
REQUEST = CountRequest(PromQuery("total"), SPAN, bad=PromQuery("failed"))
GAUGE = CountRequest(GaugeQuery("avg(x)", "<", 5), SPAN)
EMPTY = FakeAnswer(matrix())


def values(*texts: str) -> FakeAnswer:
    """A good answer: one series with these values at the slots' ends."""
    return FakeAnswer(matrix(({}, [(START + 300 * (nth + 1), text) for nth, text in enumerate(texts)])))


def error(kind: str, text: str) -> dict[str, str]:
    return {"status": "error", "errorType": kind, "error": text}


@contextmanager
def asking(fake: FakePrometheus, **settings: object) -> Iterator[PrometheusSource]:
    with PrometheusSource(PrometheusSettings(fake.url, **{"at_once": 1, **settings})) as source:  # type: ignore[arg-type]
        yield source


def failing(answer: FakeAnswer, **settings: object) -> MainstayError:
    """What stops the run when the fake answers so, always."""
    with fake_prometheus(answer) as fake, asking(fake, **{"retries": 0, **settings}) as source:
        with pytest.raises(MainstayError) as caught:
            source.count([REQUEST])
        assert fake.url in caught.value.message
        return caught.value


def reading(*answers: FakeAnswer, request: CountRequest = REQUEST, **settings: object) -> Reading:
    """What is read when the fake answers so: first the total, then the bad events."""
    with fake_prometheus(*answers) as fake, asking(fake, **settings) as source:
        return source.count([request])[0]


# -- nobody there -----------------------------------------------------------------------------------------------------


def test_a_refused_connection_asks_whether_the_server_runs() -> None:
    with nobody_listens() as port, \
            PrometheusSource(PrometheusSettings(f"http://127.0.0.1:{port}", retries=1)) as source, \
            pytest.raises(SourceUnavailable, match="connection refused") as caught:
        source.count([REQUEST])

    assert "is the server running" in caught.value.way_out


def test_an_unknown_host_is_told_from_a_server_that_is_down() -> None:
    settings = PrometheusSettings("http://prometheus.invalid:9090")

    with PrometheusSource(settings) as source, pytest.raises(SourceUnavailable) as caught:
        source.count([REQUEST])

    assert "the host name in http://prometheus.invalid:9090 is not known" in caught.value.message


def test_https_to_a_server_without_tls_says_so() -> None:
    with fake_prometheus(EMPTY) as fake:
        settings = PrometheusSettings(fake.url.replace("http", "https"))
        with PrometheusSource(settings) as source, pytest.raises(SourceUnavailable) as caught:
            source.count([REQUEST])

    assert "no trusted TLS connection" in caught.value.message
    assert "http:// if it speaks no TLS" in caught.value.way_out


def test_a_silent_server_is_given_up_after_the_time_out() -> None:
    began = time.monotonic()

    caught = failing(FakeAnswer(matrix(), before=60), timeout=0.3)

    assert "did not answer within 0.3 s" in caught.message
    assert "raise the time-out" in caught.way_out
    assert time.monotonic() - began < 30


def test_a_dripping_server_does_not_outlast_the_time_out() -> None:
    caught = failing(FakeAnswer(matrix(), between=0.05), timeout=0.4)

    assert "did not answer within 0.4 s" in caught.message


def test_a_connection_cut_in_the_middle_is_said() -> None:
    caught = failing(FakeAnswer(matrix(), cut=100))

    assert isinstance(caught, SourceUnavailable)
    assert "broke" in caught.message


# -- refusals ---------------------------------------------------------------------------------------------------------


def test_a_bad_query_is_shown_with_the_servers_reason() -> None:
    caught = failing(FakeAnswer(error("bad_data", '1:5: parse error: unexpected "}"'), 400))

    assert isinstance(caught, InvalidInput)
    assert 'parse error: unexpected "}"' in caught.message
    assert "query: sum((total))" in caught.message
    assert "correct the query" in caught.way_out


def test_a_bad_query_refused_in_plain_text_is_shown_too() -> None:
    caught = failing(FakeAnswer(b"bad request: cannot parse\n", 400))

    assert isinstance(caught, InvalidInput)
    assert "bad request: cannot parse" in caught.message


def test_a_query_that_cannot_be_executed_is_shown() -> None:
    caught = failing(FakeAnswer(error("execution", "found duplicate series for the match group"), 422))

    assert isinstance(caught, InvalidInput)
    assert "found duplicate series" in caught.message


@pytest.mark.parametrize("status", [401, 403])
def test_a_locked_door_asks_for_user_or_token(status: int) -> None:
    caught = failing(FakeAnswer(b"Unauthorized", status))

    assert isinstance(caught, SourceUnavailable)
    assert f"does not let us in ({status})" in caught.message
    assert "user and password, token" in caught.way_out


def test_a_missing_page_asks_whether_the_path_is_right() -> None:
    caught = failing(FakeAnswer(b"404 page not found", 404))

    assert "/api/v1/query_range" in caught.message
    assert "is the path right?" in caught.way_out


def test_a_method_that_is_not_allowed_names_the_setting() -> None:
    caught = failing(FakeAnswer(b"", 405))

    assert "does not allow POST" in caught.message
    assert "set the method of this source to GET" in caught.way_out


def test_a_redirect_is_not_followed_and_its_place_is_shown_without_secrets() -> None:
    with fake_prometheus(EMPTY) as elsewhere:
        place = elsewhere.url.replace("http://", "http://me:hidden@") + "/login?session=hidden"
        caught = failing(FakeAnswer(b"", 302, {"Location": place}))

        assert elsewhere.asked == []
    assert f"sends us elsewhere (302), to {elsewhere.url}/login" in caught.message
    assert "hidden" not in caught.message


# -- failures in passing ----------------------------------------------------------------------------------------------


def test_too_many_queries_are_asked_again_after_the_time_the_server_names() -> None:
    busy = FakeAnswer(b"", 429, {"Retry-After": "1"})
    began = time.monotonic()

    found = reading(busy, values("10", "10", "10"), values("1", "0", "0"))

    assert time.monotonic() - began >= 1
    assert (found.series.bad_sum, found.series.total_sum) == (1, 30)


def test_a_wait_may_be_named_as_a_date() -> None:
    when = format_datetime(datetime.now(UTC) + timedelta(seconds=-5), usegmt=True)

    found = reading(FakeAnswer(b"", 503, {"Retry-After": when}), values("10", "10", "10"), EMPTY)

    assert found.series.total_sum == 30


@pytest.mark.parametrize("seconds", [20, 86_400])
def test_waiting_is_by_the_clock_that_was_handed_in(seconds: int) -> None:
    # A date is read by the server's own clock; the wall clock that a report in the past is handed is another.
    clock = FakeClock(datetime(2025, 3, 1, 1, tzinfo=UTC))
    tomorrow = format_datetime(datetime.now(UTC) + timedelta(days=1), usegmt=True)
    named = tomorrow if seconds == 86_400 else str(seconds)
    busy = FakeAnswer(b"", 429, {"Retry-After": named})
    with fake_prometheus(busy, values("10", "10", "10"), EMPTY) as fake, PrometheusSource(
            PrometheusSettings(fake.url, timeout=100_000, at_once=1), clock) as source:
        assert source.count([REQUEST])[0].series.total_sum == 30
    assert clock.monotonic() == pytest.approx(seconds, abs=300)


def test_a_slot_that_is_not_over_by_the_clock_is_not_known_yet() -> None:
    clock = FakeClock(SPAN.start + timedelta(seconds=650))
    with fake_prometheus(values("10", "10"), EMPTY) as fake, PrometheusSource(
            PrometheusSettings(fake.url, at_once=1), clock) as source:
        assert source.count([REQUEST])[0].series.known.tolist() == [True, True, False]
        assert {form["end"] for _, _, form, _ in fake.asked} == {str(START + 600)}


def test_a_wait_beyond_the_time_out_is_not_waited_for() -> None:
    began = time.monotonic()

    caught = failing(FakeAnswer(b"", 429, {"Retry-After": "3600"}), retries=2, timeout=60)

    assert "takes no more queries just now" in caught.message
    assert time.monotonic() - began < 30


def test_a_failure_that_passes_is_not_noticed() -> None:
    found = reading(FakeAnswer(b"", 500), FakeAnswer(b"", 503), values("10", "10", "10"), EMPTY)

    assert found.series.total_sum == 30


def test_a_failure_that_stays_is_tried_as_often_as_set_and_then_told() -> None:
    with fake_prometheus(FakeAnswer(error("internal", "disk on fire"), 500)) as fake:
        with asking(fake, retries=2) as source, pytest.raises(SourceUnavailable, match="failed with 500: disk on fire"):
            source.count([GAUGE])

        assert len(fake.asked) == 3


# -- answers that are none --------------------------------------------------------------------------------------------


def test_a_web_page_instead_of_data_is_recognised() -> None:
    caught = failing(FakeAnswer(b"<!doctype html><title>Sign in</title>"))

    assert "answered with a web page" in caught.message
    assert "is the path right" in caught.way_out


def test_a_truncated_answer_is_never_read_as_data() -> None:
    caught = failing(FakeAnswer(b'{"status":"success","data":{"resultType":"matrix","result":[{"metr'))

    assert isinstance(caught, SourceUnavailable)
    assert "not whole Prometheus JSON" in caught.message


def test_json_of_another_kind_is_not_read_as_no_data() -> None:
    caught = failing(FakeAnswer({"hello": "world"}))

    assert "not whole Prometheus JSON" in caught.message


@pytest.mark.parametrize("data", [{}, {"resultType": "streams", "result": []}])
def test_an_answer_without_series_is_not_read_as_no_data(data: dict[str, object]) -> None:
    caught = failing(FakeAnswer({"status": "success", "data": data}))

    assert "where series were asked for" in caught.message


def test_an_error_told_with_status_200_is_an_error() -> None:
    caught = failing(FakeAnswer(error("timeout", "query timed out in expression evaluation")))

    assert isinstance(caught, SourceUnavailable)
    assert "query timed out" in caught.message


def test_broken_compression_is_said() -> None:
    caught = failing(FakeAnswer(b"not gzip at all", headers={"Content-Encoding": "gzip"}))

    assert "broken compression" in caught.message


def test_values_for_times_that_were_not_asked_for_are_refused() -> None:
    caught = failing(FakeAnswer(matrix(({}, [(START + 450, "1")]))))

    assert "times that were not asked for" in caught.message


def test_histograms_where_numbers_are_needed_name_the_function() -> None:
    answer = {"status": "success", "data": {"resultType": "matrix", "result": [
        {"metric": {}, "histograms": [[START + 300, {"count": "3"}]]}]}}
    with fake_prometheus(FakeAnswer(answer)) as fake, asking(fake) as source, pytest.raises(InvalidInput) as caught:
        source.count([REQUEST])

    assert "histogram_count" in caught.value.way_out


# -- answers that need care -------------------------------------------------------------------------------------------


def test_a_compressed_answer_is_read() -> None:
    body = gzip.compress(b'{"status":"success","data":{"resultType":"matrix","result":[{"metric":{},"values":'
                         b'[[1740787500,"10"]]}]}}')

    found = reading(FakeAnswer(body, headers={"Content-Encoding": "gzip"}), EMPTY)

    assert found.series.total.tolist() == [10, 0, 0]


def test_a_slot_without_total_is_a_gap_whatever_bad_says() -> None:
    one = FakeAnswer(matrix(({}, [(START + 600, "10")])))

    found = reading(one, values("1", "1", "1"))

    assert found.series.known.tolist() == [False, True, False]
    assert found.series.bad.tolist() == [0, 1, 0]


def test_nan_in_a_slot_is_a_gap_with_a_warning() -> None:
    found = reading(values("10", "NaN", "+Inf"), values("1", "1", "1"))

    assert found.series.known.tolist() == [True, False, False]
    assert found.series.total.tolist() == [10, 0, 0]
    assert found.warnings == ("total is NaN, infinite or below zero in 2 of 3 slots, unknown there: sum((total))",)


def test_nan_in_bad_makes_its_slot_unknown_and_not_good() -> None:
    found = reading(values("10", "10", "10"), values("1", "NaN", "1"))

    assert found.series.known.tolist() == [True, False, True]
    assert "bad is NaN, infinite or below zero in 1 of 3 slots" in found.warnings[0]


def test_nothing_but_nan_is_no_data_and_never_zero() -> None:
    found = reading(values("NaN", "NaN", "NaN"), EMPTY)

    assert not found.series.known.any()
    assert "in every slot" in found.warnings[0]


def test_nothing_that_matches_is_no_data_with_a_warning() -> None:
    found = reading(EMPTY, EMPTY)

    assert not found.series.known.any()
    assert found.warnings == ("nothing in this span matches sum((total))",)


def test_more_bad_than_total_is_cut_with_a_warning_that_counts_the_slots() -> None:
    found = reading(values("10", "10", "10"), values("12", "1", "11"))

    assert found.series.bad.tolist() == [10, 1, 10]
    assert "bad exceeds total in 2 of 3 slots, by up to 2," in found.warnings[0]


def test_more_good_than_total_is_cut_with_a_warning() -> None:
    found = reading(values("10", "10", "10"), values("12", "9", "10"),
                    request=CountRequest(PromQuery("total"), SPAN, good=PromQuery("fine")))

    assert found.series.bad.tolist() == [0, 1, 0]
    assert "good exceeds total in 1 of 3 slots" in found.warnings[0]


def test_rounding_in_the_server_is_cut_silently() -> None:
    found = reading(values("10", "10", "10"), values("10.000000000001", "0", "0"))

    assert found.series.bad.tolist() == [10, 0, 0]
    assert not found.warnings


def test_partial_answers_and_notes_of_the_server_are_passed_on_once() -> None:
    partial = FakeAnswer(matrix(({}, [(START + 300, "10")]), warnings=["store eu-1 is gone"], infos=["odd metric"]))

    found = reading(partial, partial)

    assert found.warnings == ("store eu-1 is gone", "odd metric")


def test_a_gauge_that_is_nan_says_nothing() -> None:
    found = reading(values("4", "NaN", "6"), request=GAUGE)

    assert found.series.bad.tolist() == [0, 0, 1]
    assert found.series.known.tolist() == [True, False, True]
    assert "1 of 3 samples of (avg(x)) is NaN or infinite" in found.warnings[0]


def test_a_share_in_percent_is_noticed() -> None:
    found = reading(values("0.5", "99.9", "1"), request=CountRequest(GaugeQuery("avg(x)", share="good"), SPAN))

    np.testing.assert_allclose(found.series.bad, [0.5, 0, 0])
    assert "1 of 3 values of (avg(x)) lie outside 0..1" in found.warnings[0]


def test_a_query_that_reads_too_much_at_once_is_asked_in_halves() -> None:
    refusal = FakeAnswer(error("execution", "query processing would load too many samples into memory"), 422)
    halves = [FakeAnswer(matrix(({}, [(START + 300, "10")]))),
              FakeAnswer(matrix(({}, [(START + 600, "10"), (START + 900, "10")])))]

    found = reading(refusal, *halves, EMPTY)

    assert found.series.total.tolist() == [10, 10, 10]


# -- what is sent -----------------------------------------------------------------------------------------------------


def test_long_spans_are_asked_in_pieces() -> None:
    with fake_prometheus(EMPTY) as fake, asking(fake, max_points=2) as source:
        source.count([GAUGE])

        assert sorted((form["start"], form["end"]) for _, _, form, _ in fake.asked) == [
            (str(START + 300), str(START + 600)), (str(START + 900), str(START + 900))]


def test_equal_queries_of_a_batch_are_asked_once() -> None:
    with fake_prometheus(EMPTY) as fake, asking(fake) as source:
        source.count([REQUEST, REQUEST, CountRequest(PromQuery("total"), SPAN, bad=PromQuery("slow"))])

        assert sorted(form["query"] for _, _, form, _ in fake.asked) == ["sum((failed))", "sum((slow))", "sum((total))"]


def test_slots_that_are_not_over_are_neither_asked_nor_known() -> None:
    now = datetime.now(UTC)
    request = CountRequest(GAUGE.total, Span(now + timedelta(hours=1), now + timedelta(hours=2)))
    with fake_prometheus(EMPTY) as fake, asking(fake) as source:
        [found] = source.count([request])

        assert fake.asked == []
    assert len(found.series) >= 12
    assert not found.series.known.any()
    assert not found.warnings


@pytest.mark.parametrize("placeholder", ["$window", "${window}", "{{.window}}", "{{ .window }}", "{{window}}"])
def test_the_slots_length_is_filled_into_an_expression(placeholder: str) -> None:
    request = CountRequest(PromQuery(f"increase(x[{placeholder}])"), SPAN, bad=PromQuery("b"))
    with fake_prometheus(EMPTY) as fake, asking(fake) as source:
        assert source.count([request])[0].asked[0] == "sum((increase(x[5m])))"


def test_the_token_is_read_anew_for_each_query(tmp_path: Path) -> None:
    token = tmp_path / "token"
    with fake_prometheus(EMPTY) as fake, asking(fake, token=Secret(file=str(token))) as source:
        for text in ("first", "second"):
            token.write_text(text + "\n")
            source.count([GAUGE])

        assert [headers["Authorization"] for *_, headers in fake.asked] == ["Bearer first", "Bearer second"]


def test_extra_headers_reach_the_server() -> None:
    with fake_prometheus(EMPTY) as fake, asking(fake, headers={"X-Scope-OrgID": "team-a"}) as source:
        source.count([GAUGE])

        assert fake.asked[0][3]["X-Scope-OrgID"] == "team-a"


def test_get_is_used_where_it_is_set() -> None:
    with fake_prometheus(EMPTY) as fake, asking(fake, method="GET") as source:
        source.count([GAUGE])

        assert fake.asked[0][0] == "GET"
        assert fake.asked[0][2]["query"] == "(avg(x))"


# -- secrets and settings ---------------------------------------------------------------------------------------------


def test_a_token_that_the_server_repeats_does_not_reach_the_message(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PROM_TOKEN", "s3cr3t-t0ken")

    caught = failing(FakeAnswer(b"token s3cr3t-t0ken has expired", 401), token=Secret(env="PROM_TOKEN"))

    assert "token ••• has expired" in caught.message


def test_userinfo_in_the_address_is_used_and_never_shown() -> None:
    with fake_prometheus(FakeAnswer(b"no, hunter2", 403)) as fake:
        settings = PrometheusSettings(fake.url.replace("http://", "http://me:hunter2@"))
        with PrometheusSource(settings) as source, pytest.raises(SourceUnavailable) as caught:
            source.count([GAUGE])

        assert fake.asked[0][3]["Authorization"].startswith("Basic ")
    assert "hunter2" not in caught.value.message + caught.value.way_out + repr(settings)
    assert fake.url in caught.value.message


def test_a_secret_that_is_not_there_names_its_place(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("NO_SUCH_TOKEN", raising=False)
    (tmp_path / "empty").touch()

    for secret, words in ((Secret(env="NO_SUCH_TOKEN"), "the environment variable NO_SUCH_TOKEN holds no secret"),
                          (Secret(file=str(tmp_path / "none")), "cannot be read"),
                          (Secret(file=str(tmp_path / "empty")), "holds no secret")):
        with pytest.raises(InvalidInput, match=words):
            secret.read()


@pytest.mark.parametrize("url", ["", "localhost:9090", "ftp://host", "http://", "http://host:9090/graph?g0.expr=up"])
def test_an_address_that_is_none_is_refused_before_anything_is_asked(url: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        PrometheusSource(PrometheusSettings(url))

    assert "http://host:9090" in caught.value.way_out


def test_tls_files_that_are_not_there_are_named() -> None:
    with pytest.raises(InvalidInput, match="the TLS files cannot be used"):
        PrometheusSource(PrometheusSettings("https://host", tls=Tls(ca="/no/such/file.pem")))


# -- requests this source cannot answer -------------------------------------------------------------------------------


@pytest.mark.parametrize("request_", [
    CountRequest(EventQuery((Condition("status", ">=", (500.0,)),)), SPAN, bad=PromQuery("x")),
    CountRequest(PromQuery("x"), SPAN, bad=EventQuery()),
    CountRequest(PromQuery("x"), SPAN),
    CountRequest(PromQuery("x"), SPAN, bad=PromQuery("x"), good=PromQuery("x")),
    CountRequest(GaugeQuery("x", "<", 1), SPAN, bad=PromQuery("x")),
    CountRequest(GaugeQuery("x", "=<", 1), SPAN),
    CountRequest(GaugeQuery("x", share="percent"), SPAN),
], ids=["events", "bad events", "neither", "both", "gauge with bad", "operator", "share"])
def test_a_request_that_makes_no_sense_here_is_refused_with_a_way_out(request_: CountRequest) -> None:
    with fake_prometheus(EMPTY) as fake, asking(fake) as source:
        with pytest.raises(InvalidInput) as caught:
            source.count([request_])

        assert fake.asked == []
    assert caught.value.way_out


@pytest.mark.parametrize("text", ["", "rate(x[5m])", "sum(rate(x[5m]))", "sum(x) + sum(y)", "x[5m]", "x{a='1'} or y"])
def test_a_counter_that_is_more_than_a_selector_is_refused(text: str) -> None:
    with fake_prometheus(EMPTY) as fake, asking(fake) as source, pytest.raises(InvalidInput) as caught:
        source.count([CountRequest(PromQuery(text, counter=True), SPAN, bad=PromQuery("x"))])

    assert "$window" in caught.value.way_out


@pytest.mark.parametrize(("text", "selected"), [
    (" x ", "x"), ("sum(x)", "x"), ("sum ( x{a=~'b}',c!=\"}\"} )", "x{a=~'b}',c!=\"}\"}"),
    ('{__name__="x"}', '{__name__="x"}'), ("job:x:sum", "job:x:sum")])
def test_a_counter_is_asked_for_by_its_selector(text: str, selected: str) -> None:
    with fake_prometheus(EMPTY) as fake, asking(fake) as source:
        found = source.count([CountRequest(PromQuery(text, counter=True), SPAN, bad=PromQuery("x"))])[0]

    assert found.asked[0] == f"sum(increase({selected}[5m1ms:1m]))"


@pytest.mark.parametrize("by", [[], ["code) or vector(1"], ["co-de"]])
def test_a_breakdown_by_what_is_no_label_is_refused(by: list[str]) -> None:
    with fake_prometheus(EMPTY) as fake, asking(fake) as source, pytest.raises(InvalidInput):
        source.breakdown(REQUEST, by)


def test_a_breakdown_of_good_weighs_a_counter_and_an_expression_alike() -> None:
    request = CountRequest(PromQuery("x", counter=True), SPAN, good=PromQuery("increase(y[$window])"))
    with fake_prometheus(EMPTY) as fake, asking(fake) as source:
        source.breakdown(request, ["path"])

        total = "sum by (path) (increase(x[5m1ms:1m]))"
        assert fake.asked[0][2]["query"] == (
            f"{total} - (sum by (path) ((increase(y[5m]))) * 1.00000333333 or 0 * {total}) > 1e-06")


def test_a_breakdown_sums_what_is_beyond_its_limit() -> None:
    lost = {"/a": "5", "/b": "1", "/c": "9", "/d": "2"}
    answer = FakeAnswer(matrix(*(({"path": path}, [(START + 300, bad)]) for path, bad in lost.items())))
    with fake_prometheus(answer) as fake, asking(fake) as source:
        spenders = source.breakdown(REQUEST, ["path"], limit=2)

    assert [(spender.labels["path"], spender.bad) for spender in spenders] == [("/c", 9), ("/a", 5), ("(other)", 3)]
    assert spenders[2].by_slot == {START: 3}
