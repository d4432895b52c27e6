"""What is true: products, carts and orders, in a database that outlives the process."""

from __future__ import annotations

import asyncio
import json
import random
import sqlite3
from collections.abc import Mapping, Sequence
from typing import ClassVar, NamedTuple

from shop.dependency import Need
from shop.routing import Call, Refusal, Route
from shop.service import Backstage
from shop.wire import Response

_THINGS = ("kettle", "lamp", "stool", "basket", "clock", "jug", "blanket", "mirror", "vase", "tray", "candle", "bowl")
_COLOURS = ("blue", "green", "red", "white")

_TABLES = """
create table if not exists carts (user text, product text, count integer, primary key (user, product));
create table if not exists orders (id integer primary key, key text, user text, lines text, cents integer,
                                   unique (user, key));
"""


class Product(NamedTuple):
    """Something on sale; its price is in euro cents."""

    id: str
    name: str
    cents: int


class Orders:
    """Reads and writes the database."""

    NEEDS: ClassVar[Mapping[str, Need]] = {}

    def __init__(self, backstage: Backstage) -> None:
        self._products = {
            str(number): Product(str(number), f"{colour} {thing}", 500 + 137 * number % 4000)
            for number, (colour, thing) in enumerate(((c, t) for t in _THINGS for c in _COLOURS), start=1)
        }
        self._database = sqlite3.connect(backstage.folder.database, isolation_level=None)
        # With the write-ahead log a killed process loses nothing it has confirmed.
        self._database.executescript(f"pragma journal_mode = wal; pragma synchronous = normal; {_TABLES}")

    def routes(self) -> Sequence[Route]:
        """What the api may ask."""
        return (
            Route("GET", "/products", self._all_products),
            Route("GET", "/products/{id}", self._product),
            Route("PUT", "/carts/{user}", self._set_line),
            Route("POST", "/orders", self._place),
            Route("GET", "/orders/{id}", self._order),
        )

    async def _all_products(self, _call: Call) -> Response:
        await _seek()
        return Response.of(200, {"products": [product._asdict() for product in self._products.values()]})

    async def _product(self, call: Call) -> Response:
        await _seek()
        return Response.of(200, self._known_product(call.parameters["id"])._asdict())

    async def _set_line(self, call: Call) -> Response:
        """Set how many of a product are in the cart, so that the same request twice changes nothing."""
        await _seek()
        user, product = call.parameters["user"], self._known_product(call.text("product"))
        line = (user, product.id, call.whole_number("count"))
        self._database.execute("insert or replace into carts values (?, ?, ?)", line)
        return Response.of(200, {"user": user, "lines": self._cart(user)})

    async def _place(self, call: Call) -> Response:
        """Turn the cart into an order, once per key."""
        await _seek()
        user, key = call.text("user"), call.text("key")
        with self._database:  # one transaction: an order and an empty cart, or neither
            self._database.execute("begin immediate")
            placed = self._find("user = ? and key = ?", user, key)
            if placed is None:
                lines = self._cart(user)
                if not lines:
                    raise Refusal(409, "empty_cart", "there is nothing in the cart")
                cents = sum(self._products[product].cents * count for product, count in lines.items())
                self._database.execute("insert into orders (key, user, lines, cents) values (?, ?, ?, ?)",
                                       (key, user, json.dumps(lines), cents))
                self._database.execute("delete from carts where user = ?", (user,))
                placed = self._find("user = ? and key = ?", user, key)
        return Response.of(200, placed)

    async def _order(self, call: Call) -> Response:
        await _seek()
        order = self._find("id = ?", call.parameters["id"])
        if order is None:
            raise Refusal(404, "not_found", "there is no such order")
        return Response.of(200, order)

    def _known_product(self, number: str) -> Product:
        if number not in self._products:
            raise Refusal(404, "not_found", "there is no such product")
        return self._products[number]

    def _cart(self, user: str) -> dict[str, int]:
        rows = self._database.execute("select product, count from carts where user = ? and count > 0", (user,))
        return dict(rows.fetchall())

    def _find(self, condition: str, *values: str) -> dict[str, object] | None:
        row = self._database.execute(f"select id, user, lines, cents from orders where {condition}", values).fetchone()
        return row and {"id": row[0], "user": row[1], "lines": json.loads(row[2]), "cents": row[3]}


async def _seek() -> None:
    """The time a database that is not all in memory takes; it is what makes the cache worth having."""
    await asyncio.sleep(random.uniform(0.008, 0.020))
