"""Chaos Mesh: its manifests as faults of a host, and faults as its manifests.

Source: the custom resource definitions of chaos-mesh.org/v1alpha1.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from mainstay.chaos.manifests import (
    Check,
    Collected,
    Document,
    LeftOut,
    Step,
    Translation,
    byte_size,
    go_seconds,
    items,
    number,
    part,
    percent,
    tc_rate,
    text,
)

TOOL = "chaos-mesh"

_NOT_REAL = {
    "JVMChaos": "it changes code inside a Java machine, which Mainstay does not reach into",
    "KernelChaos": "it needs the kernel's fault injection, which is not built into most kernels",
    "BlockChaos": "it delays a block device; use disk-slow with a folder on it",
    "AWSChaos": "it acts on a cloud's machines", "GCPChaos": "it acts on a cloud's machines",
    "AzureChaos": "it acts on a cloud's machines", "CiliumChaos": "it acts on a cluster's network policies",
}

_DEEPEST = 12
"""Templates of a workflow within each other; a circle ends here."""


def recognised(document: Document) -> bool:
    """Whether the document is one of Chaos Mesh's."""
    return text(document, "apiVersion").startswith("chaos-mesh.org/")


def translations(document: Document) -> tuple[Translation, ...]:
    """What the manifest asks for."""
    kind, name = text(document, "kind"), text(part(document, "metadata"), "name")
    spec, found = part(document, "spec"), Collected()
    schedule = ""
    match kind:
        case "Workflow":
            _workflow(spec, found)
        case "Schedule":
            schedule = text(spec, "schedule")
            inner = text(spec, "type")
            if inner == "Workflow":
                _workflow(part(spec, "workflow"), found)
            else:
                _chaos(inner, part(spec, _field(inner)), found)
        case _:
            _chaos(kind, spec, found)
    return (found.done(TOOL, kind, name, schedule),)


def _field(kind: str) -> str:
    """`NetworkChaos` is below `networkChaos`, `StatusCheck` below `statusCheck`, `AWSChaos` below `awsChaos`."""
    upper = len(kind) - len(kind.lstrip("ABCDEFGHIJKLMNOPQRSTUVWXYZ"))
    return kind[:max(1, upper - 1)].lower() + kind[max(1, upper - 1):]


def _chaos(kind: str, spec: Document, found: Collected, start: float = 0.0, seconds: float | None = None) -> None:
    read = _KINDS.get(kind)
    if read is None:
        found.leave(kind or "a manifest without a kind", _NOT_REAL.get(kind, "it is no experiment that Mainstay knows"))
        return
    _say_unread(kind, spec, found)
    share, notes = _share(spec)
    length = go_seconds(text(spec, "duration"))
    read(spec, found, Step("", {}, _target(spec), share, start, length if length is not None else seconds, notes))


_READ_OF_ALL = frozenset({"selector", "mode", "value", "duration", "action", "scheduler"})
_READ = {
    "NetworkChaos": {"delay", "loss", "duplicate", "corrupt", "rate", "bandwidth", "direction", "target",
                     "externalTargets"},
    "PodChaos": {"gracePeriod", "containerNames"}, "StressChaos": {"stressors", "stressngStressors"},
    "IOChaos": {"delay", "errno", "percent", "volumePath", "path", "methods", "attr", "mistake"},
    "TimeChaos": {"timeOffset", "clockIds"}, "DNSChaos": {"patterns"},
    "HTTPChaos": {"target", "port", "path", "method", "code", "request_headers", "response_headers", "abort", "delay",
                  "replace", "patch"}}
"""Fields that the reader of a kind takes or names itself; kinds that are not here have fields by action."""
_READ_OF_SELECTORS = frozenset({"namespaces", "labelSelectors", "pods", "physicalMachines"})


