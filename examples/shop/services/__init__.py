"""The five services: what each one does for a customer."""

from shop.service import Trade
from shop.services.api import Api
from shop.services.auth import Auth
from shop.services.cache import Cache
from shop.services.orders import Orders
from shop.services.web import Web

TRADES: dict[str, type[Trade]] = {"web": Web, "api": Api, "auth": Auth, "cache": Cache, "orders": Orders}
