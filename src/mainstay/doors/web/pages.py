"""The pages and their routes: hand-made ones, a generic one for every operation, login, search, the files they load."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import field, replace
from importlib.resources import files
from typing import Any, Literal
from urllib.parse import quote

from litestar import MediaType, Request, Response, route
from litestar.handlers import HTTPRouteHandler

from mainstay.doors.front import Act, Front, cookie_of
from mainstay.doors.inputs import from_query, offered, read_request
from mainstay.doors.names import READING, api_path, name_of, page_path
from mainstay.doors.security import COOKIE, SESSION_LENGTH, Caller, NotKnown, Pace, TooMany
from mainstay.doors.web.forms import Field, clean, draw_fields
from mainstay.doors.web.links import address, local_path
from mainstay.doors.web.render import render_template
from mainstay.kernel.dataclass import dataclass
from mainstay.kernel.errors import InvalidInput, MainstayError, NoData, NotFound
from mainstay.kernel.operation import Operation
from mainstay.kernel.ports import World
from mainstay.kernel.view import View

AnyRequest = Request[Any, Any, Any]

LOOP = ("slo", "monitoring", "telemetry", "incident", "oncall", "runbook", "chaos", "load", "capacity", "rollout",
        "flags", "toil", "scorecard")
"""The words in the order of the loop: promise, measure, respond, learn, prove, change, save, look back."""

RANGES = (("1h", "last hour"), ("6h", "last 6 hours"), ("1d", "last day"), ("7d", "last 7 days"),
          ("30d", "last 30 days"), ("90d", "last 90 days"))
MAX_FOUND = 50
BEGUN = "begun"
"""The field of a link that fills in a part of a form, `begun=true`, and leaves the rest to whoever follows it."""


@dataclass(frozen=True, slots=True)
class PageQuery:
    """What the address bar says: the fields of the query (one value each), and the time range of the whole page."""

    fields: Mapping[str, str]
    range: str

    def get(self, name: str, default: str = "") -> str:
        """A field of the query."""
        return self.fields.get(name, default)


@dataclass(frozen=True, slots=True)
class Page:
    """A hand-made page.

    Args:
        path: its address: `/`, `/slo/show`.
        template: a file of `templates/`; it gets what `content` returns as `page`.
        content: the page's data, ready to be drawn; called in a worker thread; may raise any MainstayError.
        word: where it stands in the navigation; empty for a page of its own.
        ranged: whether the time range control means something here.
        default_range: the range when the address names none.
        listed: whether the navigation names it; a page that needs a name in its address is not listed.
        forms: what the forms of the page do, by the value of their field `act`; afterwards the page is shown again,
            and what was refused stands in it (`refused`) with what was typed.
        leads: the address, such as `chaos/show?name=EXP-3`, of the page that a form leads to once it is done, from what
            it did; the page itself when left out.
    """

    path: str
    title: str
    template: str
    content: Callable[[World, PageQuery], object]
    word: str = ""
    ranged: bool = False
    default_range: str = "30d"
    listed: bool = True
    forms: Mapping[str, Operation[Any, Any]] = field(default_factory=dict)
    leads: Callable[[Any], str] | None = None


@dataclass(frozen=True, slots=True)
class Refused:
    """A form that was not accepted: why, and what it said."""

    error: MainstayError
    act: str
    fields: Mapping[str, str]

    def typed(self, act: str, key: str, value: str, name: str) -> str | None:
        """What was typed into the field `name` of the form `act` whose field `key` says `value`; None for others."""
        return self.fields.get(name) if self.act == act and self.fields.get(key, "") == value else None


@dataclass(frozen=True, slots=True)
class NavLink:
    """One line of the navigation."""

    text: str
    href: str
    current: bool


@dataclass(frozen=True, slots=True)
class NavWord:
    """A word with its pages and the letter that leads there after `g`; `here` when it is itself the page shown."""

    word: str
    href: str
    letter: str
    current: bool
    links: tuple[NavLink, ...]
    here: bool = False


@dataclass(frozen=True, slots=True)
class Frame:
    """What the layout around every page needs."""

    title: str
    path: str
    catalog: str
    person: str
    csrf: str
    can_leave: bool
    words: tuple[NavWord, ...]
    assets: Mapping[str, str]
    ranges: tuple[tuple[str, str, bool], ...] = ()
    kept: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Asset:
    """A file of `static/`, read once at start: a request can never name a path."""

    body: bytes
    media: str
    version: str


_MEDIA = {".css": "text/css; charset=utf-8", ".js": "text/javascript; charset=utf-8", ".svg": "image/svg+xml"}


def load_assets() -> dict[str, Asset]:
    """The files that pages load, by name."""
    assets = {}
    for entry in files("mainstay.doors.web").joinpath("static").iterdir():
        suffix = "." + entry.name.rpartition(".")[2]
        if entry.is_file() and suffix in _MEDIA:
            body = entry.read_bytes()
            assets[entry.name] = Asset(body, _MEDIA[suffix], hashlib.sha256(body).hexdigest()[:12])
    # The style of the public status page is the word's own: `incident statuspage` writes it beside the page.
    status = files("mainstay.incident").joinpath("status.css").read_bytes()
    assets["status.css"] = Asset(status, _MEDIA[".css"], hashlib.sha256(status).hexdigest()[:12])
    return assets


class Site:
    """Every page with its navigation."""

    def __init__(self, front: Front, pages: Sequence[Page]) -> None:
        self.front, self.pages = front, tuple(pages)
        taken = {page.path for page in pages}
        self.verbs = tuple(operation for operation in front.operations
                           if "page" in operation.doors and page_path(operation) not in taken)
        self.assets = load_assets()
        self.logins = Pace(front.settings.logins_per_minute / 60, front.settings.logins_per_minute, front.clock)
        self._letters = _letters([word for word, _ in self._by_word()])

    def _by_word(self) -> list[tuple[str, list[tuple[str, str]]]]:
        """The words in loop order, each with (title, path) of its pages."""
        found: dict[str, list[tuple[str, str]]] = {}
        for page in self.pages:
            if page.word and page.listed:
                found.setdefault(page.word, []).append((page.title, page.path))
        for operation in self.verbs:
            # A command of the house stands by itself, behind the words.
            found.setdefault(operation.word or operation.verb, []).append((operation.verb, page_path(operation)))
        order = {word: index for index, word in enumerate(LOOP)}
        return sorted(found.items(), key=lambda item: (order.get(item[0], len(LOOP)), item[0]))

    def frame(self, title: str, path: str, caller: Caller | None, *, query: PageQuery | None = None,
              word: str = "") -> Frame:
        """The layout's part of a page; without a caller (login, errors) the navigation is left out."""
        words = tuple(
            NavWord(name, links[0][1], self._letters.get(name, ""), name == word,
                    tuple(NavLink(text, href, href == path) for text, href in links if text != name),
                    links == [(name, path)])
            for name, links in self._by_word()) if caller else ()
        ranges = tuple((value, text, value == query.range) for value, text in RANGES) if query else ()
        kept = tuple((name, value) for name, value in query.fields.items() if name != "range") if query else ()
        open_to_all = self.front.gate.open_to_local()
        return Frame(title, path, self.front.settings.catalog, caller.name if caller else "",
                     caller.csrf if caller else "", bool(caller and caller.csrf and not open_to_all), words,
                     {name: f"/static/{name}?v={asset.version}" for name, asset in self.assets.items()}, ranges, kept)

    def error_page(self, request: AnyRequest, error: MainstayError) -> Response[Any]:
        """The error as a page of its own; whoever is not logged in is led to the login page instead."""
        scope = request.scope
        if isinstance(error, NotKnown) and scope["method"] in READING and self.front.gate.tokens is not None:
            back = _own_address(request)
            return _redirect("/login" if back == "/" else f"/login?next={quote(back, safe='')}")
        caller = None
        if not isinstance(error, NotKnown):
            try:
                caller = self.front.who(scope)
            except MainstayError:
                caller = None  # the page then simply has no navigation
        body = render_template("error.html", frame=self.frame("It did not work", scope["path"], caller), error=error)
        return _html(body, status=error.http_status)

    def visitor(self, request: AnyRequest) -> tuple[Caller, str]:
        """The caller of a page, and a fresh cookie when the browser brought none and one is needed for forms."""
        caller = self.front.who(request.scope)
        caller.demand("read")
        if caller.csrf or not self.front.gate.open_to_local():
            return caller, ""
        cookie = self.front.gate.new_cookie()
        return replace(caller, csrf=self.front.gate.form_token(cookie)), cookie

    def with_cookie(self, response: Response[Any], cookie: str) -> Response[Any]:
        """The response, setting the session cookie when there is a new one."""
        if cookie:
            response.set_cookie(COOKIE, cookie, max_age=int(SESSION_LENGTH.total_seconds()), httponly=True,
                                samesite="strict", secure=self.front.settings.tls, path="/")
        return response