def _say_unread(kind: str, spec: Document, found: Collected) -> None:
    """Whatever else the manifest says: more is hit than it means, and that must not be so in silence."""
    if kind not in _READ:
        return
    for where, given, read in (("", spec, _READ_OF_ALL | _READ[kind]),
                               ("selector.", part(spec, "selector"), _READ_OF_SELECTORS)):
        for key in (one for one in given if one not in read and given[one] not in (None, "", [], {})):
            found.leave(f"{kind} {where}{key}", "a host has no such thing: what it would narrow down is hit whole")


def _target(spec: Document) -> str:
    selector = part(spec, "selector")
    labels = part(selector, "labelSelectors")
    if labels:
        return ",".join(f"{key}={value}" for key, value in labels.items())
    for key in ("pods", "physicalMachines"):
        if named := part(selector, key):
            return ",".join(str(one) for several in named.values() if isinstance(several, list) for one in several)
    return ",".join(map(str, (*items(selector, "namespaces"), *items(spec, "address"))))


def _share(spec: Document) -> tuple[float, tuple[str, ...]]:
    mode, value = text(spec, "mode"), percent(text(spec, "value"))
    if mode in ("fixed-percent", "random-max-percent") and value is not None:
        return value, (f"a fixed share of {value:.0%}, where up to as many were drawn",) if "max" in mode else ()
    if mode in ("one", "fixed", "fixed-percent", "random-max-percent"):
        many = "one" if mode == "one" else text(spec, "value") or "some"
        return 1.0, (f"{many} of the selected pods: name that many workloads or set the share",)
    return 1.0, ()


# -- one kind each ----------------------------------------------------------------------------------------------------


_WAYS = {"to": "on the way out", "from": "on the way in", "both": "on both ways"}


def _network(spec: Document, found: Collected, step: Step) -> None:
    action = text(spec, "action")
    if targets := part(spec, "target", "selector") or items(spec, "externalTargets"):
        aim = _target(part(spec, "target")) if isinstance(targets, Mapping) else ", ".join(map(str, targets))
        step = replace(step, towards=aim, notes=(
            *step.notes, f"only on the way to {aim}: declare it as a dependency of the target"))
    if action == "partition":
        way = {"to": "out", "from": "in", "both": "both"}.get(text(spec, "direction") or "to", "both")
        found.take(replace(step, kind="network-partition"), {"direction": way}, "NetworkChaos partition")
        return
    several = ("delay", "loss", "duplicate", "corrupt", "rate", "bandwidth") if action == "netem" else (action,)
    asked = [one for one in several if part(spec, one)]
    if not asked:
        found.leave(f"NetworkChaos {action}".strip(), "it does not say how much")
    meant = text(spec, "direction") or "to"
    for one in asked:
        ours = "to" if one in ("delay", "duplicate") else "both"
        differs = (f"{one} is put {_WAYS[ours]}, where Chaos Mesh puts it {_WAYS.get(meant, meant)}",) \
            if ours != meant else ()
        _netem(one, part(spec, one), found, replace(step, notes=(*step.notes, *differs)))


def _netem(action: str, given: Document, found: Collected, step: Step) -> None:
    asked = f"NetworkChaos {action}"
    if text(given, "correlation") not in ("", "0"):
        step = replace(step, notes=(*step.notes, f"its correlation of {text(given, 'correlation')} % is left out: each "
                                                 "packet is drawn by itself"))
    match action:
        case "delay":
            latency, jitter = go_seconds(text(given, "latency") or "0"), go_seconds(text(given, "jitter") or "0")
            if latency is None or jitter is None:
                found.leave(asked, f'"{text(given, "latency")}" is no duration')
                return
            found.take(replace(step, kind="network-latency"), {"latency": latency, "jitter": jitter}, asked)
            if text(part(given, "reorder"), "gap") not in ("", "0", "1"):
                found.leave("NetworkChaos reorder.gap", "each packet is drawn by itself")
            held = percent(text(part(given, "reorder"), "reorder"))
            if held:
                found.take(replace(step, kind="packet-reordering"), {"rate": held, "latency": latency},
                           "NetworkChaos reorder")
        case "loss" | "duplicate" | "corrupt":
            kind, name = {"loss": ("packet-loss", "loss"), "duplicate": ("packet-duplication", "rate"),
                          "corrupt": ("packet-corruption", "rate")}[action]
            share = percent(text(given, action))
            if share is None:
                found.leave(asked, f'"{text(given, action)}" is no percentage')
                return
            found.take(replace(step, kind=kind), {name: share}, asked)
        case "bandwidth" | "rate":
            rate = tc_rate(text(given, "rate"))
            if rate is None:
                found.leave(asked, f'"{text(given, "rate")}" is no rate')
                return
            found.take(replace(step, kind="bandwidth-limit"), {"rate": rate}, asked)
        case _:
            found.leave(asked, "it is no action that Mainstay knows")


