"""Forms: each POST shows that it comes from one of the site's own pages.

1. A form holds a token that is derived from its sender's cookie. Another site can neither read the cookie nor set it
   (its name begins with ``__Host-``), so it cannot know the token.
2. What the browser says of the sender counts too: ``Sec-Fetch-Site``, and where it says nothing, ``Origin``.
3. Requests to ``/api/`` carry no cookie's rights, so they need no form's token.
"""

import hashlib
import secrets
from typing import Final
from urllib.parse import urlsplit

from starlette.requests import Request
from starlette.responses import Response

from matterlog.report.errors import FormRefused
from matterlog.report.web.identity.secret_tokens import new_token

# The browser sends them over TLS, or to its own machine, alone; and takes them from nobody else of the domain.
SESSION_COOKIE: Final = "__Host-matterlog-session"
VISIT_COOKIE: Final = "__Host-matterlog-visit"
FIELD: Final = "form_token"
API_PREFIX: Final = "/api/"
_SAFE_METHODS: Final = frozenset({"GET", "HEAD", "OPTIONS"})
_OWN: Final = frozenset({"same-origin", "none"})
_MAX_FIELDS: Final = 200


def set_cookie(response: Response, name: str, value: str) -> None:
    """Give a cookie to the browser until it is closed; no script reads it."""
    response.set_cookie(name, value, path="/", secure=True, httponly=True, samesite="lax")


def drop_cookie(response: Response, name: str) -> None:
    """Take a cookie back."""
    response.delete_cookie(name, path="/", secure=True, httponly=True, samesite="lax")


def visit_of(request: Request) -> str:
    """Return what tells one visitor who is not signed in from another; made where there is none yet."""
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
    """Derive a form's token from a cookie; nobody gets back from the one to the other."""
    return hashlib.sha256(b"form " + cookie.encode("utf-8", "surrogatepass")).hexdigest()


async def honest_form(request: Request) -> None:
    """Refuse what was not sent from one of the site's own pages; stands before every route.

    Raises:
        FormRefused
    """
    if request.method in _SAFE_METHODS or request.url.path.startswith(API_PREFIX):
        return
    if not _comes_from_here(request):
        raise FormRefused
    sent = (await request.form(max_fields=_MAX_FIELDS, max_files=0)).get(FIELD)
    cookies = [request.cookies[name] for name in (SESSION_COOKIE, VISIT_COOKIE) if name in request.cookies]
    if not isinstance(sent, str) or not any(_is_same(sent, token_of(cookie)) for cookie in cookies[:1]):
        raise (
            FormRefused
            if cookies
            else FormRefused(
                "the browser did not keep the site's cookie. It keeps cookies over https, or from localhost, alone"
            )
        )


def _is_same(sent: str, token: str) -> bool:
    return secrets.compare_digest(sent.encode("utf-8", "surrogatepass"), token.encode())


def _comes_from_here(request: Request) -> bool:
    site = request.headers.get("sec-fetch-site")
    if site is not None:
        return site in _OWN
    origin = request.headers.get("origin")
    return origin is None or urlsplit(origin).netloc == request.headers.get("host")
