"""The conversation with a Prometheus HTTP API: settings, secrets, retries, and every way it can go wrong, translated.

What a server answers is decoded into typed structs here; what it means for budgets is the business of
`mainstay.adapters.prometheus`. No message of this module holds a password, a token or the userinfo of a URL.
"""

from __future__ import annotations

import socket
import ssl
from collections.abc import Iterator, Mapping
from dataclasses import field
from email.utils import parsedate_to_datetime

import httpx
import msgspec

from mainstay.adapters.secrets import Secret
from mainstay.kernel.dataclass import dataclass
from mainstay.kernel.errors import InvalidInput, MainstayError, SourceUnavailable
from mainstay.kernel.objective import PrometheusDetails
from mainstay.kernel.ports import Clock

FIRST_WAIT = 0.2
"""Seconds before the second try; each later wait is twice as long, `Retry-After` goes before both."""

TEXT_SHOWN = 300
"""How much of a server's own words is repeated in a message."""

# What servers say when a query asked for too much at once: Prometheus (samples, points), Mimir (range),
# VictoriaMetrics (points, samples). Asking for a shorter stretch mends it.
TOO_MUCH = ("too many samples", "maximum resolution", "time range exceeds", "too many points", "maxSamplesPer")


@dataclass(frozen=True, slots=True)
class Tls:
    """How an https address is trusted: files of a certificate authority and of a client certificate with its key."""

    ca: str = ""
    cert: str = ""
    key: str = ""
    insecure: bool = False

    def context(self) -> ssl.SSLContext:
        """The trust as Python's ssl wants it.

        Raises:
            InvalidInput: a file is missing or is no certificate or key.
        """
        try:
            context = ssl.create_default_context(cafile=self.ca or None)
            if self.cert:
                context.load_cert_chain(self.cert, self.key or None)
        except (OSError, ssl.SSLError) as error:
            raise InvalidInput(f"the TLS files cannot be used: {error}",
                               "check the ca, cert and key of this source: PEM files that Mainstay may read") from error
        if self.insecure:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        return context


@dataclass(frozen=True, slots=True)
class PrometheusSettings:
    """Where a Prometheus API is and how to talk to it.

    Args:
        url: the address in front of `/api/v1`, with a path where there is one (`https://mimir/prometheus`).
        user, password: basic authentication; userinfo in the URL means the same.
        token: bearer authentication.
        headers: sent with every query, such as Mimir's `X-Scope-OrgID`.
        timeout: seconds one query may take, all its tries and waits together.
        retries: how many more times a query is tried that failed in passing (429, 5xx, a dropped connection).
        max_points: points per series one query asks for; Prometheus allows 11,000.
        at_once: queries under way at the same time.
        method: `POST`, or `GET` for proxies that let nothing else through.
    """

    url: str = field(repr=False)
    user: str = ""
    password: Secret | None = None
    token: Secret | None = None
    tls: Tls = Tls()
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    timeout: float = 30.0
    retries: int = 2
    max_points: int = 10_000
    at_once: int = 8
    method: str = "POST"


def settings_of(details: PrometheusDetails) -> PrometheusSettings:
    """The settings of a source as it is declared."""
    def secret(env: str, file: str) -> Secret | None:
        return Secret(env, file) if env or file else None

    return PrometheusSettings(
        details.url, details.username, secret(details.password_env, details.password_file),
        secret(details.token_env, details.token_file),
        Tls(details.ca_file, details.cert_file, details.key_file, not details.verify), details.headers,
        details.timeout.total_seconds(), details.retries)


class Line(msgspec.Struct):
    """One series of an answer: its labels and its (epoch seconds, value) points, ascending."""

    metric: dict[str, str] = {}
    values: list[tuple[float, float]] = []
    histograms: list[msgspec.Raw] = []


class _Data(msgspec.Struct, rename="camel"):
    result_type: str = ""
    result: list[Line] = []


class Answer(msgspec.Struct):
    """What a server says to a query; `data` is there when it went well."""

    status: str
    data: _Data = msgspec.field(default_factory=_Data)
    warnings: list[str] = []
    infos: list[str] = []


