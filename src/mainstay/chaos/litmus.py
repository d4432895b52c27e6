"""Litmus: its engines and experiments as faults of a host.

Source: the definitions of litmuschaos.io/v1alpha1 and the variables that its faults document.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace

from mainstay.chaos.manifests import (
    Check,
    Collected,
    Document,
    Step,
    Translation,
    go_seconds,
    items,
    number,
    part,
    percent,
    tc_rate,
    text,
)

TOOL = "litmus"

_NODE = "it acts on a whole machine of a cluster"
_NOT_REAL = {
    "node-drain": _NODE, "node-taint": _NODE, "node-poweroff": _NODE, "node-restart": _NODE,
    "docker-service-kill": "it stops a node's own service; declare the unit as a Workload and use process-kill",
    "kubelet-service-kill": "it stops a node's own service; declare the unit as a Workload and use process-kill",
    "pod-io-stress": "it keeps a disk busy; say with disk-slow how slow it becomes",
    "node-io-stress": "it keeps a disk busy; say with disk-slow how slow it becomes",
    "pod-dns-spoof": "it answers with other addresses; dns-failure refuses",
    "pod-http-modify-header": "messages are not rewritten by parts",
}


def recognised(document: Document) -> bool:
    """Whether the document is one of Litmus'."""
    return text(document, "apiVersion").startswith("litmuschaos.io/")


def translations(document: Document) -> tuple[Translation, ...]:
    """What the manifest asks for: of an engine each of its experiments, of an experiment what it does by default."""
    kind, name = text(document, "kind"), text(part(document, "metadata"), "name")
    spec = part(document, "spec")
    match kind:
        case "ChaosEngine":
            found = Collected()
            start = 0.0
            for one in items(spec, "experiments"):
                if isinstance(one, Mapping):
                    start = _experiment(text(one, "name"), _variables(items(part(one, "spec", "components"), "env")),
                                        (_label(spec), start), found)
                    _probes(items(part(one, "spec"), "probe"), found)
            return (found.done(TOOL, kind, name),)
        case "ChaosExperiment":
            found = Collected()
            _experiment(name, _variables(items(part(spec, "definition"), "env")), ("", 0.0), found)
            return (found.done(TOOL, kind, name),)
        case _:
            found = Collected()
            found.leave(kind or "a manifest without a kind", "it is no experiment")
            return (found.done(TOOL, kind, name),)


def _label(spec: Document) -> str:
    """Whom the engine is aimed at; newer engines say it as a list of selectors."""
    if label := text(part(spec, "appinfo"), "applabel"):
        return label
    return ",".join(text(one, "labelSelector") or ",".join(map(str, items(one, "names")))
                    for one in items(part(spec, "selectors"), "workloads") if isinstance(one, Mapping))


def _variables(env: Sequence[object]) -> dict[str, str]:
    return {text(one, "name"): text(one, "value") for one in env if isinstance(one, Mapping)}


def _experiment(name: str, given: Mapping[str, str], where: tuple[str, float], found: Collected) -> float:
    """Read one fault; when it ends."""
    target, start = where
    length = number(given.get("TOTAL_CHAOS_DURATION", ""))
    affected = percent(given.get("PODS_AFFECTED_PERC") or given.get("NODES_AFFECTED_PERC") or "")
    notes = () if affected else ("one of the pods, where no share is said: set the share",)
    if given.get("TARGET_PODS"):
        target = given["TARGET_PODS"]
    step = Step("", {}, target, affected or 1.0, start, length, notes)
    read = _FAULTS.get(name)
    if read is None:
        found.leave(name or "an experiment without a name",
                    _NOT_REAL.get(name, "there is no fault of the table of kinds that does this"))
    elif narrower := _narrower(name, given):
        found.leave(name, narrower)
    else:
        for one in _aimed(name, given, step):
            read(given, found, one, name)
    return start + (length or 0.0)


_NARROWING = {"TARGET_HOSTNAMES": "only some names are not found",
              "SOURCE_PORTS": "only traffic of some ports is meant",
              "DESTINATION_PORTS": "only traffic to some ports is meant"}


