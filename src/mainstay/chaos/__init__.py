"""Faults that always come out again, and verdicts that can be believed."""
