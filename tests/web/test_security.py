"""Who gets in, who does not, and what every answer carries."""

from __future__ import annotations

import stat
import time
from datetime import timedelta
from pathlib import Path

import pytest

from mainstay.doors import security
from mainstay.doors.front import Act, Hooks, ServerSettings, is_loopback
from mainstay.doors.guard import AsgiApp
from mainstay.doors.security import TokenStore
from mainstay.kernel.errors import Conflict, InvalidInput, NotFound, StoreUnavailable
from toy_server import PATIENCE, T0, Client, SetClock, error_code, toy_app

REPORT = "/api/v1/slo/report"
FREEZE = "/api/v1/slo/freeze"
THAW = "/api/v1/slo/thaw"


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


@pytest.fixture(autouse=True)
def _looked_at_each_request(monkeypatch: pytest.MonkeyPatch) -> None:
    """The token file is, so that what a test changes holds at once."""
    monkeypatch.setattr(security, "LOOK_AGAIN", 0.0)


@pytest.fixture
def store(tmp_path: Path) -> TokenStore:
    return TokenStore(tmp_path / "state" / "tokens.json")


@pytest.fixture
def settings(tmp_path: Path) -> ServerSettings:
    return ServerSettings(token_file=tmp_path / "state" / "tokens.json")


@pytest.fixture
def clock() -> SetClock:
    return SetClock()


@pytest.fixture
def app(settings: ServerSettings, clock: SetClock) -> AsgiApp:
    return toy_app(settings, clock=clock)


# -- tokens --------------------------------------------------------------------------------------------------------


def test_a_token_file_holds_no_token_and_is_its_owners_alone(store: TokenStore, settings: ServerSettings) -> None:
    token = store.create("ci", ["read"], now=T0)
    path = settings.token_file
    assert path is not None
    assert token.split("_", 2)[2] not in path.read_text()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_token_file_that_others_may_read_is_not_used(store: TokenStore, settings: ServerSettings) -> None:
    token = store.create("ci", ["read"], now=T0)
    assert settings.token_file
    settings.token_file.chmod(0o644)
    with pytest.raises(StoreUnavailable, match="others may read"):
        TokenStore(settings.token_file).check(token, now=T0)


def test_a_broken_token_file_opens_nothing(store: TokenStore, app: AsgiApp, settings: ServerSettings) -> None:
    store.create("ci", ["read"], now=T0)
    assert settings.token_file
    settings.token_file.write_text("[{")
    assert Client(app).get(REPORT).status_code == 503


def test_a_token_opens_until_it_is_revoked(store: TokenStore, app: AsgiApp) -> None:
    token = store.create("ci", ["read"], now=T0)
    client = Client(app)
    assert client.get(REPORT, headers=bearer(token)).json()["name"] == "ci"
    store.revoke("ci", now=T0)
    assert client.get(REPORT, headers=bearer(token)).status_code == 401


