"""Signing in and out: with a password and a second factor, or with the identity provider."""

from http import HTTPStatus
from typing import Annotated, Final
from urllib.parse import quote

from fastapi import APIRouter, Form
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from matterlog.report.errors import CodeRefused, ProviderFailed, SignInRefused, TooManyTries
from matterlog.report.web.http.forms import (
    BROWSER_COOKIE,
    SESSION_COOKIE,
    VISIT_COOKIE,
    drop_cookie,
    set_cookie,
    visit_of,
)
from matterlog.report.web.http.frame import page
from matterlog.report.web.http.visitors import Asker, SignedIn, SiteParts, address_of, session_of
from matterlog.report.web.identity.accounts import Account
from matterlog.report.web.identity.audit_log import Act, Actor
from matterlog.report.web.identity.browsers import KNOWN_FOR
from matterlog.report.web.identity.identity_provider import CALLBACK_PATH, ProviderIdentity
from matterlog.report.web.identity.rate_limits import network_of
from matterlog.report.web.identity.sign_in import NewSession, Way
from matterlog.report.web.parts import Parts

router = APIRouter()
_LONGEST: Final = 1000
Text = Annotated[str, Form(max_length=_LONGEST)]


def own_path(wanted: str) -> str:
    """Return the wanted path if it is a page of this site, else that of the overview."""
    plain = wanted.startswith("/") and not wanted.startswith(("//", "/\\")) and wanted.isprintable()
    return wanted if plain and "\\" not in wanted else "/"


@router.get("/sign-in")
def form(
    request: Request,
    asker: Asker,
    parts: SiteParts,
    next: str = "/",  # noqa: A002 - the field's name
    *,
    again: bool = False,
) -> Response:
    """Show the sign-in form; visitors who are signed in go on to the page unless they have to sign in again."""
    if asker is not None and not again:
        return RedirectResponse(own_path(next), HTTPStatus.SEE_OTHER)
    return _form(request, parts, next, again=again)


def _form(
    request: Request, parts: Parts, wanted: str, *, problem: str | None = None, status: int = 200, again: bool = False
) -> Response:
    facts = {"wanted": own_path(wanted), "problem": problem, "has_provider": parts.provider is not None}
    return page(request, "sign_in.html", status=status, again=again, **facts)


def _way(request: Request) -> Way:
    return Way(address=address_of(request), browser=request.cookies.get(BROWSER_COOKIE))


@router.post("/sign-in")
def sign_in(request: Request, parts: SiteParts, name: Text, password: Text, next: Text = "/") -> Response:  # noqa: A002 - as above
    """Check name and password, and start a session or ask for the second factor."""
    try:
        started = parts.sign_in.with_password(name, password, _way(request))
    except (SignInRefused, TooManyTries) as error:
        status = HTTPStatus.TOO_MANY_REQUESTS if isinstance(error, TooManyTries) else HTTPStatus.FORBIDDEN
        return _form(request, parts, next, problem=str(error), status=status)
    return _with_session(request, parts, next, started)


def _with_session(request: Request, parts: Parts, wanted: str, started: NewSession) -> Response:
    """Give the browser its new session in place of the one that it had."""
    before = session_of(request)
    if before is not None:
        parts.sessions.end(before)
    where = own_path(wanted)
    if started.browser is None:
        where = f"/sign-in/code?next={quote(where, safe='')}"
    answer = RedirectResponse(where, HTTPStatus.SEE_OTHER)
    set_cookie(answer, SESSION_COOKIE, started.token)
    if started.browser is not None:
        set_cookie(answer, BROWSER_COOKIE, started.browser, KNOWN_FOR)
    drop_cookie(answer, VISIT_COOKIE)
    return answer


@router.get("/sign-in/code")
def code_form(request: Request, next: str = "/") -> Response:  # noqa: A002 - as above
    """Ask for the second factor."""
    waiting = session_of(request)
    if waiting is None or not waiting.awaits_second_factor:
        return RedirectResponse("/sign-in", HTTPStatus.SEE_OTHER)
    return page(request, "sign_in_code.html", wanted=own_path(next), problem=None)