def _pod(spec: Document, found: Collected, step: Step) -> None:
    match text(spec, "action"):
        case "pod-kill":
            found.take(replace(step, kind="pod-failure"), {"grace": number(text(spec, "gracePeriod")) or 0.0},
                       "PodChaos pod-kill")
        case "container-kill":
            names = ",".join(map(str, items(spec, "containerNames")))
            found.take(replace(step, kind="process-kill", target=step.target or names), {}, "PodChaos container-kill")
        case "pod-failure":
            found.take(replace(step, kind="process-pause", notes=(
                *step.notes, "the processes stand still meanwhile, where Chaos Mesh gives the pod an image that does "
                             "nothing")), {}, "PodChaos pod-failure")
        case other:
            found.leave(f"PodChaos {other}".strip(), "it is no action that Mainstay knows")


def _stress(spec: Document, found: Collected, step: Step) -> None:
    stressors = part(spec, "stressors")
    cpu, memory = part(stressors, "cpu"), part(stressors, "memory")
    for what, given in (("cpu", cpu), ("memory", memory)):
        if items(given, "options"):
            found.leave(f"StressChaos {what} options", "they are flags of stress-ng")
    if cpu:
        load = percent(text(cpu, "load") or "100")
        found.take(replace(step, kind="cpu-stress"), {"load": load if load is not None else 1.0,
                                                      "cpus": text(cpu, "workers") or 0.0}, "StressChaos cpu")
    if memory:
        size = byte_size(text(memory, "size"))
        if size is None:
            found.leave("StressChaos memory", f'"{text(memory, "size")}" is no size in bytes: of whose memory it would '
                                              "be a share is not known here")
        else:
            workers = max(1, int(text(memory, "workers") or 1)) if (text(memory, "workers") or "1").isdigit() else 1
            over = go_seconds(text(memory, "time") or "0") or 0.0
            found.take(replace(step, kind="memory-stress"), {"size": size * workers, "over": over},
                       "StressChaos memory")
    if not cpu and not memory:
        found.leave("StressChaos", "it names no stressor; stressngStressors are flags of stress-ng")


_ERRNO = {"5": "EIO", "28": "ENOSPC", "30": "EROFS", "13": "EACCES"}


def _io(spec: Document, found: Collected, step: Step) -> None:
    action = text(spec, "action")
    share = percent(text(spec, "percent") or "100")
    folder = text(spec, "volumePath")
    if folder:
        step = replace(step, notes=(*step.notes, f"in the folder {folder}: declare it as the workload's folder"))
    if (path := text(spec, "path")) not in ("", "*", "/**/*", f"{folder}/**/*"):
        found.leave("IOChaos path", f"every file in the folder is hit, not only {path}")
    if methods := items(spec, "methods"):
        found.leave("IOChaos methods", f"every call is hit, not only {', '.join(map(str, methods))}")
    match action:
        case "latency":
            delay = go_seconds(text(spec, "delay"))
            if delay is None:
                found.leave("IOChaos latency", f'"{text(spec, "delay")}" is no duration')
                return
            if share != 1.0:
                step = replace(step, share=share if share is not None else 1.0)
            found.take(replace(step, kind="disk-slow"), {"latency": delay}, "IOChaos latency")
        case "fault":
            error = _ERRNO.get(text(spec, "errno"))
            if error is None:
                found.leave("IOChaos fault", f"errno {text(spec, 'errno')} is none of {', '.join(_ERRNO.values())}")
                return
            found.take(replace(step, kind="io-error"), {"error": error, "rate": 1.0 if share is None else share},
                       "IOChaos fault")
        case "attrOverride" | "mistake":
            found.leave(f"IOChaos {action}", "it changes what files say of themselves or what is read from them")
        case _:
            found.leave(f"IOChaos {action}".strip(), "it is no action that Mainstay knows")