def test_a_token_revoked_elsewhere_is_refused_within_moments(
        store: TokenStore, app: AsgiApp, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(security, "LOOK_AGAIN", 0.2)
    token = store.create("ci", ["read"], now=T0)
    client = Client(app)
    assert client.get(REPORT, headers=bearer(token)).status_code == 200, "one made elsewhere opens at once"
    TokenStore(store._path).revoke("ci", now=T0)
    began = time.monotonic()
    while client.get(REPORT, headers=bearer(token)).status_code == 200:
        assert time.monotonic() - began < PATIENCE
        time.sleep(0.05)  # slower than a client may ask
    assert client.get(REPORT, headers=bearer(token)).status_code == 401


def test_revoking_the_last_token_does_not_open_the_server_again(store: TokenStore, app: AsgiApp) -> None:
    store.create("ci", ["read"], now=T0)
    store.revoke("ci", now=T0)
    assert Client(app).get(REPORT).status_code == 401


def test_a_token_opens_until_it_expires(store: TokenStore, app: AsgiApp, clock: SetClock) -> None:
    token = store.create("ci", ["read"], now=T0, expires=T0 + timedelta(hours=1))
    clock.forward(3599)
    assert Client(app).get(REPORT, headers=bearer(token)).status_code == 200
    clock.forward(1)
    assert Client(app).get(REPORT, headers=bearer(token)).status_code == 401


@pytest.mark.parametrize("spoil", [
    lambda token: token[:-1] + ("A" if token[-1] != "A" else "B"), lambda token: token + "x", lambda token: "",
    lambda token: "mst_", lambda token: "mst_00000000_", lambda token: token.replace("mst_", "xyz_"),
    lambda token: token.split("_", 2)[2],
])
def test_a_token_that_is_not_exactly_right_opens_nothing(store: TokenStore, app: AsgiApp, spoil: object) -> None:
    token = store.create("ci", ["read"], now=T0)
    response = Client(app).get(REPORT, headers=bearer(spoil(token)))  # type: ignore[operator]
    assert response.status_code == 401
    assert response.headers["www-authenticate"] == "Bearer"


def test_a_scope_opens_its_own_operations_only(store: TokenStore, app: AsgiApp) -> None:
    client = Client(app)
    for scope, opened in (("read", {REPORT}), ("write", {FREEZE}), ("approve", {THAW})):
        token = store.create(scope, [scope], now=T0)
        found = {path for path, answer in (
            (REPORT, client.get(REPORT, headers=bearer(token))),
            (FREEZE, client.post(FREEZE, json={"service": "a"}, headers=bearer(token))),
            (THAW, client.post(THAW, json={"service": "a"}, headers=bearer(token)))) if answer.status_code == 200}
        assert found == opened


def test_an_act_without_its_scope_is_recorded_as_refused(store: TokenStore, settings: ServerSettings) -> None:
    acts: list[Act] = []
    token = store.create("ci", ["read"], now=T0)
    client = Client(toy_app(settings, hooks=Hooks(audit=acts.append)))
    assert client.post(FREEZE, json={"service": "a"}, headers=bearer(token)).status_code == 403
    assert [(one.actor, one.outcome) for one in acts] == [("ci", "refused: not-allowed")]


def test_other_schemes_of_authorization_are_refused(store: TokenStore, app: AsgiApp) -> None:
    token = store.create("ci", ["read"], now=T0)
    assert Client(app).get(REPORT, headers={"Authorization": f"Basic {token}"}).status_code == 401


def test_token_names_and_scopes_are_checked(store: TokenStore) -> None:
    store.create("ci", ["read"], now=T0)
    for name, scopes in (("", ["read"]), ("a\nb", ["read"]), ("x", []), ("x", ["admin"])):
        with pytest.raises(InvalidInput):
            store.create(name, scopes, now=T0)
    with pytest.raises(Conflict):
        store.create("ci", ["read"], now=T0)
    with pytest.raises(NotFound):
        store.revoke("cd", now=T0)


# -- the address it listens on -------------------------------------------------------------------------------------


@pytest.mark.parametrize(("host", "own"), [
    ("127.0.0.1", True), ("127.8.8.8", True), ("::1", True), ("[::1]", True), ("localhost", True), ("LOCALHOST", True),
    ("0.0.0.0", False), ("10.0.0.1", False), ("example.org", False), ("127.0.0.1.example.org", False), ("", False),
])
def test_loopback_is_told_from_the_rest(host: str, own: bool) -> None:
    assert is_loopback(host) is own


def test_other_addresses_need_a_wish_and_a_token(store: TokenStore, settings: ServerSettings) -> None:
    def at(**more: object) -> ServerSettings:
        return ServerSettings(token_file=settings.token_file, **more)  # type: ignore[arg-type]

    with pytest.raises(InvalidInput, match="other machines"):
        toy_app(at(host="10.0.0.1"))
    with pytest.raises(InvalidInput, match="no token yet"):
        toy_app(at(host="10.0.0.1", beyond_loopback=True))
    store.create("ci", ["read"], now=T0)
    with pytest.raises(InvalidInput, match="no name"):
        toy_app(at(host="0.0.0.0", beyond_loopback=True))
    toy_app(at(host="0.0.0.0", beyond_loopback=True, allowed_hosts=("sre.example.org",), behind_tls=True))


@pytest.mark.parametrize("host", ["evil.example.org", "127.0.0.1.evil.org", "localhost.evil.org:8700", "10.0.0.7", "",
                                  "[::2]:8700"])
def test_a_host_name_that_is_not_ours_is_refused_so_rebinding_cannot_act(host: str) -> None:
    client = Client(toy_app())
    assert client.get(REPORT, headers={"Host": host}).status_code == 421
    assert client.post(FREEZE, json={"service": "a"}, headers={"Host": host}).status_code == 421


@pytest.mark.parametrize("host", ["localhost:8700", "127.0.0.1:1", "[::1]:8700", "LOCALHOST", "shop.localhost"])
def test_loopbacks_own_names_are_taken(host: str) -> None:
    assert Client(toy_app()).get(REPORT, headers={"Host": host}).status_code == 200


def test_an_allowed_host_is_taken() -> None:
    app = toy_app(ServerSettings(allowed_hosts=("sre.example.org",)))
    assert Client(app).get("/healthz", headers={"Host": "sre.example.org"}).status_code == 200


def test_without_tokens_only_this_machine_may_read() -> None:
    app = toy_app(ServerSettings(allowed_hosts=("sre.example.org",)))
    assert Client(app, address="10.0.0.9").get(REPORT).status_code == 401
    assert Client(app).get(REPORT, headers={"Host": "sre.example.org"}).status_code == 401
    assert Client(app).get(REPORT, headers={"X-Forwarded-For": "10.0.0.9"}).status_code == 401
    assert Client(app).get(REPORT).status_code == 200


# -- other sites ---------------------------------------------------------------------------------------------------


def test_acting_without_the_form_token_is_refused() -> None:
    client = Client(toy_app())
    assert error_code(client.post(FREEZE, json={"service": "a"})) == "not-allowed"
    client.form_token()
    assert client.post(FREEZE, json={"service": "a"}).status_code == 403
    assert client.post(FREEZE, json={"service": "a"}, headers={"X-CSRF-Token": "0" * 64}).status_code == 403


def test_a_form_token_of_another_browser_is_refused() -> None:
    app = toy_app()
    mine, theirs = Client(app), Client(app)
    mine.form_token()
    assert mine.post(FREEZE, json={"service": "a"}, headers={"X-CSRF-Token": theirs.form_token()}).status_code == 403


@pytest.mark.parametrize("headers", [
    {"Origin": "https://evil.example.org"}, {"Origin": "null"}, {"Origin": "http://localhost:3000"},
    {"Sec-Fetch-Site": "cross-site"}, {"Sec-Fetch-Site": "same-site"},
])
def test_acting_from_another_site_is_refused_even_with_the_form_token(headers: dict[str, str]) -> None:
    client = Client(toy_app())
    token = client.form_token()
    assert client.post(FREEZE, json={"service": "a"}, headers={"X-CSRF-Token": token, **headers}).status_code == 403


def test_acting_from_our_own_page_is_taken() -> None:
    client = Client(toy_app())
    headers = {"X-CSRF-Token": client.form_token(), "Origin": "http://localhost:8700", "Sec-Fetch-Site": "same-origin"}
    assert client.post(FREEZE, json={"service": "a"}, headers=headers).status_code == 200


def test_a_script_of_another_site_cannot_even_read() -> None:
    headers = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "cors"}
    assert Client(toy_app()).get(REPORT, headers=headers).status_code == 403


