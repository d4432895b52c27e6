"""The edge: what a customer's browser talks to. It knows no products; it asks the api and shows the answer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import ClassVar

from shop.dependency import Need
from shop.routing import Call, Route
from shop.service import Backstage
from shop.wire import Request, Response

# Headers of the customer that the api has to see, and of the api that the customer has to see.
_INWARD = ("authorization", "idempotency-key")
_OUTWARD = ("content-type", "retry-after")


class Web:
    """Passes requests on to the api."""

    NEEDS: ClassVar[Mapping[str, Need]] = {"api": Need(seconds=2.0, relays=True)}

    def __init__(self, backstage: Backstage) -> None:
        self._api = backstage.dependencies["api"]

    def routes(self) -> Sequence[Route]:
        """What a customer can do."""
        return (
            Route("GET", "/", self._browse),
            Route("GET", "/products/{id}", self._same_path),
            Route("POST", "/login", self._log_in),
            Route("POST", "/cart", self._same_path),
            Route("POST", "/checkout", self._check_out),
            Route("GET", "/orders/{id}", self._same_path),
        )

    async def _browse(self, call: Call) -> Response:
        response = await self._pass_on(call, "/products")
        if response.status == 200 and "text/html" in call.request.headers.get("accept", ""):
            return _shop_window(response)
        return response

    async def _log_in(self, call: Call) -> Response:
        return await self._pass_on(call, "/sessions")

    async def _check_out(self, call: Call) -> Response:
        return await self._pass_on(call, "/orders")

    async def _same_path(self, call: Call) -> Response:
        return await self._pass_on(call, call.request.path)

    async def _pass_on(self, call: Call, path: str) -> Response:
        asked = call.request
        headers = {name: asked.headers[name] for name in _INWARD if name in asked.headers}
        answer = await self._api.call(call, Request(asked.method, path, headers, asked.body))
        if "x-degraded" in answer.headers:
            call.degraded.update(answer.headers["x-degraded"].split(","))
        kept = {name: answer.headers[name] for name in _OUTWARD if name in answer.headers}
        return Response(answer.status, kept, answer.body)


def _shop_window(products: Response) -> Response:
    """The list of products for a person."""
    rows = "".join(
        f"<li><a href='/products/{escape(product['id'])}'>{escape(product['name'])}</a> {product['cents'] / 100:.2f} €"
        for product in products.json()["products"]
    )
    page = f"<!doctype html><html lang=en><meta charset=utf-8><title>The shop</title><h1>The shop</h1><ul>{rows}</ul>"
    return Response(200, {"content-type": "text/html; charset=utf-8"}, page.encode())