def _letters(words: Sequence[str]) -> dict[str, str]:
    """A letter for each word, its first that no earlier word has; `o` is the overview's."""
    taken, letters = {"o"}, {}
    for word in words:
        letter = next((c for c in word if c.isalpha() and c not in taken), "")
        letters[word] = letter
        taken.add(letter)
    return letters


def _html(body: str, status: int = 200) -> Response[Any]:
    return Response(str(body), media_type=MediaType.HTML, status_code=status)


def _redirect(to: str) -> Response[Any]:
    return Response("", media_type=MediaType.HTML, status_code=303, headers={"Location": to})


def _query(request: AnyRequest, default_range: str) -> PageQuery:
    fields = {name: values[-1] for name, values in request.query_params.dict().items()}
    asked = fields.get("range", default_range)
    return PageQuery(fields, asked if asked in dict(RANGES) else default_range)


def _came_from_elsewhere(request: AnyRequest) -> bool:
    """Whether a link on another site led here: the browser then holds the (SameSite=Strict) cookie back."""
    return request.headers.get("sec-fetch-site") == "cross-site" and not cookie_of(request.scope) \
        and request.headers.get("sec-fetch-mode") == "navigate"


def _own_address(request: AnyRequest) -> str:
    """The address of the request, fit for a header and for HTML."""
    query = request.scope["query_string"].decode("latin-1")
    return local_path(quote(request.scope["path"]) + (f"?{quote(query, safe='%&=+,:;/?@')}" if query else ""))


