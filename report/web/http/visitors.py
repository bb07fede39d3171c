"""Visitors: the dependencies with which a route declares who may see it.

A page takes ``visitor: SignedIn`` or ``visitor: Administrator``; a route of the API takes ``holder: ...`` from
``bearer(Scope.EXTRACTS)``. Others are sent to the sign-in page, or get an error that says why.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Final

from fastapi import Depends
from starlette.requests import Request

from matterlog.report.errors import NotAllowed, NotSignedIn
from matterlog.report.web.http.forms import BROWSER_COOKIE, SESSION_COOKIE
from matterlog.report.web.identity.accounts import Account
from matterlog.report.web.identity.api_tokens import Scope, TokenHolder
from matterlog.report.web.identity.audit_log import Act, Actor
from matterlog.report.web.identity.sessions import Session
from matterlog.report.web.identity.sign_in import Way
from matterlog.report.web.parts import Parts

_CHANGE_PASSWORD: Final = "/account/password"  # noqa: S105 - a path
_ADD_SECOND_FACTOR: Final = "/account/second-factor"
_SIGN_OUT: Final = "/sign-out"


@dataclass(frozen=True, slots=True, kw_only=True)
class Visitor:
    """A person who is signed in, and the address of the browser."""

    session: Session
    address: str
    browser: str | None

    @property
    def way(self) -> Way:
        """Where the visitor signs in from."""
        return Way(address=self.address, browser=self.browser)

    @property
    def account(self) -> Account:
        """The account of the session."""
        return self.session.account

    @property
    def by(self) -> Actor:
        """The visitor, as the audit log records it."""
        return Actor(account=self.account.name, address=self.address)

    def record(self, parts: Parts, act: Act, page: str, rows: int) -> None:
        """Record that the visitor was shown names on a page, or searched for them: how many, once in a while."""
        parts.audit_log.add_once(act, self.by, {"page": page, "rows": rows}, once_for=page)

    def first_step(self, parts: Parts) -> str | None:
        """Return the page on which the visitor has to do something before anything else; None if there is none."""
        if self.account.must_change_password:
            return _CHANGE_PASSWORD
        has_factor = self.account.totp_secret is not None or self.session.has_second_factor
        return _ADD_SECOND_FACTOR if self.account.role in parts.policy.second_factor_for and not has_factor else None


def address_of(request: Request) -> str:
    """Return the client's address; that of a proxy if the proxy is not the trusted one."""
    return request.client.host if request.client else ""


def parts_of(request: Request) -> Parts:
    """Return the parts of the site."""
    parts = request.app.state.parts
    assert isinstance(parts, Parts)  # noqa: S101 - for the type checker
    return parts


def session_of(request: Request) -> Session | None:
    """Return the session of the request's cookie, even if it awaits the second factor."""
    token = request.cookies.get(SESSION_COOKIE)
    return None if token is None else parts_of(request).sessions.find(token)


def visitor_or_nobody(request: Request) -> Visitor | None:
    """Return the visitor; None if nobody is signed in."""
    session = session_of(request)
    if session is None or session.awaits_second_factor:
        return None
    visitor = Visitor(session=session, address=address_of(request), browser=request.cookies.get(BROWSER_COOKIE))
    request.state.visitor = visitor
    return visitor


def signed_in(request: Request) -> Visitor:
    """Return the visitor.

    Raises:
        NotSignedIn: nobody is signed in.
        StepFirst: the visitor must change the password or add a second factor first.
    """
    visitor = visitor_or_nobody(request)
    if visitor is None:
        raise NotSignedIn
    step = visitor.first_step(parts_of(request))
    if step is not None and request.url.path not in {step, _SIGN_OUT}:
        raise StepFirst(step)
    return visitor


class StepFirst(Exception):
    """The visitor must do something first. ``path`` is the page for it."""

    def __init__(self, path: str) -> None:
        super().__init__(path)
        self.path = path


class SignInAgain(Exception):
    """What was asked for gives lasting power, and the visitor signed in too long ago for that."""


def recent(request: Request, visitor: Annotated[Visitor, Depends(signed_in)]) -> Visitor:
    """Return the visitor if it signed in a short time ago.

    Raises:
        SignInAgain: it did not.
    """
    if not parts_of(request).sessions.is_recent(visitor.session):
        raise SignInAgain
    return visitor


def administrator(request: Request, visitor: Annotated[Visitor, Depends(signed_in)]) -> Visitor:
    """Return the visitor if it is an administrator.

    Raises:
        NotAllowed: the visitor is not an administrator.
    """
    if not visitor.account.is_administrator:
        page = getattr(request.scope.get("route"), "path", "")
        parts_of(request).audit_log.add_once(Act.PAGE_REFUSED, visitor.by, {"page": page})
        raise NotAllowed("This page is for administrators.")
    return visitor


def recent_administrator(request: Request, visitor: Annotated[Visitor, Depends(administrator)]) -> Visitor:
    """Return the visitor if it is an administrator who signed in a short time ago; raises as those two do."""
    return recent(request, visitor)


def holder_of(request: Request) -> TokenHolder | None:
    """Return the holder of the request's token, looked up once; None without a valid token."""
    if not hasattr(request.state, "token_holder"):
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        found = parts_of(request).api_tokens.find(token.strip()) if scheme.lower() == "bearer" else None
        request.state.token_holder = found
    holder: TokenHolder | None = request.state.token_holder
    return holder


def bearer(scope: Scope) -> Callable[[Request], TokenHolder]:
    """Return the dependency of an API route that requires a token with a scope."""

    def token_holder(request: Request) -> TokenHolder:
        holder = holder_of(request)
        log, by = parts_of(request).audit_log, Actor(address=address_of(request))
        if holder is None:
            log.add_once(Act.API_TOKEN_REFUSED, by)
            raise NotSignedIn("Missing, invalid or expired token. Send a valid one as Authorization: Bearer mlog_...")
        if scope not in holder.scopes:
            by = Actor(account=holder.account.name, address=by.address)
            log.add_once(Act.API_TOKEN_REFUSED, by, {"token": holder.token_id, "scope": scope})
            raise NotAllowed(f"this API token does not have the scope {scope}")
        return holder

    return token_holder


Asker = Annotated[Visitor | None, Depends(visitor_or_nobody)]
SignedIn = Annotated[Visitor, Depends(signed_in)]
Administrator = Annotated[Visitor, Depends(administrator)]
RecentVisitor = Annotated[Visitor, Depends(recent)]
RecentAdministrator = Annotated[Visitor, Depends(recent_administrator)]
SiteParts = Annotated[Parts, Depends(parts_of)]
