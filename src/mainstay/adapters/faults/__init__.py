"""Mechanisms that put faults into this host, and whoever takes them out again."""