# -- login ---------------------------------------------------------------------------------------------------------


def log_in(client: Client, token: str, after: str = "/") -> int:
    sent = {"token": token, "next": after, "csrf": client.form_token("/login")}
    response = client.post("/login", data=sent)
    if response.status_code == 303:
        assert response.headers["location"] == after
    return response.status_code


def test_a_page_leads_to_the_login_and_back(store: TokenStore, app: AsgiApp) -> None:
    token = store.create("ana", ["read", "write"], now=T0)
    client = Client(app)
    response = client.get("/slo/report?name=a%20b")
    assert (response.status_code, response.headers["location"]) == (303, "/login?next=%2Fslo%2Freport%3Fname%3Da%2520b")
    assert log_in(client, token, "/slo/report?name=a%20b") == 303
    assert client.get("/slo/report?name=a%20b").status_code == 200


def test_a_session_cookie_is_out_of_reach_of_scripts_and_other_sites(store: TokenStore, app: AsgiApp) -> None:
    client = Client(app)
    token = store.create("ana", ["read"], now=T0)
    sent = {"token": token, "csrf": client.form_token("/login")}
    cookie = client.post("/login", data=sent).headers["set-cookie"].lower()
    assert "httponly" in cookie
    assert "samesite=strict" in cookie
    assert "max-age=43200" in cookie
    assert "secure" not in cookie