async def _come_closer(request: AnyRequest) -> Response[Any] | None:
    """Before a page that a link on another site led to: a page that asks for it again, now from this site.

    Without it, whoever follows a link in a chat would have to log in although they are logged in.
    """
    return _html(render_template("bounce.html", back=_own_address(request))) if _came_from_elsewhere(request) else None


# -- routes --------------------------------------------------------------------------------------------------------


def page_routes(site: Site) -> list[HTTPRouteHandler]:
    """Every route that answers with HTML, and the files that pages load."""
    routes = [_page_route(site, page) for page in site.pages]
    routes += [_operation_page(site, operation) for operation in site.verbs]
    routes += [_search_route(site), _static_route(site), *_login_routes(site)]
    if not any(page.path == "/" for page in site.pages):
        routes.append(_home_route(site))
    return routes


def _page_route(site: Site, page: Page) -> HTTPRouteHandler:
    async def show(request: AnyRequest) -> Response[Any]:
        caller, cookie = site.visitor(request)
        refused = None
        if request.scope["method"] == "POST":
            try:
                led = await _do(site, page, request, caller)
                return site.with_cookie(_redirect(led or _own_address(request)), cookie)
            except _Refusal as refusal:
                refused = refusal.refused
        query = _query(request, page.default_range)
        frame = site.frame(page.title, page.path, caller, query=query if page.ranged else None, word=page.word)

        def draw() -> str:
            content = page.content(site.front.world_of(caller), query)
            return render_template(page.template, frame=frame, page=content, refused=refused, scopes=caller.scopes)

        status = refused.error.http_status if refused else 200
        return site.with_cookie(_html(await site.front.in_thread(draw), status), cookie)

    methods: list[Literal["GET", "HEAD", "POST"]] = [*READING, "POST"] if page.forms else [*READING]
    return route(page.path, http_method=methods, name=f"page {page.path}", status_code=200,
                 before_request=_come_closer)(show)


class _Refusal(Exception):
    """A form that was not accepted."""

    def __init__(self, refused: Refused) -> None:
        super().__init__(refused.error.message)
        self.refused = refused