class _Failure(msgspec.Struct, rename="camel"):
    status: str = ""
    error_type: str = ""
    error: str = ""


class _BuildData(msgspec.Struct):
    version: str = ""
    application: str = ""


class Build(msgspec.Struct):
    """What a server says about itself."""

    data: _BuildData = msgspec.field(default_factory=_BuildData)


class Refused(SourceUnavailable):
    """The server answers, but does not give us this page."""


class TooMuchAsked(InvalidInput):
    """One query asked for more than the server gives at once; a shorter stretch may pass."""


class _Passing(Exception):
    """A failure that may be gone at the next try: what it is if it stays, and how long the server asks to wait."""

    def __init__(self, error: MainstayError, wait: float | None = None) -> None:
        super().__init__(error.message)
        self.error = error
        self.wait = wait


# Numbers come as strings; msgspec turns them into floats but knows "inf" and "-Inf", not "+Inf".
_ANSWER = msgspec.json.Decoder(Answer, strict=False)
_FAILURE = msgspec.json.Decoder(_Failure)
_BUILD = msgspec.json.Decoder(Build)


class PrometheusApi:
    """One server's API over one pool of connections; safe to use from several threads."""

    def __init__(self, settings: PrometheusSettings, clock: Clock) -> None:
        self.settings = settings
        self._clock = clock
        url = _address(settings.url)
        self.where = str(url.copy_with(username=None, password=None)).rstrip("/")
        self._userinfo = (settings.user or url.username, url.password)
        plain_http = url.scheme == "http"
        # Reading the system's certificates takes 20 ms that plain HTTP can do without.
        trust = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT) if plain_http else settings.tls.context()
        self._client = httpx.Client(
            verify=trust, headers={**settings.headers, "Accept": "application/json"},
            limits=httpx.Limits(max_connections=settings.at_once, max_keepalive_connections=settings.at_once))

    def close(self) -> None:
        """Let go of the connections."""
        self._client.close()

    def query_range(self, text: str, first: int, last: int, step: int) -> Answer:
        """The expression's value at first, first + step … last, epoch seconds.

        Raises:
            TooMuchAsked: the stretch is too long for this server.
            InvalidInput: the server does not understand the query.
            SourceUnavailable: the server is down, slow, refuses or answers nonsense.
        """
        return self._query("query_range", {"query": text, "start": str(first), "end": str(last), "step": str(step)})

    def query_raw(self, selector: str, start: int, end: int) -> Answer:
        """Every raw sample of a selector in [start, end), and perhaps one a millisecond before; errors as above."""
        return self._query("query", {"query": f"{selector}[{end - start}s]", "time": f"{end - 1}.999"})

    def build(self) -> tuple[Build, httpx.Headers]:
        """What the server says about itself, and the headers it said it with; errors as above."""
        body, headers = self._ask("GET", "status/buildinfo", {})
        try:
            return _BUILD.decode(body), headers
        except msgspec.DecodeError as error:
            raise self._nonsense(body, error) from error

    def text(self, path: str) -> str:
        """The page below the server's address as text; errors as above."""
        return self._ask("GET", path, {})[0].decode("utf-8", "replace")

    def _query(self, path: str, form: Mapping[str, str]) -> Answer:
        body, _ = self._ask(self.settings.method, path, form)
        try:
            answer = _ANSWER.decode(body.replace(b'"+Inf"]', b'"inf"]'))
        except msgspec.DecodeError as error:
            raise self._nonsense(body, error) from error
        if answer.status != "success":
            raise self._refused(200, body, form.get("query", ""))
        if answer.data.result_type != "matrix":
            raise SourceUnavailable(f'{self.where} answered "{answer.data.result_type}" where series were asked for',
                                    "is this a Prometheus API?")
        if any(line.histograms for line in answer.data.result):
            raise InvalidInput(f"the query gives histograms where numbers are needed: {form['query']}",
                               "wrap it in histogram_count(…) or histogram_fraction(…)")
        return answer

    def _ask(self, method: str, path: str, form: Mapping[str, str]) -> tuple[bytes, httpx.Headers]:
        deadline = self._clock.monotonic() + self.settings.timeout
        wait = FIRST_WAIT
        for attempt in range(self.settings.retries + 1):
            try:
                return self._once(method, path, form, deadline)
            except _Passing as passing:
                pause = wait if passing.wait is None else passing.wait
                if attempt == self.settings.retries or self._clock.monotonic() + pause > deadline:
                    raise passing.error from passing.__cause__
            self._clock.sleep(pause)
            wait *= 2
        raise AssertionError("the last try either returned or raised")

    def _once(self, method: str, path: str, form: Mapping[str, str], deadline: float) -> tuple[bytes, httpx.Headers]:
        left = max(0.01, deadline - self._clock.monotonic())
        request = self._client.build_request(
            method, f"{self.where}/api/v1/{path}", timeout=left, headers=self._authorisation(),
            data=form if method == "POST" else None, params=form if method == "GET" else None)
        body = bytearray()
        try:
            response = self._client.send(request, auth=self._basic(), stream=True)
            try:
                for piece in response.iter_bytes():
                    body += piece
                    if self._clock.monotonic() > deadline:  # httpx limits each read, so a dripping server would hold us
                        raise self._slow()
            finally:
                response.close()
        except httpx.TimeoutException as error:
            raise self._slow() from error
        except httpx.DecodingError as error:
            raise SourceUnavailable(f"{self.where} answered with broken compression: {error}",
                                    "look for a proxy on the way that changes answers") from error
        except httpx.TransportError as error:
            raise self._unreachable(error) from error
        if response.status_code == 200:
            return bytes(body), response.headers
        raise self._status(response, bytes(body), form.get("query", ""))

    def _authorisation(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.settings.token.read()}"} if self.settings.token else {}

    def _basic(self) -> httpx.BasicAuth | None:
        user, in_url = self._userinfo
        if not user:
            return None
        return httpx.BasicAuth(user, self.settings.password.read() if self.settings.password else in_url)

    # -- what went wrong, in our words ------------------------------------------------------------------------------

    def _slow(self) -> SourceUnavailable:
        return SourceUnavailable(
            f"{self.where} did not answer within {self.settings.timeout:g} s",
            "raise the time-out of this source, ask for a shorter window, or look at the server's load")

    def _unreachable(self, error: httpx.TransportError) -> Exception:
        causes = list(_causes(error))
        if any(isinstance(cause, socket.gaierror) for cause in causes):
            return SourceUnavailable(f"the host name in {self.where} is not known",
                                     "check the spelling of the address and the DNS of this machine")
        trust = next((cause for cause in causes if isinstance(cause, ssl.SSLError)), None)
        if trust is not None:
            return SourceUnavailable(
                f"no trusted TLS connection to {self.where}: {trust.reason or trust}",
                "give the authority's certificate as `ca` (and cert and key if the server wants them), or write "
                "http:// if it speaks no TLS")
        if any(isinstance(cause, ConnectionRefusedError) for cause in causes):
            return _Passing(SourceUnavailable(f"nothing answers at {self.where}: connection refused",
                                              "is the server running, and is the port right?"))
        return _Passing(SourceUnavailable(f"the connection to {self.where} broke: {self._quoted(str(error))}",
                                          "look at the server's log and at proxies on the way"))

    def _status(self, response: httpx.Response, body: bytes, query: str) -> Exception:
        status = response.status_code
        said = f": {self._said(body)}" if self._said(body) else ""
        match status:
            case 400 | 422:
                return self._refused(status, body, query)
            case 401 | 403:
                return Refused(f"{self.where} does not let us in ({status}){said}",
                               "check user and password, token and headers of this source")
            case 404:
                return Refused(f"{self.where} has no Prometheus API (404 at {response.request.url.path})",
                               "is the path right? give the address in front of /api/v1, such as "
                               "http://host:9090 or https://host/prometheus")
            case 405:
                return Refused(f"{self.where} does not allow {response.request.method} (405)",
                               "set the method of this source to GET")
            case _ if response.has_redirect_location or 300 <= status < 400:
                return Refused(f"{self.where} sends us elsewhere ({status}), to "
                               f"{_bare(response.headers.get('Location', ''))}",
                               "if that is the right place, make it the address of this source; a login page means "
                               "that user or token are missing")
            case 429:
                return _Passing(SourceUnavailable(f"{self.where} takes no more queries just now (429){said}",
                                                  "ask less often, or have the server's limit raised"),
                                _retry_after(response.headers))
            case _ if status >= 500:
                return _Passing(SourceUnavailable(f"{self.where} failed with {status}{said}",
                                                  "look at the server's log; it was asked more than once"),
                                _retry_after(response.headers))
            case _:
                return Refused(f"{self.where} answered {status}{said}", "is this a Prometheus API?")

    def _refused(self, status: int, body: bytes, query: str) -> MainstayError:
        failure = _failure(body)
        said = self._said(body) or "no reason given"
        if any(sign in said for sign in TOO_MUCH):
            return TooMuchAsked(f"{self.where} refuses to read so much at once: {said} — query: {query}",
                                "ask for a shorter window, or have the server's limits raised")
        if failure.error_type in ("timeout", "canceled", "internal", "unavailable"):
            return SourceUnavailable(f"{self.where} could not answer ({failure.error_type}): {said}",
                                     "ask for a shorter window, or look at the server's log")
        return InvalidInput(f"{self.where} does not understand the query ({status}): {said} — query: {query}",
                            "correct the query: promtool and the server's own page show it with its results")

    def _nonsense(self, body: bytes, error: msgspec.DecodeError) -> SourceUnavailable:
        if body.lstrip()[:1] == b"<":
            return SourceUnavailable(f"{self.where} answered with a web page, not with data",
                                     "is the path right, and is there a login page in between? give the address in "
                                     "front of /api/v1")
        return SourceUnavailable(f"{self.where} answered with something that is not whole Prometheus JSON: {error}",
                                 "look for a proxy on the way that cuts answers, and whether this is a Prometheus API")

    def _said(self, body: bytes) -> str:
        if body.lstrip()[:1] == b"<":
            return ""
        return self._quoted(_failure(body).error or body.decode("utf-8", "replace"))

    def _quoted(self, text: str) -> str:
        """A server's words on one line, cut, and without our secrets should it repeat them."""
        words = " ".join(text.split())
        for secret in (self.settings.token, self.settings.password):
            if secret is not None:
                words = words.replace(secret.read(), "•••")
        if self._userinfo[1]:
            words = words.replace(self._userinfo[1], "•••")
        return words if len(words) <= TEXT_SHOWN else words[:TEXT_SHOWN] + " …"


