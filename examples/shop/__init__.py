"""A small real shop: five services, each its own process, that Mainstay watches, loads, attacks and deploys.

It needs nothing but Python 3.11 on Linux, and `mainstay.resilience`, which it finds in this repository. The way in is
`python examples/shop --help`.
"""