def _narrower(name: str, given: Mapping[str, str]) -> str:
    """Why it is meant for less than any fault here hits; empty where it is not."""
    return next((f"{variable} is {given[variable]}: {why}" for variable, why in _NARROWING.items()
                 if name.startswith(("pod-dns-", "pod-network-")) and given.get(variable, "").strip("[]\"' ")), "")


def _aimed(name: str, given: Mapping[str, str], step: Step) -> Iterator[Step]:
    """The step as narrow as it is meant: one for each service whose traffic alone is hit; a share of the requests."""
    toxicity = percent(given.get("TOXICITY") or "100")
    if name.startswith("pod-http-") and toxicity:
        step = replace(step, share=step.share * toxicity)
    hosts = [one.strip() for one in (given.get("DESTINATION_HOSTS") or given.get("DESTINATION_IPS") or "").split(",")]
    for host in [one for one in hosts if one and name.startswith("pod-network-")] or [""]:
        # The service of `db.shop.svc` is called db; an address has no shorter name.
        aim = host if host.replace(".", "").isdigit() else host.partition(".")[0]
        note = (f"only on the way to {host}: declare it as a dependency of the target",) if host else ()
        yield replace(step, towards=aim, notes=(*step.notes, *note))


Read = Callable[[Mapping[str, str], Collected, Step, str], None]


def _plain(kind: str, notes: tuple[str, ...] = ()) -> Read:
    def read(_given: Mapping[str, str], found: Collected, step: Step, name: str) -> None:
        found.take(replace(step, kind=kind, notes=(*step.notes, *notes)), {}, name)
    return read


def _share_of(kind: str, parameter: str, variable: str) -> Read:
    def read(given: Mapping[str, str], found: Collected, step: Step, name: str) -> None:
        share = percent(given.get(variable, "") or "100")
        if share is None:
            found.leave(name, f'{variable} is "{given.get(variable)}", which is no percentage')
        else:
            found.take(replace(step, kind=kind), {parameter: share}, name)
    return read


def _milliseconds(kind: str, variable: str) -> Read:
    def read(given: Mapping[str, str], found: Collected, step: Step, name: str) -> None:
        latency, jitter = number(given.get(variable, "") or "2000"), number(given.get("JITTER", "") or "0")
        if latency is None or jitter is None:
            found.leave(name, f'{variable} is "{given.get(variable)}", which is no number of milliseconds')
        else:
            found.take(replace(step, kind=kind), {"latency": latency / 1000, "jitter": jitter / 1000}, name)
    return read


def _processor(given: Mapping[str, str], found: Collected, step: Step, name: str) -> None:
    cores = given.get("CPU_CORES") or given.get("NODE_CPU_CORE") or "0"
    load = percent(given.get("CPU_LOAD") or "100")
    if load is None or number(cores) is None:
        found.leave(name, f'CPU_LOAD "{given.get("CPU_LOAD")}" or cores "{cores}" cannot be read')
        return
    if name.startswith("pod-"):
        step = replace(step, notes=(*step.notes, "the host's processors are busy, not only the pod's share of them"))
    # A load of 0 means that only the number of cores counts.
    found.take(replace(step, kind="cpu-stress"), {"load": load or 1.0, "cpus": cores}, name)


def _memory(given: Mapping[str, str], found: Collected, step: Step, name: str) -> None:
    size = number(given.get("MEMORY_CONSUMPTION") or given.get("MEMORY_CONSUMPTION_MEBIBYTES") or "0")
    if not size:
        found.leave(name, "it names a share of a machine's memory, or nothing; write the size in MEMORY_CONSUMPTION")
        return
    # Litmus says MB and hands MiB to stress-ng; the smaller reading never takes more than was asked for.
    unit = 2**20 if "MEBIBYTES" in " ".join(key for key in given if given[key]) else 10**6
    found.take(replace(step, kind="memory-stress"), {"size": size * unit}, name)


