"""The names under which the site answers, and the addresses that a proxy forwards.

1. A page of another site may point its own name at this machine (DNS rebinding). Then the browser lets that page read
   answers, but sends the page's name as the ``Host``. So the site answers to IP addresses and to its own names only.
2. Health checks answer to every name. ``/metrics`` does so only for the metrics' token (``health.py``).
3. A proxy may pass on as a client's address what the client wrote itself. What is no address is not taken for one.
"""

import ipaddress
import re
from http import HTTPStatus
from typing import Final

from starlette.requests import HTTPConnection
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Receive, Scope, Send

_HOST: Final = re.compile(r"(?P<name>[A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(:[0-9]{1,5})?")
_TO_ANY_NAME: Final = ("/health/", "/metrics")
_FOREIGN: Final = "This is not a name of this site. Operators set it as public_url.\n"
_MALFORMED: Final = "The request's target or Host is malformed.\n"


class OwnHosts:
    """A layer that refuses requests for names that are not the site's."""

    def __init__(self, app: ASGIApp, names: frozenset[str]) -> None:
        self._app = app
        self._names = names

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request; ``is_own_host`` in its state says whether its name is the site's."""
        app = self._app
        name = _name_of(HTTPConnection(scope).headers.get("host"))
        is_own = name is not None and (name in self._names or address_or_none(name.strip("[]")) is not None)
        scope.setdefault("state", {})["is_own_host"] = is_own
        if name is None or not scope["path"].startswith("/"):
            app = PlainTextResponse(_MALFORMED, HTTPStatus.BAD_REQUEST)
        elif not is_own and not scope["path"].startswith(_TO_ANY_NAME):
            app = PlainTextResponse(_FOREIGN, HTTPStatus.MISDIRECTED_REQUEST)
        await app(scope, receive, send)


def _name_of(host: str | None) -> str | None:
    """Return the name in a ``Host``, that of this machine if there is none; None if it is malformed."""
    found = _HOST.fullmatch("localhost" if host is None else host)
    if found is None or (found["name"].startswith("[") and address_or_none(found["name"][1:-1]) is None):
        return None
    return found["name"].lower().rstrip(".")


def address_or_none(text: str) -> str | None:
    """Return an IP address in its usual form; None for anything else, and for one with a zone."""
    try:
        found = ipaddress.ip_address(text)
    except ValueError:
        return None
    if isinstance(found, ipaddress.IPv6Address):
        return None if found.scope_id else str(found.ipv4_mapped or found)
    return str(found)


class ForwardedAddresses:
    """A layer behind uvicorn's for proxies: a client without an IP address counts as the proxy itself."""

    def __init__(self, app: ASGIApp, proxy: str) -> None:
        self._app = app
        self._proxy = proxy

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        if scope.get("client"):
            host, port = scope["client"]
            scope["client"] = (address_or_none(host) or self._proxy, port)
        await self._app(scope, receive, send)
