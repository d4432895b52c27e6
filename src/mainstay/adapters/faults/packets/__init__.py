"""Packets of one address, and nobody else's: delayed, lost, doubled, damaged, cut off, led elsewhere.

Everything here speaks to the kernel by netlink from the standard library. What is put in lives in a table of nftables
that the kernel owns to one process (`flags owner`), so that it is gone when that process is.
"""