def test_behind_tls_the_cookie_is_secure_and_the_browser_is_told_to_stay(settings: ServerSettings,
                                                                         store: TokenStore) -> None:
    store.create("ana", ["read"], now=T0)
    response = Client(toy_app(ServerSettings(token_file=settings.token_file, behind_tls=True))).get("/login")
    assert "secure" in response.headers["set-cookie"].lower()
    assert response.headers["strict-transport-security"] == "max-age=31536000"


def test_logging_in_gives_a_fresh_cookie(store: TokenStore, app: AsgiApp) -> None:
    client = Client(app)
    token = store.create("ana", ["read"], now=T0)
    client.form_token("/login")
    before = client.cookies["mainstay_session"]
    assert log_in(client, token) == 303
    first = client.cookies["mainstay_session"]
    assert log_in(client, token) == 303
    assert len({before, first, client.cookies["mainstay_session"]}) == 3


def test_a_session_ends_after_twelve_hours(store: TokenStore, app: AsgiApp, clock: SetClock) -> None:
    client = Client(app)
    log_in(client, store.create("ana", ["read"], now=T0))
    clock.forward(12 * 3600 - 1)
    assert client.get("/slo/report").status_code == 200
    clock.forward(1)
    assert client.get("/slo/report").status_code == 303


def test_a_session_ends_with_its_token(store: TokenStore, app: AsgiApp) -> None:
    client = Client(app)
    log_in(client, store.create("ana", ["read"], now=T0))
    store.revoke("ana", now=T0)
    assert client.get("/slo/report").status_code == 303


def test_logging_out_ends_the_session_for_everyone_who_holds_its_cookie(store: TokenStore, app: AsgiApp) -> None:
    client = Client(app)
    log_in(client, store.create("ana", ["read", "write"], now=T0))
    thief = Client(app)
    thief.cookies.set("mainstay_session", client.cookies["mainstay_session"], domain="localhost.local", path="/")
    assert thief.get("/slo/report").status_code == 200
    assert client.post("/logout", data={"csrf": client.form_token()}).status_code == 303
    assert thief.get("/slo/report").status_code == 303


def test_a_session_acts_with_its_form_token_within_its_scopes(store: TokenStore, app: AsgiApp) -> None:
    client = Client(app)
    log_in(client, store.create("ana", ["read", "write"], now=T0))
    form = {"csrf": client.form_token(), "service": "web"}
    assert "frozen by ana" in client.post("/slo/freeze", data=form).text
    assert client.post("/slo/freeze", data={"service": "web"}).status_code == 403
    assert client.post("/slo/thaw", data=form).status_code == 403


def test_a_wrong_token_keeps_one_out_and_is_recorded(store: TokenStore, settings: ServerSettings) -> None:
    acts: list[Act] = []
    store.create("ana", ["read"], now=T0)
    client = Client(toy_app(settings, hooks=Hooks(audit=acts.append)))
    assert log_in(client, "mst_00000000_wrong") == 401
    assert [(one.operation, one.outcome) for one in acts] == [("login", "refused: not-known")]
    assert "wrong" not in acts[0].summary


def test_tries_to_log_in_are_slowed_down(store: TokenStore, app: AsgiApp, clock: SetClock) -> None:
    token = store.create("ana", ["read"], now=T0)
    client = Client(app)
    assert [log_in(client, "mst_00000000_x") for _ in range(6)] == [401] * 5 + [429]
    assert log_in(client, token) == 429
    clock.forward(12)
    assert log_in(client, token) == 303


@pytest.mark.parametrize("after", ["https://evil.example.org", "//evil.example.org", "/\\evil.example.org", "evil",
                                   "/a\r\nSet-Cookie: x=1"])
def test_the_login_never_leads_to_another_site(store: TokenStore, app: AsgiApp, after: str) -> None:
    client = Client(app)
    sent = {"token": store.create("ana", ["read"], now=T0), "next": after, "csrf": client.form_token("/login")}
    assert client.post("/login", data=sent).headers["location"] == "/"


