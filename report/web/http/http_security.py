"""Security for every request and answer, as the outermost layers, so that no page can forget it.

1. Browsers load only the site's own scripts, styles, pictures and frames, and none that are inline. Caches keep only
   the files under ``/static/``.
2. A request body has a limited size, and no parts: their sender names a character set, and some take minutes to read.
3. A request that was counted against a rate limit gets the state of the limit in headers.
4. An unexpected error gives a page without details. It is logged without its text, which may hold personal data. If
   the answer had begun, the connection is closed instead: half a file must not look complete.
"""

import logging
import traceback
from collections.abc import Iterable
from http import HTTPStatus
from typing import Final

from starlette.datastructures import MutableHeaders
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from matterlog.report.web.http.faults import answer_to_fault

logger = logging.getLogger(__name__)

CONTENT_SECURITY_POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self'; "
    "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
HEADERS: Final[Iterable[tuple[str, str]]] = (
    ("Content-Security-Policy", CONTENT_SECURITY_POLICY),
    ("X-Content-Type-Options", "nosniff"),
    ("X-Frame-Options", "DENY"),
    # "no-referrer" would take the Origin from the site's own forms.
    ("Referrer-Policy", "same-origin"),
    ("Cross-Origin-Opener-Policy", "same-origin"),
    ("Cross-Origin-Resource-Policy", "same-origin"),
    ("Permissions-Policy", "camera=(), geolocation=(), microphone=(), payment=(), usb=()"),
)
_IMMUTABLE: Final = "public, max-age=31536000, immutable"
MAX_BODY_BYTES: Final = 256 * 1024


class SecurityHeaders:
    """A layer that adds the headers to every answer."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                _add_headers(MutableHeaders(scope=message), scope, message["status"])
            await send(message)

        await self._app(scope, receive, send_with_headers)


def _add_headers(headers: MutableHeaders, scope: Scope, status: int) -> None:
    for name, value in HEADERS:
        headers[name] = value
    for name, value in scope.get("state", {}).get("rate_limit", {}).items():
        headers[name] = value
    is_file = scope["path"].startswith("/static/") and status == HTTPStatus.OK
    headers["Cache-Control"] = _IMMUTABLE if is_file else "no-store"
    if scope["scheme"] == "https":
        headers["Strict-Transport-Security"] = "max-age=31536000; includeSubDomains"


class BodyLimit:
    """A layer that refuses request bodies that no form of the site has: larger ones, and those in parts."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        taken = 0

        async def receive_some() -> Message:
            nonlocal taken
            message = await receive()
            taken += len(message.get("body", b""))
            # HTTPExceptions, because FastAPI takes every other error while it reads a form for a malformed one.
            if taken > MAX_BODY_BYTES:
                raise HTTPException(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "This is larger than any form of the site.")
            if any(name == b"content-type" and b"multipart" in value.lower() for name, value in scope["headers"]):
                raise HTTPException(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "No form of this site is sent in parts.")
            return message

        await self._app(scope, receive_some, send)


class Containment:
    """A layer that turns unexpected errors into answers, or closes the connection if an answer had begun."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        begun = False

        async def send_noted(message: Message) -> None:
            nonlocal begun
            begun = True
            await send(message)

        try:
            await self._app(scope, receive, send_noted)
        except Exception as error:  # noqa: BLE001 - a page's mistake must not end the site
            _log(scope, error)
            if begun:
                raise AnswerBrokeOff from None
            await answer_to_fault(Request(scope), error)(scope, receive, send)


class AnswerBrokeOff(Exception):
    """An answer that had begun cannot be finished. The connection is closed, so that it does not look complete."""


def _log(scope: Scope, error: Exception) -> None:
    """Log an error's type and traceback, without its text."""
    frames = "".join(traceback.format_tb(error.__traceback__))
    route = getattr(scope.get("route"), "path", "?")
    logger.error("%s %s failed: %s\n%s", scope["method"], route, type(error).__name__, frames)
