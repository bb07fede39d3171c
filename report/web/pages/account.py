"""The page "My account": the password, the API tokens and the sessions."""

from http import HTTPStatus
from typing import Annotated, Final

from fastapi import APIRouter, Form
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from matterlog.report.errors import PasswordRefused, SignInRefused, TokenRefused, TooManyTries
from matterlog.report.web.http.forms import SESSION_COOKIE, set_cookie
from matterlog.report.web.http.frame import page
from matterlog.report.web.http.visitors import RecentVisitor, SignedIn, SiteParts, Visitor
from matterlog.report.web.identity.api_tokens import LIFETIMES_DAYS, Scope
from matterlog.report.web.identity.audit_log import Act
from matterlog.report.web.identity.passwords import ADVISED_CHARACTERS, MIN_CHARACTERS
from matterlog.report.web.parts import Parts

router = APIRouter()
_LONGEST: Final = 1000
Text = Annotated[str, Form(max_length=_LONGEST)]


@router.get("/account")
def account(request: Request, visitor: SignedIn, parts: SiteParts) -> Response:
    """Show the account."""
    return _account(request, visitor, parts)


def _account(
    request: Request, visitor: Visitor, parts: Parts, *, problem: str | None = None, token: str | None = None
) -> Response:
    return page(
        request,
        "account.html",
        status=HTTPStatus.OK if problem is None else HTTPStatus.UNPROCESSABLE_ENTITY,
        account=visitor.account,
        tokens=parts.api_tokens.of_account(visitor.account),
        sessions=parts.sessions.of_account(visitor.account),
        session_id=visitor.session.session_id,
        now=parts.database.now(),
        recovery_codes_left=parts.second_factors.recovery_codes_left(visitor.account),
        scopes=list(Scope),
        lifetimes=LIFETIMES_DAYS,
        new_token=token,
        problem=problem,
    )


@router.get("/account/password")
def password_form(request: Request, visitor: SignedIn) -> Response:
    """Show the form for a new password."""
    return _password(request, visitor, problem=None)


def _password(request: Request, visitor: Visitor, *, problem: str | None) -> Response:
    status = HTTPStatus.OK if problem is None else HTTPStatus.UNPROCESSABLE_ENTITY
    facts = {"least": MIN_CHARACTERS, "advised": ADVISED_CHARACTERS, "problem": problem}
    return page(request, "password.html", status=status, account=visitor.account, **facts)


@router.post("/account/password")
def change_password(
    request: Request,
    visitor: SignedIn,
    parts: SiteParts,
    present: Text,
    wanted: Text,
    again: Text,
    *,
    end_tokens: Annotated[bool, Form()] = False,
) -> Response:
    """Set a new password, end the account's other sessions, and give this one a new token."""
    try:
        parts.sign_in.check_password_again(visitor.account, present, visitor.way)
        _check_choice(present, wanted, again)
        account = parts.accounts.change_password(
            visitor.account, wanted, visitor.by, session_hash=visitor.session.token_hash, end_tokens=end_tokens
        )
    except (SignInRefused, TooManyTries, PasswordRefused) as error:
        text = str(error)
        return _password(request, visitor, problem=text[:1].upper() + text[1:])
    parts.sessions.end(visitor.session)
    answer = RedirectResponse("/account", HTTPStatus.SEE_OTHER)
    has_factor = visitor.session.has_second_factor
    started = parts.sessions.start(account, visitor.address, has_second_factor=has_factor)
    set_cookie(answer, SESSION_COOKIE, started)
    return answer


def _check_choice(present: str, wanted: str, again: str) -> None:
    if wanted != again:
        raise PasswordRefused("The two new passwords are not the same.")
    if wanted == present:
        raise PasswordRefused("The new password is the same as the current one.")


@router.post("/account/tokens")
def make_token(
    request: Request,
    visitor: RecentVisitor,
    parts: SiteParts,
    label: Text,
    days: Annotated[int, Form()],
    scope: Annotated[list[Scope] | None, Form()] = None,
) -> Response:
    """Make an API token and show it once."""
    try:
        token = parts.api_tokens.make(visitor.account, label, frozenset(scope or ()), days, visitor.by)
    except TokenRefused as error:
        return _account(request, visitor, parts, problem=str(error))
    return _account(request, visitor, parts, token=token)


@router.post("/account/tokens/{token_id}/remove")
def remove_token(visitor: SignedIn, parts: SiteParts, token_id: int) -> Response:
    """Remove an API token."""
    parts.api_tokens.remove(visitor.account, token_id, visitor.by)
    return RedirectResponse("/account#tokens", HTTPStatus.SEE_OTHER)


@router.post("/account/sessions/{session_id}/end")
def end_session(visitor: SignedIn, parts: SiteParts, session_id: int) -> Response:
    """End one of the account's sessions."""
    for session in parts.sessions.of_account(visitor.account):
        if session.session_id == session_id:
            parts.sessions.end(session)
            parts.audit_log.add(Act.SESSION_ENDED, visitor.by)
    return RedirectResponse("/account#sessions", HTTPStatus.SEE_OTHER)