async def _do(site: Site, page: Page, request: AnyRequest, caller: Caller) -> str:
    """What a form of the page asks for; the address that it leads to, empty for the page itself.

    Raises:
        NotKnown: the caller has to log in.
        _Refusal: it was not done, and why.
    """
    sent = {name: str(value) for name, value in (await request.form()).items()}
    form_token, act = sent.pop("csrf", ""), sent.pop("act", "")
    try:
        operation = page.forms.get(act)
        if operation is None:
            raise InvalidInput(f'this page has no form "{act}"', "load the page again")
        site.front.who_acts(request.scope, form_token)
        return await site.front.perform(
            operation, read_request(operation.request, clean(operation.request, sent)), caller,
            lambda result: address(page.leads(result)) if page.leads is not None else "")
    except NotKnown:
        raise
    except MainstayError as error:
        raise _Refusal(Refused(error, act, sent)) from error


@dataclass(slots=True)
class _Answer:
    """What a generic page shows below its form; `asks` is what an untouched form still needs."""

    asks: str = ""
    view: View | None = None
    error: MainstayError | None = None
    fields: tuple[Field, ...] = field(default_factory=tuple)


def _operation_page(site: Site, operation: Operation[Any, Any]) -> HTTPRouteHandler:
    path = page_path(operation)

    async def answer(request: AnyRequest) -> Response[Any]:
        caller, cookie = site.visitor(request)
        acts = request.scope["method"] == "POST"
        sent = await request.body() if acts else request.scope["query_string"]
        answer = await _answer(site, operation, request, caller, sent)
        values = {"frame": site.frame(name_of(operation), path, caller, word=operation.word),
                  "name": name_of(operation), "topic": operation.word or operation.verb,
                  "operation": operation, "answer": answer, "acts": operation.scope != "read",
                  "api": _api_address(operation, sent) if operation.scope == "read" else "",
                  "may": operation.scope in caller.scopes}
        status = answer.error.http_status if answer.error else 200
        body = await site.front.in_thread(lambda: render_template("operation.html", **values))
        return site.with_cookie(_html(body, status), cookie)

    methods: list[Literal["GET", "HEAD", "POST"]] = [*READING] if operation.scope == "read" else [*READING, "POST"]
    return route(path, http_method=methods, name=f"page {path}", status_code=200,
                 before_request=_come_closer)(answer)


def _api_address(operation: Operation[Any, Any], sent: bytes) -> str:
    fields = [field for field in sent.decode("latin-1").split("&") if field != f"{BEGUN}=true"]
    return f"{api_path(operation)}?{'&'.join(fields)}"


async def _answer(site: Site, operation: Operation[Any, Any], request: AnyRequest, caller: Caller,
                  sent: bytes) -> _Answer:
    """The form as it was filled in, and the result when there is enough to ask for one."""
    acts = request.scope["method"] == "POST"
    answer = _Answer(fields=draw_fields(operation.request, {}))
    begun = False
    try:
        raw = from_query(operation.request, sent)
        form_token = str(raw.pop("csrf", "")) if acts else ""
        begun = not acts and raw.pop(BEGUN, "") == "true"
        given = clean(operation.request, raw)
        answer.fields = draw_fields(operation.request, given)
        missing = [one.name for one in offered(operation.request) if one.required and one.name not in given]
        if not acts and (operation.scope != "read" or missing):
            return answer
        if acts:
            site.front.who_acts(request.scope, form_token)
        answer.view = await site.front.perform(operation, read_request(operation.request, given), caller,
                                               operation.view)
    except NotKnown:
        raise
    except MainstayError as error:
        # Nobody has typed anything yet: what the operation misses is a hint, not a refusal.
        if type(error) in (InvalidInput, NotFound, NoData) and not acts and (begun or not sent):
            answer.asks = f"{error.message}: {error.way_out}" if error.way_out else error.message
        else:
            answer.error = error
    return answer


def _home_route(site: Site) -> HTTPRouteHandler:
    @route("/", http_method=READING, name="page /", before_request=_come_closer)
    async def home(request: AnyRequest) -> Response[Any]:
        caller, cookie = site.visitor(request)
        verbs = [(name_of(one), page_path(one), one.summary) for one in site.verbs]
        body = render_template("search.html", frame=site.frame("Everything", "/", caller), asked="", found=verbs)
        return site.with_cookie(_html(body), cookie)

    return home