@router.post("/sign-in/code")
def check_code(request: Request, parts: SiteParts, code: Text, next: Text = "/") -> Response:  # noqa: A002 - as above
    """Check the second factor and start a full session."""
    waiting = session_of(request)
    if waiting is None or not waiting.awaits_second_factor:
        return RedirectResponse("/sign-in", HTTPStatus.SEE_OTHER)
    try:
        started = parts.sign_in.with_code(waiting, code, _way(request))
    except (CodeRefused, TooManyTries) as error:
        facts = {"wanted": own_path(next), "problem": str(error)}
        return page(request, "sign_in_code.html", status=HTTPStatus.FORBIDDEN, **facts)
    return _with_session(request, parts, next, started)


@router.post("/sign-out")
def sign_out(request: Request, visitor: SignedIn, parts: SiteParts) -> Response:
    """End the session and delete its cookie."""
    parts.sessions.end(visitor.session)
    parts.audit_log.add(Act.SIGNED_OUT, visitor.by)
    answer: Response = RedirectResponse("/sign-in", HTTPStatus.SEE_OTHER)
    at_provider = parts.provider if visitor.session.at_provider else None
    if at_provider is not None and (address := at_provider.end_session_address()):
        answer = page(request, "to_provider.html", address=address, title="Sign out", visitor=None)
    drop_cookie(answer, SESSION_COOKIE)
    answer.headers["Clear-Site-Data"] = '"cache", "storage"'
    return answer


@router.post("/sign-in/provider")
def to_provider(request: Request, parts: SiteParts, *, again: Annotated[bool, Form()] = False) -> Response:
    """Send a visitor to the identity provider."""
    if parts.provider is None:
        raise SignInRefused("no identity provider is configured")
    if not parts.provider_limit.allows(network_of(address_of(request))):
        raise TooManyTries
    visit = visit_of(request)
    # A page in between, because the policy "form-action 'self'" also blocks a redirect to another site.
    answer = page(request, "to_provider.html", address=parts.provider.begin(visit, again=again))
    set_cookie(answer, VISIT_COOKIE, visit)
    return answer


@router.get(CALLBACK_PATH)
def from_provider(request: Request, parts: SiteParts, state: str = "", code: str = "") -> Response:
    """Sign in a visitor who comes back from the identity provider."""
    if parts.provider is None:
        raise SignInRefused("no identity provider is configured")
    by, how = Actor(address=address_of(request)), "identity provider"
    try:
        person = parts.provider.finish(visit_of(request), state, code)
    except ProviderFailed as error:
        parts.audit_log.add_once(Act.SIGN_IN_FAILED, by, {"how": how, "reason": "answer refused"})
        return _form(request, parts, "/", problem=f"Not signed in: {error}.", status=HTTPStatus.BAD_GATEWAY)
    account, refused = _account_of(parts, person)
    by = Actor(account=None if account is None else account.name, address=by.address)
    if account is None or refused is not None:
        parts.audit_log.add_once(Act.SIGN_IN_FAILED, by, {"how": how, "reason": refused})
        problem = f"Not signed in: {refused}. Give an administrator your subject there: “{person.subject}”."
        return _form(request, parts, "/", problem=problem, status=HTTPStatus.FORBIDDEN)
    if account.provider_subject is None:
        parts.accounts.bind(account, person.subject, by, Act.PROVIDER_LINKED)
        account = parts.accounts.by_id(account.account_id)
    started = parts.sign_in.enter(
        account,
        _way(request),
        how=how,
        at_provider=True,
        has_second_factor=person.asked_second_factor or parts.policy.provider_asks_second_factor,
        authenticated_at=person.authenticated_at,
    )
    return _with_session(request, parts, "/", started)


def _account_of(parts: Parts, person: ProviderIdentity) -> tuple[Account | None, str | None]:
    """Return the account that a person has here, and why it may not be used, as the audit log says it."""
    account = parts.accounts.by_subject(person.subject) or parts.accounts.find(person.verified_email or "")
    if account is None:
        return None, "no account" if person.verified_email else "e-mail address not verified"
    if account.provider_subject not in {None, person.subject}:
        return account, "account bound to another subject"  # the provider gave the address to another person
    return account, "account disabled" if account.is_disabled else None
