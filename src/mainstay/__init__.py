"""Mainstay: the whole SRE practice in one tool."""

__version__ = "0.1.0"
