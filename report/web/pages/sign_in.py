"""Signing in and out: with a password and a second factor, or with the identity provider."""

from http import HTTPStatus
from typing import Annotated, Final
from urllib.parse import quote

from fastapi import APIRouter, Form
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from matterlog.report.errors import CodeRefused, ProviderFailed, SignInRefused, TooManyTries
from matterlog.report.web.http.forms import SESSION_COOKIE, VISIT_COOKIE, drop_cookie, set_cookie, visit_of
from matterlog.report.web.http.frame import page
from matterlog.report.web.http.visitors import Asker, SignedIn, SiteParts, address_of, session_of
from matterlog.report.web.identity.accounts import Account
from matterlog.report.web.identity.audit_log import Act, Actor
from matterlog.report.web.identity.identity_provider import CALLBACK_PATH, ProviderIdentity
from matterlog.report.web.parts import Parts

router = APIRouter()
_LONGEST: Final = 1000
Text = Annotated[str, Form(max_length=_LONGEST)]


def own_path(wanted: str) -> str:
    """Return the wanted path if it is a page of this site, else that of the overview."""
    plain = wanted.startswith("/") and not wanted.startswith(("//", "/\\")) and wanted.isprintable()
    return wanted if plain and "\\" not in wanted else "/"


@router.get("/sign-in")
def form(request: Request, asker: Asker, parts: SiteParts, next: str = "/") -> Response:  # noqa: A002 - the field's name
    """Show the sign-in form; visitors who are signed in go on to the page."""
    if asker is not None:
        return RedirectResponse(own_path(next), HTTPStatus.SEE_OTHER)
    return _form(request, parts, next)


def _form(request: Request, parts: Parts, wanted: str, *, problem: str | None = None, status: int = 200) -> Response:
    facts = {"wanted": own_path(wanted), "problem": problem, "has_provider": parts.provider is not None}
    return page(request, "sign_in.html", status=status, **facts)


@router.post("/sign-in")
def sign_in(request: Request, parts: SiteParts, name: Text, password: Text, next: Text = "/") -> Response:  # noqa: A002 - as above
    """Check name and password, and start a session or ask for the second factor."""
    try:
        started = parts.sign_in.with_password(name, password, address_of(request))
    except (SignInRefused, TooManyTries) as error:
        status = HTTPStatus.TOO_MANY_REQUESTS if isinstance(error, TooManyTries) else HTTPStatus.FORBIDDEN
        return _form(request, parts, next, problem=str(error), status=status)
    where = f"/sign-in/code?next={_quoted(next)}" if started.awaits_second_factor else own_path(next)
    return _with_session(where, started.token)


def _quoted(wanted: str) -> str:
    return quote(own_path(wanted), safe="")


def _with_session(where: str, token: str) -> Response:
    answer = RedirectResponse(where, HTTPStatus.SEE_OTHER)
    set_cookie(answer, SESSION_COOKIE, token)
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
        started = parts.sign_in.with_code(waiting, code, address_of(request))
    except (CodeRefused, TooManyTries) as error:
        facts = {"wanted": own_path(next), "problem": str(error)}
        return page(request, "sign_in_code.html", status=HTTPStatus.FORBIDDEN, **facts)
    return _with_session(own_path(next), started.token)


@router.post("/sign-out")
def sign_out(request: Request, visitor: SignedIn, parts: SiteParts) -> Response:
    """End the session and delete its cookie."""
    parts.sessions.end(visitor.session)
    parts.audit_log.add(Act.SIGNED_OUT, visitor.by)
    answer: Response = RedirectResponse("/sign-in", HTTPStatus.SEE_OTHER)
    is_at_provider = visitor.account.provider_subject is not None and visitor.account.password_hash is None
    if parts.provider is not None and is_at_provider and (address := parts.provider.end_session_address()):
        answer = page(request, "to_provider.html", address=address, title="Sign out", visitor=None)
    drop_cookie(answer, SESSION_COOKIE)
    answer.headers["Clear-Site-Data"] = '"cache", "storage"'
    return answer


@router.post("/sign-in/provider")
def to_provider(request: Request, parts: SiteParts) -> Response:
    """Send a visitor to the identity provider."""
    if parts.provider is None:
        raise SignInRefused("no identity provider is configured")
    visit = visit_of(request)
    # A page in between, because the policy "form-action 'self'" also blocks a redirect to another site.
    answer = page(request, "to_provider.html", address=parts.provider.begin(visit))
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
        parts.audit_log.add(Act.SIGN_IN_FAILED, by, {"how": how, "reason": "answer refused"})
        return _form(request, parts, "/", problem=f"Not signed in: {error}.", status=HTTPStatus.BAD_GATEWAY)
    account, refused = _account_of(parts, person)
    by = Actor(account=None if account is None else account.name, address=by.address)
    if account is None or refused is not None:
        parts.audit_log.add(Act.SIGN_IN_FAILED, by, {"how": how, "reason": refused})
        problem = f"Not signed in: {refused}. Give an administrator your subject there: “{person.subject}”."
        return _form(request, parts, "/", problem=problem, status=HTTPStatus.FORBIDDEN)
    if account.provider_subject is None:
        parts.accounts.bind(account, person.subject, by, Act.PROVIDER_LINKED)
    return _with_session("/", parts.sign_in.of_account(account, by, how=how).token)


def _account_of(parts: Parts, person: ProviderIdentity) -> tuple[Account | None, str | None]:
    """Return the account that a person has here, and why it may not be used, as the audit log says it."""
    account = parts.accounts.by_subject(person.subject) or parts.accounts.find(person.verified_email or "")
    if account is None:
        return None, "no account" if person.verified_email else "e-mail address not verified"
    if account.provider_subject not in {None, person.subject}:
        return account, "account bound to another subject"  # the provider gave the address to another person
    return account, "account disabled" if account.is_disabled else None
