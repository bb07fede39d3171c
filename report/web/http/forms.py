"""Protection of forms: each POST must prove that it comes from one of the site's own pages.

1. A form holds a token that is derived from the visitor's cookie. Another site can neither read the cookie nor set it
   (its name begins with ``__Host-``), so it cannot know the token.
2. The browser's headers are checked too: ``Sec-Fetch-Site``, or ``Origin`` if that is missing.
3. Requests to ``/api/`` do not use cookies, so they need no form token.
"""

import hashlib
import secrets
from datetime import timedelta
from typing import Final

from starlette.requests import Request
from starlette.responses import Response

from matterlog.report.errors import FormRefused
from matterlog.report.web.identity.secret_tokens import new_token

# "__Host-": sent only over TLS or to the browser's own machine. No other host of the domain can set them.
SESSION_COOKIE: Final = "__Host-matterlog-session"
VISIT_COOKIE: Final = "__Host-matterlog-visit"
# Marks a browser in which somebody has signed in before. It opens nothing.
BROWSER_COOKIE: Final = "__Host-matterlog-browser"
FIELD: Final = "form_token"
API_PREFIX: Final = "/api/"
_SAFE_METHODS: Final = frozenset({"GET", "HEAD", "OPTIONS"})
_OWN: Final = frozenset({"same-origin", "none"})
_MAX_FIELDS: Final = 200


def set_cookie(response: Response, name: str, value: str, lasts: timedelta | None = None) -> None:
    """Set a cookie that scripts cannot read. ``lasts``: None means until the browser is closed."""
    max_age = None if lasts is None else int(lasts.total_seconds())
    response.set_cookie(name, value, max_age, path="/", secure=True, httponly=True, samesite="lax")


def drop_cookie(response: Response, name: str) -> None:
    """Delete a cookie in the browser."""
    response.delete_cookie(name, path="/", secure=True, httponly=True, samesite="lax")


def visit_of(request: Request) -> str:
    """Return the random ID of a visitor who is not signed in. Make one if there is none yet."""
    if VISIT_COOKIE in request.cookies:
        return request.cookies[VISIT_COOKIE]
    if not hasattr(request.state, "new_visit"):
        request.state.new_visit = new_token()
    return str(request.state.new_visit)


def form_token(request: Request) -> str:
    """Return the token for the forms of the page that answers this request."""
    session = request.cookies.get(SESSION_COOKIE)
    return token_of(session if session is not None else visit_of(request))


def token_of(cookie: str) -> str:
    """Derive a form token from a cookie. The cookie cannot be derived from the token."""
    return hashlib.sha256(b"form " + cookie.encode("utf-8", "surrogatepass")).hexdigest()


async def honest_form(request: Request) -> None:
    """Refuse forms that were not sent from one of the site's own pages; runs before every route.

    Raises:
        FormRefused
    """
    if request.method in _SAFE_METHODS or request.url.path.startswith(API_PREFIX):
        return
    if not _comes_from_here(request):
        raise FormRefused
    sent = (await request.form(max_fields=_MAX_FIELDS, max_files=0)).get(FIELD)
    cookies = [request.cookies[name] for name in (SESSION_COOKIE, VISIT_COOKIE) if name in request.cookies]
    typed = sent.encode("utf-8", "surrogatepass") if isinstance(sent, str) else b""
    if not any(secrets.compare_digest(typed, token_of(cookie).encode()) for cookie in cookies[:1]):
        raise (
            FormRefused
            if cookies
            else FormRefused(
                "the browser did not keep the site's cookie. It keeps cookies only over https or from localhost"
            )
        )


def _comes_from_here(request: Request) -> bool:
    site = request.headers.get("sec-fetch-site")
    if site is not None:
        return site in _OWN
    origin = request.headers.get("origin")
    return origin is None or origin.partition("://")[2] == request.headers.get("host")