def _time(spec: Document, found: Collected, step: Step) -> None:
    offset = go_seconds(text(spec, "timeOffset"))
    if offset is None:
        found.leave("TimeChaos", f'"{text(spec, "timeOffset")}" is no duration')
        return
    clocks = [one for one in map(str, items(spec, "clockIds")) if one != "CLOCK_REALTIME"]
    if clocks:
        found.leave("TimeChaos clockIds", f"{', '.join(clocks)}: only the wall clock is moved")
        if "CLOCK_REALTIME" not in items(spec, "clockIds"):
            return
    found.take(replace(step, kind="clock-skew"), {"offset": offset}, "TimeChaos")


def _dns(spec: Document, found: Collected, step: Step) -> None:
    if patterns := [str(one) for one in items(spec, "patterns")]:
        step = replace(step, notes=(*step.notes, f"every name fails, not only {', '.join(patterns)}"))
    if text(spec, "action") == "error" and not patterns:
        found.take(replace(step, kind="dns-failure"), {}, "DNSChaos error")
    elif text(spec, "action") == "error":
        found.leave("DNSChaos error", f"only {', '.join(patterns)} would fail; dns-failure fails every name")
    else:
        found.leave(f"DNSChaos {text(spec, 'action')}".strip(),
                    "it answers with made-up addresses; dns-failure refuses")


def _http(spec: Document, found: Collected, step: Step) -> None:
    step = replace(step, notes=(*step.notes, "on the way to the selected pods: name them as the dependency"))
    for key in ("path", "method", "code", "request_headers", "response_headers"):
        if key in spec and text(spec, key) not in ("", "*"):
            found.leave(f"HTTPChaos {key}", f"every request is hit, not only those with {key} {text(spec, key)}")
    acted = len(found.steps)
    if text(spec, "abort").lower() == "true":
        found.take(replace(step, kind="dependency-reset"), {}, "HTTPChaos abort")
    if (delay := go_seconds(text(spec, "delay"))) is not None:
        found.take(replace(step, kind="dependency-slow"), {"latency": delay}, "HTTPChaos delay")
    replaced = part(spec, "replace")
    if text(replaced, "code") and text(spec, "target") != "Request":
        found.take(replace(step, kind="dependency-error"), {"status": text(replaced, "code"), "body": ""},
                   "HTTPChaos replace")
    for key in (one for one in replaced if one != "code" or text(spec, "target") == "Request"):
        found.leave(f"HTTPChaos replace.{key}", "messages are not rewritten by parts")
    for key in part(spec, "patch"):
        found.leave(f"HTTPChaos patch.{key}", "messages are not rewritten by parts; corrupt-data damages them")
    if len(found.steps) == acted and not found.left_out:
        found.leave("HTTPChaos", "it does not say what to do")


_NARROWING = ("ip-address", "hostname", "source-port", "egress-port", "ip-protocol", "accept-tcp-flags")