def _disk(given: Mapping[str, str], found: Collected, step: Step, name: str) -> None:
    if number(given.get("FILL_PERCENTAGE", "")) == 100:
        found.take(replace(step, kind="disk-full"), {"left": 0.0}, name)
    else:
        found.leave(name, f"it fills {given.get('FILL_PERCENTAGE') or 'some'} % of what the pod may use; disk-full "
                          "says in bytes what stays free: left")


def _rate(given: Mapping[str, str], found: Collected, step: Step, name: str) -> None:
    rate = tc_rate(given.get("NETWORK_BANDWIDTH", ""))
    if rate is None:
        found.leave(name, f'NETWORK_BANDWIDTH is "{given.get("NETWORK_BANDWIDTH", "")}", which is no rate')
    else:
        found.take(replace(step, kind="bandwidth-limit"), {"rate": rate}, name)


def _status(given: Mapping[str, str], found: Collected, step: Step, name: str) -> None:
    codes = [one.strip() for one in given.get("STATUS_CODE", "").split(",") if one.strip()]
    if not codes:
        found.leave(name, "STATUS_CODE is empty: a random one would be drawn")
        return
    notes = (f"always {codes[0]}, where one of {len(codes)} was drawn",) if len(codes) > 1 else ()
    found.take(replace(step, kind="dependency-error", notes=(*step.notes, *notes)), {"status": codes[0]}, name)


def _body(given: Mapping[str, str], found: Collected, step: Step, name: str) -> None:
    found.take(replace(step, kind="dependency-error"), {"status": 200.0, "body": given.get("RESPONSE_BODY", "")}, name)


def _scale(given: Mapping[str, str], found: Collected, step: Step, name: str) -> None:
    found.take(replace(step, kind="scale"), {"replicas": given.get("REPLICA_COUNT", "")}, name)


_FAULTS: dict[str, Read] = {
    "container-kill": _plain("process-kill"),
    "pod-delete": _plain("pod-failure"),
    "pod-autoscaler": _scale,
    "disk-fill": _disk,
    "node-cpu-hog": _processor, "pod-cpu-hog": _processor, "pod-cpu-hog-exec": _processor,
    "node-memory-hog": _memory, "pod-memory-hog": _memory, "pod-memory-hog-exec": _memory,
    "pod-dns-error": _plain("dns-failure"),
    "pod-http-latency": _milliseconds("dependency-slow", "LATENCY"),
    "pod-http-reset-peer": _plain("dependency-reset"),
    "pod-http-status-code": _status,
    "pod-http-modify-body": _body,
    "pod-network-corruption": _share_of("packet-corruption", "rate", "NETWORK_PACKET_CORRUPTION_PERCENTAGE"),
    "pod-network-duplication": _share_of("packet-duplication", "rate", "NETWORK_PACKET_DUPLICATION_PERCENTAGE"),
    "pod-network-latency": _milliseconds("network-latency", "NETWORK_LATENCY"),
    "pod-network-loss": _share_of("packet-loss", "loss", "NETWORK_PACKET_LOSS_PERCENTAGE"),
    "pod-network-partition": _plain("network-partition"),
    "pod-network-rate-limit": _rate,
}


def _probes(probes: Sequence[object], found: Collected) -> None:
    for one in probes:
        if not isinstance(one, Mapping):
            continue
        name, kind = text(one, "name"), text(one, "type")
        url = text(part(one, "httpProbe/inputs"), "url")
        criteria = part(one, "httpProbe/inputs", "method", "get")
        code = text(criteria, "responseCode")
        if kind == "httpProbe" and url and text(criteria, "criteria") == "==" and code.isdigit():
            found.checks.append(Check(name, url, "GET", int(code), int(code)))
        else:
            found.leave(f"probe {name}", f"{kind or 'it'} is not an HTTP probe that expects one status")


def seconds_of(written: str) -> float | None:
    """A duration of a probe's runProperties: `5s`, or a bare number of seconds in older engines."""
    bare = number(written)
    return bare if bare is not None else go_seconds(written)


def all_of(documents: Sequence[Document]) -> Iterator[Translation]:
    """Every manifest of Litmus among the documents."""
    for one in documents:
        if recognised(one):
            yield from translations(one)
