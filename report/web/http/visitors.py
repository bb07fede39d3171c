"""Who asks: the dependencies by which a page says who may see it.

A route takes ``visitor: SignedIn`` or ``visitor: Administrator``; a route of the API takes ``holder: ...`` from
``bearer(Scope.EXTRACTS)``. Whoever may not is sent to sign in, or told so.
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
    """Somebody who is signed in, and from where."""

    session: Session
    address: str

    @property
    def account(self) -> Account:
        """Whose session it is."""
        return self.session.account

    @property
    def by(self) -> Actor:
        """Who it is in the audit log."""
        return Actor(account=self.account.name, address=self.address)


def address_of(request: Request) -> str:
    """Return the address that asks; a proxy's own only where it is not the one that is trusted."""
    return request.client.host if request.client else ""


def parts_of(request: Request) -> Parts:
    """Return what the site is made of."""
    parts = request.app.state.parts
    assert isinstance(parts, Parts)  # noqa: S101 - for the type checker
    return parts


def session_of(request: Request) -> Session | None:
    """Return the session of the request's cookie, also one that awaits the second factor."""
    token = request.cookies.get(SESSION_COOKIE)
    return None if token is None else parts_of(request).sessions.find(token)


def visitor_or_nobody(request: Request) -> Visitor | None:
    """Return who is signed in."""
    session = session_of(request)
    if session is None or session.awaits_second_factor:
        return None
    visitor = Visitor(session=session, address=address_of(request))
    request.state.visitor = visitor
    return visitor


def signed_in(request: Request) -> Visitor:
    """Return who is signed in.

    Raises:
        NotSignedIn: nobody.
        PasswordToChange: somebody whose password others know.
    """
    visitor = visitor_or_nobody(request)
    if visitor is None:
        raise NotSignedIn
    if visitor.account.must_change_password and request.url.path not in _BEFORE_THE_CHANGE:
        raise PasswordToChange
    return visitor


class PasswordToChange(Exception):
    """The password was set by somebody else: its owner has to choose another one first."""


def administrator(visitor: Annotated[Visitor, Depends(signed_in)]) -> Visitor:
    """Return who is signed in as an administrator.

    Raises:
        NotAllowed: somebody else is.
    """
    if not visitor.account.is_administrator:
        raise NotAllowed("This page is for administrators.")
    return visitor


def bearer(scope: Scope) -> Callable[[Request], TokenHolder]:
    """Return the dependency of an API's route that a token needs a scope for."""

    def token_holder(request: Request) -> TokenHolder:
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        holder = parts_of(request).api_tokens.find(token.strip()) if scheme.lower() == "bearer" else None
        if holder is None:
            raise NotSignedIn("send an API token that holds: Authorization: Bearer mlog_...")
        if scope not in holder.scopes:
            raise NotAllowed(f"this API token is not for {scope}")
        return holder

    return token_holder


Asker = Annotated[Visitor | None, Depends(visitor_or_nobody)]
SignedIn = Annotated[Visitor, Depends(signed_in)]
Administrator = Annotated[Visitor, Depends(administrator)]
SiteParts = Annotated[Parts, Depends(parts_of)]