def test_a_link_from_another_site_finds_the_session(store: TokenStore, app: AsgiApp) -> None:
    store.create("ana", ["read"], now=T0)
    response = Client(app).get("/slo/report?name=<x>", headers={"Sec-Fetch-Site": "cross-site",
                                                                "Sec-Fetch-Mode": "navigate"})
    assert response.status_code == 200
    assert 'content="0; url=/slo/report?name=%3Cx%3E"' in response.text


# -- sizes and pace ------------------------------------------------------------------------------------------------


def test_what_is_too_large_is_refused_by_its_kind() -> None:
    client = Client(toy_app())
    assert client.post(FREEZE, content=b"x" * (1024 * 1024 + 1)).status_code == 413
    assert client.get(REPORT + "?name=" + "x" * 9000).status_code == 414
    assert client.get("/" + "x" * 3000).status_code == 414
    assert client.get(REPORT, headers={"X-Long": "x" * 17000}).status_code == 431
    assert client.get(REPORT + "?" + "&".join(f"a{i}=" for i in range(300))).status_code == 400


def test_a_body_without_a_length_is_counted_as_it_comes() -> None:
    async def endless() -> object:
        for _ in range(40):
            yield b"x" * 65536

    assert Client(toy_app()).post(FREEZE, content=endless()).status_code == 413


def test_a_client_that_asks_too_fast_waits_and_others_do_not() -> None:
    clock = SetClock()
    app = toy_app(ServerSettings(per_second=2, burst=3), clock=clock)
    one, other = Client(app), Client(app, address="127.0.0.2")
    assert [one.get(REPORT).status_code for _ in range(4)] == [200, 200, 200, 429]
    assert one.get(REPORT).headers["retry-after"] == "1"
    assert other.get(REPORT).status_code == 200
    assert one.get("/healthz").status_code == 200
    clock.forward(0.5)
    assert one.get(REPORT).status_code == 200


# -- paths, texts, headers -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["/static/../pages.py", "/static/..%2fpages.py", "/static/%2e%2e/pages.py",
                                  "/static//etc/passwd", "/static/..%5cpages.py", "/static/mainstay.css%00.js",
                                  "/static/", "/api/v1/../../etc/passwd", "/slo/../../etc/passwd"])
def test_no_path_leads_out(path: str) -> None:
    response = Client(toy_app()).get(path)
    assert response.status_code in (400, 404)
    assert "root:" not in response.text
    assert "import" not in response.text


@pytest.mark.parametrize("nasty", ["<script>alert(1)</script>", "\"><img src=x onerror=alert(1)>",
                                   "'; DROP TABLE x; --",
                                   "{{7*7}}", "../../etc/passwd", "a\u202eb"])
def test_what_was_typed_comes_back_as_text(nasty: str) -> None:
    client = Client(toy_app())
    html = client.get("/slo/report", params={"name": nasty}).text
    assert "<script>alert" not in html
    assert "<img src=x" not in html
    assert ">49<" not in html
    assert client.get(REPORT, params={"name": nasty}).json()["name"] == nasty


@pytest.mark.parametrize("path", ["/", "/login", "/nowhere", REPORT, "/static/mainstay.css", "/healthz",
                                  "/slo/report?window=x"])
def test_every_answer_carries_the_security_headers(path: str) -> None:
    headers = Client(toy_app()).get(path).headers
    policy = headers["content-security-policy"]
    assert "default-src 'self'" in policy
    assert "frame-ancestors 'none'" in policy
    assert "unsafe" not in policy
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "same-origin"
    assert ("immutable" if path.startswith("/static") else "no-store") in headers["cache-control"]


def test_refusals_of_the_guard_carry_the_headers_too() -> None:
    response = Client(toy_app()).get(REPORT, headers={"Host": "evil.org"})
    assert "content-security-policy" in response.headers


def test_the_log_never_holds_a_token(store: TokenStore, app: AsgiApp, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG")
    token = store.create("ana", ["read", "write"], now=T0)
    client = Client(app)
    log_in(client, token)
    client.get(f"{REPORT}?name=bug", headers=bearer(token))
    client.post(FREEZE, json={"service": "a", "api_token": "s3cret"}, headers=bearer(token))
    for secret in (token, token.split("_", 2)[2], "s3cret", client.cookies["mainstay_session"]):
        assert secret not in caplog.text
