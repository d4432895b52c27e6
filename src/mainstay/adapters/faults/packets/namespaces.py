"""Network namespaces: where a process's sockets are, and entering there (man 2 setns)."""

from __future__ import annotations

import ctypes
import fcntl
import os
import socket
import struct
from pathlib import Path

_NEW_NET, _NEW_USER = 0x40000000, 0x10000000
_SET_FLAGS, _UP = 0x8914, 0x1
_LIBRARY = ctypes.CDLL(None, use_errno=True)


def elsewhere(pid: int) -> bool:
    """Whether the process's network is another than this process's."""
    return _names(pid, "net") != _names(os.getpid(), "net")


def _names(pid: int, kind: str) -> str:
    return os.readlink(f"/proc/{pid}/ns/{kind}")


def enter(pid: int) -> None:
    """Go to the network of that process, by way of its user namespace where that is another. Does not come back.

    Raises:
        OSError: not allowed, or there is no such process.
    """
    own = os.getpid()
    network = os.open(f"/proc/{pid}/ns/net", os.O_RDONLY)
    try:
        if _names(pid, "user") != _names(own, "user"):
            try:
                _checked(_LIBRARY.setns(network, _NEW_NET))
            except PermissionError:  # who may not enter directly may when it is the user namespace's maker
                users = os.open(f"/proc/{pid}/ns/user", os.O_RDONLY)
                try:
                    _checked(_LIBRARY.setns(users, _NEW_USER))
                finally:
                    os.close(users)
            else:
                return
        _checked(_LIBRARY.setns(network, _NEW_NET))
    finally:
        os.close(network)


def own_network() -> None:
    """Leave for a new network that nobody else is in; without root also a new user namespace.

    Raises:
        OSError: the kernel does not let this process.
    """
    try:
        _checked(_LIBRARY.unshare(_NEW_NET))
    except PermissionError:
        user, group = os.getuid(), os.getgid()
        _checked(_LIBRARY.unshare(_NEW_USER | _NEW_NET))
        Path("/proc/self/setgroups").write_text("deny")
        Path("/proc/self/uid_map").write_text(f"0 {user} 1")
        Path("/proc/self/gid_map").write_text(f"0 {group} 1")


def loopback_up() -> None:
    """Let this host reach itself: a new network has a loopback that is down.

    Raises:
        OSError: not allowed.
    """
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as one:
        fcntl.ioctl(one, _SET_FLAGS, struct.pack("16sh", b"lo", _UP))


def _checked(answer: int) -> None:
    if answer:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))