def _search_route(site: Site) -> HTTPRouteHandler:
    @route("/search", http_method=READING, before_request=_come_closer)
    async def search(request: AnyRequest) -> Response[Any]:
        caller, cookie = site.visitor(request)
        asked = _query(request, "").get("q").strip()[:200]
        found = await site.front.in_thread(lambda: _find(site, caller, asked.lower()))
        body = render_template("search.html", frame=site.frame("Search", "/search", caller), asked=asked, found=found)
        return site.with_cookie(_html(body), cookie)

    return search


def _find(site: Site, caller: Caller, asked: str) -> list[tuple[str, str, str]]:
    """(name, address, what it is) of declared things, pages and verbs whose name or summary holds the text."""
    found: list[tuple[str, str, str]] = []
    for kind, resources in site.front.world(caller.name).catalog.resources.items():
        found += [(name, address(link), f"{kind.__name__}, {resource.origin}") for name, resource in resources.items()
                  if asked in name.lower() and (link := site.front.hooks.link(resource))]
    found += [(page.title, page.path, page.word) for page in site.pages if page.listed and asked in page.title.lower()]
    found += [(name_of(one), page_path(one), one.summary) for one in site.verbs
              if asked in f"{name_of(one)} {one.summary}".lower()]
    return found[:MAX_FOUND]


def _static_route(site: Site) -> HTTPRouteHandler:
    @route("/static/{name:str}", http_method=READING)
    async def static(request: AnyRequest) -> Response[bytes]:
        asset = site.assets.get(request.path_params["name"])
        if asset is None:
            raise NotFound("no such file")
        headers = {"ETag": f'"{asset.version}"', "Cache-Control": "public, max-age=31536000, immutable"}
        if request.headers.get("if-none-match") == headers["ETag"]:
            return Response(b"", status_code=304, headers=headers, media_type=asset.media)
        return Response(asset.body, media_type=asset.media, headers=headers)

    return static


def _login_routes(site: Site) -> list[HTTPRouteHandler]:
    gate = site.front.gate

    def form(cookie: str, after: str, error: MainstayError | None = None) -> Response[Any]:
        # The browser gets a cookie before it logs in, so that another site cannot log it in as someone else.
        fresh = cookie or gate.new_cookie()
        frame = site.frame("Log in", "/login", None)
        body = render_template("login.html", frame=frame, after=after, csrf=gate.form_token(fresh), error=error,
                               open=gate.open_to_local())
        return site.with_cookie(_html(body, error.http_status if error else 200), "" if cookie else fresh)

    @route("/login", http_method=READING, name="login form", before_request=_come_closer)
    async def show(request: AnyRequest) -> Response[Any]:
        return form(cookie_of(request.scope), local_path(_query(request, "").get("next", "/")))

    @route("/login", http_method="POST", name="login", status_code=200)
    async def log_in(request: AnyRequest) -> Response[Any]:
        sent = dict(await request.form())
        cookie, after = cookie_of(request.scope), local_path(str(sent.get("next", "/")))
        client = request.scope["client"][0] if request.scope["client"] else ""
        try:
            gate.check_form(cookie, str(sent.get("csrf", "")))
            if wait := site.logins.wait(client):
                raise TooMany("too many tries to log in", f"try again in {wait:.0f} s")
            fresh, caller = gate.log_in(str(sent.get("token", "")).strip())
        except MainstayError as error:
            await site.front.record(Act("unknown", "login", client, f"refused: {error.code}"))
            return form(cookie, after, error)
        await site.front.record(Act(caller.name, "login", client, "done"))
        return site.with_cookie(_redirect(after), fresh)

    @route("/logout", http_method="POST", status_code=200)
    async def log_out(request: AnyRequest) -> Response[Any]:
        sent = dict(await request.form())
        caller = site.front.who_acts(request.scope, str(sent.get("csrf", "")))
        gate.log_out(cookie_of(request.scope))
        await site.front.record(Act(caller.name, "logout", "", "done"))
        response = _redirect("/login")
        response.delete_cookie(COOKIE, path="/")
        return response

    return [show, log_in, log_out]
