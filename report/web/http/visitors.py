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
from matterlog.report.web.http.forms import SESSION_COOKIE
from matterlog.report.web.identity.accounts import Account
from matterlog.report.web.identity.api_tokens import Scope, TokenHolder
from matterlog.report.web.identity.audit_log import Actor
from matterlog.report.web.identity.sessions import Session
from matterlog.report.web.parts import Parts

_CHANGE_PASSWORD: Final = "/account/password"  # noqa: S105 - a path
_BEFORE_THE_CHANGE: Final = frozenset({_CHANGE_PASSWORD, "/sign-out"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Visitor:
    """A person who is signed in, and the address of the browser."""

    session: Session
    address: str

    @property
    def account(self) -> Account:
        """The account of the session."""
        return self.session.account

    @property
    def by(self) -> Actor:
        """The visitor, as the audit log records it."""
        return Actor(account=self.account.name, address=self.address)


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
    visitor = Visitor(session=session, address=address_of(request))
    request.state.visitor = visitor
    return visitor


def signed_in(request: Request) -> Visitor:
    """Return the visitor.

    Raises:
        NotSignedIn: nobody is signed in.
        PasswordToChange: the visitor must change the password first.
    """
    visitor = visitor_or_nobody(request)
    if visitor is None:
        raise NotSignedIn
    if visitor.account.must_change_password and request.url.path not in _BEFORE_THE_CHANGE:
        raise PasswordToChange
    return visitor


class PasswordToChange(Exception):
    """Somebody else set the account's password, so its owner must change it first."""


def administrator(visitor: Annotated[Visitor, Depends(signed_in)]) -> Visitor:
    """Return the visitor if it is an administrator.

    Raises:
        NotAllowed: the visitor is not an administrator.
    """
    if not visitor.account.is_administrator:
        raise NotAllowed("This page is for administrators.")
    return visitor


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
        if holder is None:
            raise NotSignedIn("Missing, invalid or expired token. Send a valid one as Authorization: Bearer mlog_...")
        if scope not in holder.scopes:
            raise NotAllowed(f"this API token does not have the scope {scope}")
        return holder

    return token_holder


Asker = Annotated[Visitor | None, Depends(visitor_or_nobody)]
SignedIn = Annotated[Visitor, Depends(signed_in)]
Administrator = Annotated[Visitor, Depends(administrator)]
SiteParts = Annotated[Parts, Depends(parts_of)]
