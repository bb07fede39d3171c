"""The page "Accounts", for administrators: add, disable, enable and reset accounts, change roles."""

from http import HTTPStatus
from typing import Annotated, Final

from fastapi import APIRouter, Form
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from matterlog.report.errors import AccountRefused
from matterlog.report.web.http.frame import page
from matterlog.report.web.http.visitors import Administrator, RecentAdministrator, SiteParts
from matterlog.report.web.identity.accounts import Account, Role
from matterlog.report.web.identity.passwords import generate_password
from matterlog.report.web.parts import Parts

router = APIRouter()
_HERE: Final = "/accounts"


@router.get(_HERE)
def accounts(request: Request, visitor: Administrator, parts: SiteParts) -> Response:  # noqa: ARG001 - who may see it
    """List the accounts, with the form that adds one."""
    return _list(request, parts)


def _list(request: Request, parts: Parts, *, problem: str | None = None, name: str = "") -> Response:
    status = HTTPStatus.OK if problem is None else HTTPStatus.UNPROCESSABLE_ENTITY
    facts = {"accounts": parts.accounts.all(), "roles": list(Role), "problem": problem, "typed": name}
    return page(request, "accounts.html", status=status, has_provider=parts.provider is not None, **facts)


@router.post(_HERE)
def add(
    request: Request,
    visitor: RecentAdministrator,
    parts: SiteParts,
    name: Annotated[str, Form(max_length=200)],
    role: Annotated[Role, Form()],
    *,
    at_provider: Annotated[bool, Form()] = False,
) -> Response:
    """Add an account and show its first password once."""
    password = None if at_provider and parts.provider is not None else generate_password()
    try:
        account = parts.accounts.add(name, role, password, visitor.by)
    except AccountRefused as error:
        return _list(request, parts, problem=str(error), name=name)
    return _password(request, account, password, done="added")


def _password(request: Request, account: Account, password: str | None, *, done: str) -> Response:
    return page(request, "account_password.html", account=account, password=password, done=done)


@router.get("/accounts/{account_id}")
def access(request: Request, visitor: Administrator, parts: SiteParts, account_id: int) -> Response:  # noqa: ARG001 - as above
    """Show an account's sessions and API tokens."""
    account = parts.accounts.by_id(account_id)
    sessions, tokens = parts.sessions.of_account(account), parts.api_tokens.of_account(account)
    return page(request, "account_access.html", account=account, sessions=sessions, tokens=tokens)


@router.post("/accounts/{account_id}/shut-out")
def shut_out(visitor: Administrator, parts: SiteParts, account_id: int) -> Response:
    """End all of an account's sessions and remove all its API tokens."""
    parts.accounts.shut_out(parts.accounts.by_id(account_id), visitor.by)
    return RedirectResponse(f"{_HERE}/{account_id}", HTTPStatus.SEE_OTHER)


@router.post("/accounts/{account_id}/reset")
def reset(request: Request, visitor: RecentAdministrator, parts: SiteParts, account_id: int) -> Response:
    """Give an account a new password and show it once."""
    account = parts.accounts.by_id(account_id)
    return _password(request, account, parts.accounts.reset(account, None, visitor.by), done="reset")


@router.post("/accounts/{account_id}/disable")
def disable(request: Request, visitor: Administrator, parts: SiteParts, account_id: int) -> Response:
    """Disable an account: nobody can sign in with it."""
    try:
        parts.accounts.disable(parts.accounts.by_id(account_id), visitor.by)
    except AccountRefused as error:
        return _list(request, parts, problem=str(error))
    return RedirectResponse(_HERE, HTTPStatus.SEE_OTHER)


@router.post("/accounts/{account_id}/enable")
def enable(visitor: RecentAdministrator, parts: SiteParts, account_id: int) -> Response:
    """Enable an account again."""
    parts.accounts.enable(parts.accounts.by_id(account_id), visitor.by)
    return RedirectResponse(_HERE, HTTPStatus.SEE_OTHER)


@router.post("/accounts/{account_id}/unbind")
def unbind(visitor: RecentAdministrator, parts: SiteParts, account_id: int) -> Response:
    """Unbind an account from its person at the identity provider."""
    parts.accounts.unbind(parts.accounts.by_id(account_id), visitor.by)
    return RedirectResponse(_HERE, HTTPStatus.SEE_OTHER)


@router.post("/accounts/{account_id}/role")
def change_role(
    request: Request, visitor: RecentAdministrator, parts: SiteParts, account_id: int, role: Annotated[Role, Form()]
) -> Response:
    """Change an account's role."""
    try:
        parts.accounts.set_role(parts.accounts.by_id(account_id), role, visitor.by)
    except AccountRefused as error:
        return _list(request, parts, problem=str(error))
    return RedirectResponse(_HERE, HTTPStatus.SEE_OTHER)