def _machine(spec: Document, found: Collected, step: Step) -> None:
    """A physical machine: what chaosd does there is below the action's own name."""
    action = text(spec, "action")
    given = part(spec, action)
    group, _, act = action.partition("-")
    asked = f"PhysicalMachineChaos {action}".strip()
    for key in (one for one in _NARROWING if group == "network" and text(given, one)):
        found.leave(f"{asked} {key}", "all traffic of the target is hit")
    match group, act:
        case "network", "delay":
            _netem("delay", given, found, step)
        case "network", ("loss" | "duplicate" | "corrupt"):
            _netem(act, {act: text(given, "percent"), "correlation": given.get("correlation")}, found, step)
        case "network", "bandwidth":
            _netem("bandwidth", given, found, step)
        case "network", ("partition" | "down"):
            way = {"to": "out", "from": "in"}.get(text(given, "direction"), "both")
            found.take(replace(step, kind="network-partition"), {"direction": way}, asked)
        case "stress", "cpu":
            _stress({"stressors": {"cpu": given}}, found, step)
        case "stress", "mem":
            _stress({"stressors": {"memory": given}}, found, step)
        case "clock", _:
            _time({"timeOffset": given.get("time-offset")}, found, step)
        case "process", _:
            kind = {"19": "process-pause", "9": "process-kill", "": "process-kill"}.get(text(given, "signal"))
            if kind is None:
                found.leave(asked, f"signal {text(given, 'signal')} is none of 9 and 19")
            else:
                found.take(replace(step, kind=kind, target=text(given, "process") or step.target), {}, asked)
        case _:
            found.leave(asked, "it has no fault of the table of kinds")


def _status_check(spec: Document, found: Collected, _step: Step) -> None:
    http = part(spec, "http")
    criteria = text(part(http, "criteria"), "statusCode")
    low, _, high = criteria.partition("-")
    if not text(http, "url") or not low.isdigit() or (high and not high.isdigit()):
        found.leave("StatusCheck", "only a URL with a status to expect is asked")
        return
    found.checks.append(Check("status", text(http, "url"), text(http, "method") or "GET", int(low), int(high or low)))


_KINDS: dict[str, Callable[[Document, Collected, Step], None]] = {
    "NetworkChaos": _network, "PodChaos": _pod, "StressChaos": _stress, "IOChaos": _io, "TimeChaos": _time,
    "DNSChaos": _dns, "HTTPChaos": _http, "PhysicalMachineChaos": _machine, "StatusCheck": _status_check}


# -- workflows -----------------------------------------------------------------------------------------------------


def _workflow(spec: Document, found: Collected) -> None:
    templates = {text(one, "name"): one for one in items(spec, "templates") if isinstance(one, Mapping)}
    _template(text(spec, "entry"), templates, found, (0.0, 0))


def _template(name: str, templates: Mapping[str, Document], found: Collected, where: tuple[float, int]) -> float:
    """Read a template; when it ends, in seconds after the beginning."""
    start, depth = where
    one = templates.get(name)
    if one is None or depth > _DEEPEST:
        found.leave(f"Workflow {name}",
                    "there is no such template" if one is None else "templates call each other in a circle")
        return start
    kind, length = text(one, "templateType"), go_seconds(text(one, "deadline")) or 0.0
    children = [str(child) for child in items(one, "children")]
    match kind:
        case "Serial":
            for child in children:
                start = _template(child, templates, found, (start, depth + 1))
            return start
        case "Parallel":
            return max([start, *(_template(child, templates, found, (start, depth + 1)) for child in children)])
        case "Suspend":
            return start + length
        case "Task":
            found.leave(f"Workflow {name}", "it runs a container and goes on by what it says")
            return start
        case "Schedule":
            inner = part(one, "schedule")
            found.leave(f"Workflow {name}", f"it is repeated, {text(inner, 'schedule')}; here it happens once")
            _chaos(text(inner, "type"), part(inner, _field(text(inner, "type"))), found, start, length)
        case _:
            _chaos(kind, part(one, _field(kind)), found, start, length)
    return start + length


# -- the other way -------------------------------------------------------------------------------------------------


