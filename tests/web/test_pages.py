"""Pages as they arrive, before any script runs."""

from __future__ import annotations

import re
from dataclasses import replace
from html.parser import HTMLParser

import pytest

from mainstay.doors.front import Hooks, ServerSettings
from mainstay.doors.web.links import address, local_path
from mainstay.doors.web.pages import Page
from mainstay.kernel.errors import MainstayError, NoData, NotFound
from mainstay.kernel.operation import Operation
from toy_pages import PAGES
from toy_server import Client, Report, ReportRequest, show_report, toy_app

VOID = {"meta", "link", "input", "br", "img", "hr"}


class Outline(HTMLParser):
    """What a page is made of, and whether its tags close in order."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.headings: list[int] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if re.fullmatch("h[1-6]", tag):
            self.headings.append(int(tag[1]))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open, f"</{tag}> closes nothing"
        assert self.open.pop() == tag, f"</{tag}> closes another tag"

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]


@pytest.fixture
def client() -> Client:
    return Client(toy_app(ServerSettings(catalog="shop"), pages=PAGES))


EVERY = ["/", "/slo/show?name=checkout", "/slo/report", "/slo/report?window=x", "/slo/freeze", "/search?q=a", "/login",
         "/nowhere"]


@pytest.mark.parametrize("path", EVERY)
def test_a_page_is_well_formed_and_readable_by_ear(client: Client, path: str) -> None:
    outline = Outline(client.get(path).text)
    assert outline.open == []
    assert outline.all("html")[0]["lang"] == "en"
    assert outline.headings[0] == 1
    assert outline.headings.count(1) == 1
    assert all(after - before <= 1 for before, after in zip(outline.headings, outline.headings[1:], strict=False))
    labelled = {one["for"] for one in outline.all("label")}
    for tag in ("input", "select"):
        for one in outline.all(tag):
            assert one.get("type") == "hidden" or one.get("id") in labelled or one.get("aria-label"), one
    identities = [attributes["id"] for _, attributes in outline.tags if "id" in attributes]
    assert len(identities) == len(set(identities))
    assert len(outline.all("main")) == 1
    for section in outline.all("section"):
        assert section.get("aria-label") or section.get("aria-labelledby") in identities, section
    for table in outline.all("table"):
        assert table.get("aria-label") or table.get("aria-labelledby") in identities, table


def test_a_page_of_one_thing_is_called_after_it_so_that_tabs_can_be_told_apart(client: Client) -> None:
    def title(path: str) -> str:
        return re.search("<title>(.*?)</title>", client.get(path).text)[1]  # type: ignore[index]

    assert title("/slo/show?name=checkout-availability") == "checkout-availability · Mainstay"
    assert title("/slo/report?name=checkout") == "Budget of checkout · Mainstay"
    assert title("/slo/freeze") == "slo freeze · Mainstay"
    assert title("/search?q=budget") == "budget · Search · Mainstay"


def test_a_column_without_a_name_has_no_empty_heading(client: Client) -> None:
    assert re.search(r"<th[^>]*></th>", client.get("/slo/report?name=unnamed").text) is None


@pytest.mark.parametrize("path", [*EVERY[:-1], "/metrics", "/api/v1/slo/report?name=checkout"])
def test_head_is_answered_as_get_without_the_body(client: Client, path: str) -> None:
    wanted, got = client.get(path), client.ask("HEAD", path)
    assert (got.status_code, got.content) == (wanted.status_code, b"")
    for header in ("Content-Type", "Content-Length"):
        assert got.headers[header] == wanted.headers[header]


@pytest.mark.parametrize("path", EVERY)
def test_a_page_has_no_inline_script_or_style_and_loads_nothing_from_elsewhere(client: Client, path: str) -> None:
    outline = Outline(client.get(path).text)
    for tag, attributes in outline.tags:
        assert "style" not in attributes, tag
        assert not any(name.startswith("on") for name in attributes), tag
        assert tag != "style"
        for source in ("src", "href", "action"):
            assert not (attributes.get(source) or "/").startswith(("http", "//", "data:", "javascript:")), attributes
    assert all(script.get("src") for script in outline.all("script"))


def test_the_form_keeps_what_was_typed_when_it_is_refused(client: Client) -> None:
    response = client.get("/slo/report?name=checkout&window=soon&label=a&label=b")
    assert response.status_code == 400
    for kept in ('value="checkout"', 'value="soon"', 'value="a"', 'value="b"', 'role="alert"'):
        assert kept in response.text


def test_fields_left_empty_mean_their_defaults(client: Client) -> None:
    response = client.get("/slo/report?name=checkout&window=&share=&label=&order=&whole=")
    assert response.status_code == 200
    assert "Budget of checkout" in response.text


def test_an_untouched_form_hints_at_what_it_needs_and_a_filled_one_is_refused(client: Client) -> None:
    untouched = client.get("/slo/suggest")
    assert untouched.status_code == 200
    assert "nothing to suggest from: name an objective or a log" in untouched.text
    assert 'role="alert"' not in untouched.text
    assert client.get("/slo/suggest?name=&log=").status_code == 400


@pytest.mark.parametrize("failure", [NotFound("no objective is declared", "docs/guides/slo.md shows how"),
                                     NoData("nothing was measured", "docs/guides/slo.md shows how")])
def test_a_page_of_the_menu_that_has_nothing_to_show_yet_says_what_would_fill_it(failure: MainstayError) -> None:
    def empty(_: object, __: object) -> Report:
        """Find nothing yet."""
        raise failure

    client = Client(toy_app(operations=(Operation("slo", "report", ReportRequest, empty, show_report),)))
    untouched = client.get("/slo/report")
    assert untouched.status_code == 200
    assert f"{failure.message}: docs/guides/slo.md shows how" in untouched.text
    assert client.get("/slo/report?name=missing").status_code == failure.http_status
    assert client.get("/api/v1/slo/report").status_code == failure.http_status


def test_a_link_may_fill_a_form_in_and_leave_the_rest_to_whoever_follows_it(client: Client) -> None:
    begun = client.get("/slo/report?name=missing&begun=true")
    assert begun.status_code == 200
    assert 'value="missing"' in begun.text
    assert 'role="alert"' not in begun.text
    assert "no objective is named" in begun.text


def test_an_argument_for_the_command_line_alone_is_not_asked_for(client: Client) -> None:
    assert 'name="config"' not in client.get("/slo/report").text


def test_a_page_that_acts_waits_for_its_form(client: Client) -> None:
    assert "frozen by" not in client.get("/slo/freeze?service=web").text
    form = {"service": "web", "csrf": client.form_token()}
    assert "frozen by local" in client.post("/slo/freeze", data=form).text


def test_mistakes_in_files_are_shown_with_their_caret(client: Client) -> None:
    response = client.get("/slo/report?name=broken")
    assert "slo.yaml:3:5" in response.text
    assert "tagret: 99.9" in response.text


def test_an_empty_table_says_what_would_fill_it(client: Client) -> None:
    assert "run: mainstay slo try LOG" in client.get("/slo/report").text


def test_a_command_of_the_house_has_a_page_and_a_route_of_its_own(client: Client) -> None:
    html = client.get("/check?name=a").text
    assert '<a href="/check"' in html
    assert "//check" not in html
    assert 'aria-current="page">check</a>' in html
    assert client.get("/api/v1/check?name=a").json()["name"] == "a"


def test_a_state_is_word_and_sign(client: Client) -> None:
    html = client.get("/").text
    for sign, word in (("●", "healthy"), ("◐", "at risk"), ("○", "violated"), ("–", "no data")):
        assert f'<span class="sign" aria-hidden="true">{sign}</span> {word}' in html


def test_times_are_plain_utc_until_a_script_knows_better(client: Client) -> None:
    assert ('<time datetime="2026-05-17T10:05:00Z" title="17 May 2026, 10:05:00 UTC" data-form="full">'
            "17 May 2026, 10:05 UTC</time>") in client.get("/slo/report").text


def test_the_range_stands_in_the_address_and_keeps_the_rest_of_it(client: Client) -> None:
    html = client.get("/slo/show?name=a&range=7d").text
    assert '<option value="7d" selected>' in html
    assert '<input type="hidden" name="name" value="a">' in html
    assert '<option value="30d" selected>' in client.get("/slo/show?name=a&range=9y").text


def test_a_page_without_a_range_shows_no_control_for_it(client: Client) -> None:
    assert 'id="range"' not in client.get("/").text


def test_a_hand_made_page_takes_the_place_of_an_operations_own() -> None:
    page = replace(PAGES[0], path="/slo/report")
    assert "checkout-availability" in Client(toy_app(pages=(page,))).get("/slo/report").text


def test_an_error_of_a_page_is_a_page() -> None:
    def silent(_: object, __: object) -> object:
        raise NoData("nothing was measured", "look whether the source is up")

    response = Client(toy_app(pages=(Page("/x", "X", "overview.html", silent),))).get("/x")
    assert response.status_code == 404
    assert "look whether the source is up" in response.text


def test_the_search_finds_verbs_by_what_they_do(client: Client) -> None:
    assert "/slo/freeze" in client.get("/search?q=deployments").text
    assert "Try fewer letters" in client.get("/search?q=zzz").text


def test_a_file_of_the_pages_is_kept_by_the_browser_until_it_changes(client: Client) -> None:
    html = client.get("/").text
    path = re.search(r'href="(/static/mainstay\.css\?v=\w+)"', html)
    assert path
    response = client.get(path[1])
    assert response.headers["content-type"].startswith("text/css")
    assert client.get(path[1], headers={"If-None-Match": response.headers["etag"]}).status_code == 304


def test_reading_an_operation_changes_nothing_in_the_feed_and_acting_does() -> None:
    hooks = Hooks()
    told: list[str] = []
    hooks.feed.publish = told.append  # type: ignore[method-assign]
    client = Client(toy_app(hooks=hooks))
    client.get("/slo/report")
    client.post("/slo/freeze", data={"service": "web", "csrf": client.form_token()})
    assert told == ["slo"]


@pytest.mark.parametrize(("link", "there"), [
    ("slo/show?name=a", "/slo/show?name=a"), ("/slo", "/slo"), ("?state=violated", "/?state=violated"),
    ("https://grafana.example.org/d/1", "https://grafana.example.org/d/1"),
    ("javascript:alert(1)", "/javascript:alert(1)"),
    ("//evil.org", "/evil.org"), ("\\\\evil.org", "/evil.org"), ("data:text/html,x", "/data:text/html,x"),
])
def test_a_link_stays_here_or_is_a_plain_web_address(link: str, there: str) -> None:
    assert address(link) == there


@pytest.mark.parametrize("path", ["//a", "/\\a", "a", "https://a", "/a\nb", ""])
def test_a_path_that_leaves_the_server_is_replaced(path: str) -> None:
    assert local_path(path) == "/"
