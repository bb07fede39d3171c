"""The asking user, for the register of extracts: as the operating system knows it, not as the client claims."""

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
    """Return the name of the user at the other end of a Unix socket; None if the system does not say."""
    if not hasattr(socket, "SO_PEERCRED"):
        return None
    credentials = asking.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
    _, user, _ = _CREDENTIALS.unpack(credentials)
    return _name_of(user)


def _name_of(user: int) -> str:
    try:
        return pwd.getpwuid(user).pw_name
    except KeyError:  # a container may run under a user number without a name
        return str(user)
