"""Who is at the other end of a Unix socket, as the operating system knows it, and not as somebody says."""

import os
import pwd
import socket
import struct
from typing import Final

# Linux's struct ucred: process, user, group.
_CREDENTIALS: Final = struct.Struct("3i")


def user_of_this_process() -> str:
    """Return the name of the user who runs this process."""
    return _name_of(os.getuid())


def user_behind(asking: socket.socket) -> str | None:
    """Return the name of the user at the other end of a Unix socket; None where the system does not tell."""
    credentials = credentials_of(asking)
    return None if credentials is None else _name_of(credentials[1])


def may_change(asking: socket.socket) -> bool:
    """Return whether root or this process's own user is at the other end: others may read the log, not change it."""
    credentials = credentials_of(asking)
    return credentials is not None and credentials[1] in {0, os.geteuid()}


def process_behind(listening: socket.socket) -> int | None:
    """Return the process at the other end of a Unix socket; None where the system does not tell."""
    credentials = credentials_of(listening)
    return (credentials and credentials[0]) or None  # 0 is one of another container


def credentials_of(peer: socket.socket) -> tuple[int, int, int] | None:
    """Return the numbers of process, user and group at the other end; None where the system does not tell."""
    if not hasattr(socket, "SO_PEERCRED"):
        return None
    process, user, group = _CREDENTIALS.unpack(
        peer.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
    )
    return process, user, group


def _name_of(user: int) -> str:
    try:
        return pwd.getpwuid(user).pw_name
    except KeyError:  # a container may run under a user number without a name
        return str(user)
