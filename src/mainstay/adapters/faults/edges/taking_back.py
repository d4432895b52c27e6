"""Taking a toxic out of a proxy that stands: an act for guardians, so it loads nothing but the standard library."""

from __future__ import annotations

from mainstay.kernel.journal import Data

_SECONDS = 5.0
_NOT_THERE = 404


def remove_toxic(data: Data, _notes: object, _step: str) -> None:
    """Remove a toxic: host, port, proxy, toxic. A proxy that is gone took it along.

    Raises:
        OSError: the proxy did not.
    """
    import http.client  # noqa: PLC0415  (a lazy start: guardians rarely need it)
    from urllib.parse import quote  # noqa: PLC0415  (a lazy start: guardians rarely need it)

    link = http.client.HTTPConnection(data["host"], int(data["port"]), timeout=_SECONDS)
    try:
        link.request("DELETE", f"/proxies/{quote(data['proxy'], safe='')}/toxics/{quote(data['toxic'], safe='')}")
        status = link.getresponse().status
    except ConnectionRefusedError:
        return
    finally:
        link.close()
    if status >= 300 and status != _NOT_THERE:
        raise OSError(f"the proxy answered {status}")
