"""The middle: knows who asks (auth), what was asked lately (cache) and what is true (orders)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar

from mainstay.resilience import Fallback, raised
from shop.dependency import Need, Unavailable
from shop.routing import Call, Refusal, Route
from shop.service import Backstage
from shop.wire import Request, Response

_FRESH_SECONDS = 30.0


class Api:
    """Puts the three services behind it together.

    Only what does not change under a customer's hands is cached: products, and orders once placed. So a cache that
    was cut off for a while and comes back can never show a wrong cart.
    """

    NEEDS: ClassVar[Mapping[str, Need]] = {
        "auth": Need(seconds=0.25),
        "cache": Need(seconds=0.15, required=False),
        "orders": Need(seconds=1.0),
    }

    def __init__(self, backstage: Backstage) -> None:
        self._auth, self._cache = backstage.dependencies["auth"], backstage.dependencies["cache"]
        self._orders = backstage.dependencies["orders"]
        # The cache only saves time, so its failures are marked and gone round. Those of auth and orders are not caught
        # here: they become a 503 that names the service.
        optional = Fallback("cache", _go_round_the_cache, on=raised(Unavailable))
        self._recall, self._remember = optional(self._look_up), optional(self._keep)

    def routes(self) -> Sequence[Route]:
        """What web may ask."""
        return (
            Route("GET", "/products", self._products),
            Route("GET", "/products/{id}", self._product),
            Route("POST", "/sessions", self._log_in),
            Route("POST", "/cart", self._put_in_cart),
            Route("POST", "/orders", self._check_out),
            Route("GET", "/orders/{id}", self._order),
        )

    async def _products(self, call: Call) -> Response:
        return await self._read(call, "products", "/products")

    async def _product(self, call: Call) -> Response:
        product = call.parameters["id"]
        return await self._read(call, f"product-{product}", f"/products/{product}")

    async def _log_in(self, call: Call) -> Response:
        return _plain(await self._auth.call(call, Request("POST", "/sessions", body=call.request.body)))

    async def _put_in_cart(self, call: Call) -> Response:
        product, count = call.text("product"), call.whole_number("count")
        user = await self._user(call)
        line = Response.of(200, {"product": product, "count": count}).body
        return _plain(await self._orders.call(call, Request("PUT", f"/carts/{user}", body=line)))

    async def _check_out(self, call: Call) -> Response:
        user = await self._user(call)
        # The key makes a repeated checkout the same order: a customer who presses twice pays once.
        key = call.request.headers.get("idempotency-key", call.request_id)
        body = Response.of(200, {"user": user, "key": key}).body
        answer = await self._orders.call(call, Request("POST", "/orders", body=body))
        if answer.status == 200:
            await self._remember(call, f"order-{answer.json()['id']}", answer)
        return _plain(answer)

    async def _order(self, call: Call) -> Response:
        user = await self._user(call)
        order = call.parameters["id"]
        answer = await self._read(call, f"order-{order}", f"/orders/{order}")
        if answer.status == 200 and answer.json()["user"] != user:
            raise Refusal(404, "not_found", "there is no such order")
        return answer

    async def _user(self, call: Call) -> str:
        """Who asks; nobody is taken at their word while auth is down."""
        proof = call.request.headers.get("authorization", "")
        if not proof:
            raise Refusal(401, "no_session", "log in first")
        answer = await self._auth.call(call, Request("GET", "/sessions/current", {"authorization": proof}))
        if answer.status != 200:
            raise Refusal(401, "no_session", "the session is not valid")
        return str(answer.json()["user"])

    async def _read(self, call: Call, key: str, path: str) -> Response:
        """From the cache while fresh, else from orders; what is down on the way is named in `x-degraded`.

        Without the cache every read goes to orders: slower, and right. Without orders an old entry is better than
        none.
        """
        kept = await self._recall(call, key)
        if kept is not None and float(kept.headers.get("age", "inf")) < _FRESH_SECONDS:
            return _plain(kept)
        try:
            answer = await self._orders.call(call, Request("GET", path))
        except Unavailable:
            if kept is None:
                raise
            call.degraded.add("orders")
            return _plain(kept)
        if answer.status == 200 and "cache" not in call.degraded:
            await self._remember(call, key, answer)
        return _plain(answer)

    async def _look_up(self, call: Call, key: str) -> Response | None:
        answer = await self._cache.call(call, Request("GET", f"/entries/{key}"))
        return answer if answer.status == 200 else None

    async def _keep(self, call: Call, key: str, answer: Response) -> None:
        await self._cache.call(call, Request("PUT", f"/entries/{key}", body=answer.body))


def _go_round_the_cache(_error: Exception | None, call: Call, *_of_the_entry: object) -> None:
    """Nothing is kept, and nothing of it found; what orders say is right all the same."""
    call.degraded.add("cache")


def _plain(answer: Response) -> Response:
    """The answer without the headers of the service it came from."""
    return Response(answer.status, {"content-type": "application/json"}, answer.body)
