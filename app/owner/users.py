"""Who asks, as the operating system knows it: so the register of extracts has it, and not as somebody says."""

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
    if not hasattr(socket, "SO_PEERCRED"):
        return None
    told = asking.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
    _, user, _ = _CREDENTIALS.unpack(told)
    return _name_of(user)


def _name_of(user: int) -> str:
    try:
        return pwd.getpwuid(user).pw_name
    except KeyError:  # a container may run under a number that nobody has named
        return str(user)