def _address(text: str) -> httpx.URL:
    try:
        url = httpx.URL(text.strip())
    except httpx.InvalidURL as error:
        raise InvalidInput(f"the address of a Prometheus cannot be read: {error}", "write http://host:9090") from error
    if url.scheme not in ("http", "https") or not url.host or url.query or url.fragment:
        raise InvalidInput(f'"{_bare(text.strip())}" is not the address of a Prometheus',
                           "write http:// or https://, a host, and a path where there is one: http://host:9090")
    return url


def _bare(address: str) -> str:
    """An address as it may be shown: without userinfo and query."""
    try:
        url = httpx.URL(address)
        return str(url.copy_with(username=None, password=None, query=None, fragment=None))
    except httpx.InvalidURL:
        return "an address that cannot be read"


def _failure(body: bytes) -> _Failure:
    try:
        return _FAILURE.decode(body)
    except msgspec.DecodeError:
        return _Failure()  # not JSON: the caller quotes the text itself


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def _retry_after(headers: httpx.Headers) -> float | None:
    """Seconds the server asks to wait; it may say seconds, or a date (RFC 9110, 10.2.3), which its own clock reads."""
    raw = headers.get("Retry-After", "").strip()
    if raw.isdigit():
        return float(raw)
    try:
        return max(0.0, (parsedate_to_datetime(raw) - parsedate_to_datetime(headers["Date"])).total_seconds())
    except (KeyError, ValueError, TypeError):
        return None
