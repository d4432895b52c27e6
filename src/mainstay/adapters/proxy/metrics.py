"""What the proxies did, in Prometheus' text form: toxiproxy's two metrics under its names, and ours."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from mainstay.adapters.proxy.listener import AnyListener

_HELP = {
    "toxiproxy_proxy_received_bytes_total": ("counter", "Bytes received on a proxy, by direction."),
    "toxiproxy_proxy_sent_bytes_total": ("counter", "Bytes sent on a proxy, by direction."),
    "mainstay_proxy_connections_total": ("counter", "Connections (UDP: clients) of a proxy."),
    "mainstay_proxy_connections_open": ("gauge", "Connections (UDP: clients) of a proxy that are there now."),
    "mainstay_proxy_connections_failed_total": ("counter", "Connections that the upstream did not take."),
    "mainstay_proxy_victims_total": ("counter", "Connections that some toxic was put on."),
    "mainstay_proxy_toxic_victims_total": ("counter", "Connections that this toxic was put on."),
    "mainstay_proxy_toxic_bystanders_total": ("counter", "Connections that the draw of this toxic spared."),
    "mainstay_proxy_toxic_injected_total": ("counter", "Acts of this toxic: delays, drops, changes, answers, cuts."),
}


def exposition(proxies: Iterable[AnyListener]) -> str:
    """All metrics of all proxies."""
    lines: dict[str, list[str]] = {name: [] for name in _HELP}
    for one in proxies:
        for name, labels, value in _samples(one):
            inner = ",".join(f'{key}="{_escaped(text)}"' for key, text in labels.items())
            lines[name].append(f"{name}{{{inner}}} {value}")
    return "".join(f"# HELP {name} {text}\n# TYPE {name} {kind}\n" + "".join(f"{line}\n" for line in lines[name])
                   for name, (kind, text) in _HELP.items())


def _samples(one: AnyListener) -> Iterator[tuple[str, dict[str, str], int]]:
    proxy, now = one.proxy, one.statistics()
    place = {"listener": proxy.listen, "proxy": proxy.name, "upstream": proxy.upstream}
    sent = {"upstream": now.bytes_upstream, "downstream": now.bytes_downstream}
    for direction, received in one.read().items():
        yield "toxiproxy_proxy_received_bytes_total", {"direction": direction, **place}, received
        yield "toxiproxy_proxy_sent_bytes_total", {"direction": direction, **place}, sent[direction]
    name = {"proxy": proxy.name}
    yield "mainstay_proxy_connections_total", name, now.connections
    yield "mainstay_proxy_connections_open", name, now.open
    yield "mainstay_proxy_connections_failed_total", name, now.failed
    yield "mainstay_proxy_victims_total", name, now.victims
    for toxic, count in now.toxics.items():
        labels = {"proxy": proxy.name, "toxic": toxic}
        yield "mainstay_proxy_toxic_victims_total", labels, count.victims
        yield "mainstay_proxy_toxic_bystanders_total", labels, count.bystanders
        yield "mainstay_proxy_toxic_injected_total", labels, count.injected


def _escaped(text: str) -> str:
    return text.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")
