"""The servers that crash tests need."""

from __future__ import annotations

from servers.postgres import postgres

__all__ = ["postgres"]