def exported(step: Step, name: str, namespace: str, labels: Mapping[str, str]) -> dict[str, Any] | LeftOut:
    """A fault as a manifest of Chaos Mesh, for a cluster.

    Args:
        step: with settings in the units of the table of kinds.
        labels: of the pods that are meant.
    """
    made = _spec(step)
    if made is None:
        return LeftOut(step.kind, "Chaos Mesh has no such fault")
    kind, spec = made
    mode: dict[str, Any] = {"mode": "all"} if step.share >= 1 else {
        "mode": "fixed-percent", "value": f"{step.share * 100:g}"}
    selector = {"selector": {"namespaces": [namespace], "labelSelectors": dict(labels)}}
    length = {} if step.seconds is None or (kind == "PodChaos" and spec["action"] != "pod-failure") else {
        "duration": f"{step.seconds:g}s"}
    return {"apiVersion": "chaos-mesh.org/v1alpha1", "kind": kind, "metadata": {"name": name, "namespace": namespace},
            "spec": {**mode, **selector, **spec, **length}}


def _spec(step: Step) -> tuple[str, dict[str, Any]] | None:
    given = step.settings

    def seconds(key: str) -> str:
        return f"{float(given[key]) * 1000:g}ms"

    def share(key: str) -> str:
        return f"{float(given[key]) * 100:g}"

    match step.kind:
        case "network-latency":
            return "NetworkChaos", {"action": "delay",
                                    "delay": {"latency": seconds("latency"), "jitter": seconds("jitter")}}
        case "packet-loss":
            return "NetworkChaos", {"action": "loss", "loss": {"loss": share("loss")}}
        case "packet-duplication":
            return "NetworkChaos", {"action": "duplicate", "duplicate": {"duplicate": share("rate")}}
        case "packet-corruption":
            return "NetworkChaos", {"action": "corrupt", "corrupt": {"corrupt": share("rate")}}
        case "bandwidth-limit":
            # tc's bps are bytes a second; the queue holds a fiftieth of a second, as tbf's manual asks for.
            rate = float(given["rate"])
            return "NetworkChaos", {"action": "bandwidth", "bandwidth": {
                "rate": f"{rate:.0f}bps", "limit": max(20_000, int(rate / 50)), "buffer": max(10_000, int(rate / 100))}}
        case "network-partition":
            way = {"in": "from", "out": "to"}.get(str(given["direction"]), "both")
            return "NetworkChaos", {"action": "partition", "direction": way}
        case _:
            return _other_spec(step, seconds)


def _other_spec(step: Step, seconds: Callable[[str], str]) -> tuple[str, dict[str, Any]] | None:
    given = step.settings
    match step.kind:
        case "pod-failure":
            return "PodChaos", {"action": "pod-kill", "gracePeriod": int(float(given["grace"]))}
        case "process-pause":
            return "PodChaos", {"action": "pod-failure"}
        case "cpu-stress":
            return "StressChaos", {"stressors": {"cpu": {"workers": max(1, int(float(given["cpus"]))),
                                                         "load": round(float(given["load"]) * 100)}}}
        case "memory-stress":
            return "StressChaos", {"stressors": {"memory": {"workers": 1, "size": f"{float(given['size']):.0f}B"}}}
        case "io-error":
            errno = next(code for code, word in _ERRNO.items() if word == given["error"])
            return "IOChaos", {"action": "fault", "errno": int(errno), "percent": round(float(given["rate"]) * 100)}
        case "disk-slow":
            return "IOChaos", {"action": "latency", "delay": seconds("latency"), "percent": 100}
        case "clock-skew":
            return "TimeChaos", {"timeOffset": f"{float(given['offset']):g}s"}
        case "dns-failure":
            return "DNSChaos", {"action": "error"}
        case "dependency-slow":
            return "HTTPChaos", {"target": "Response", "port": 80, "path": "*", "delay": seconds("latency")}
        case "dependency-reset":
            return "HTTPChaos", {"target": "Request", "port": 80, "path": "*", "abort": True}
        case "dependency-error":
            return "HTTPChaos", {"target": "Response", "port": 80, "path": "*",
                                 "replace": {"code": int(float(given["status"]))}}
        case _:
            return None


def all_of(documents: Sequence[Document]) -> Iterator[Translation]:
    """Every manifest of Chaos Mesh among the documents."""
    for one in documents:
        if recognised(one):
            yield from translations(one)
