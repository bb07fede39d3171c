"""The second factor of the visitor's own account: add it, remove it.

A new secret travels to the browser and back in the form. It is stored only after a code proves that the device has it.
"""

from http import HTTPStatus
from typing import Annotated, Final

from fastapi import APIRouter, Form
from markupsafe import Markup
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from matterlog.report.errors import CodeRefused, SignInRefused, TooManyTries
from matterlog.report.web.http.frame import page
from matterlog.report.web.http.visitors import RecentVisitor, SiteParts, Visitor
from matterlog.report.web.identity.second_factor import new_secret, qr_code
from matterlog.report.web.parts import Parts

router = APIRouter()
_HERE: Final = "/account/second-factor"
Text = Annotated[str, Form(max_length=1000)]
Secret = Annotated[str, Form(pattern=r"^[A-Z2-7]{32}$")]


@router.get(_HERE)
def form(request: Request, visitor: RecentVisitor) -> Response:
    """Show a new secret, or the form that removes the factor."""
    if visitor.account.totp_secret is not None:
        return page(request, "second_factor_remove.html", account=visitor.account, problem=None)
    return _adding(request, visitor, new_secret(), problem=None)


def _adding(request: Request, visitor: Visitor, secret: str, *, problem: str | None) -> Response:
    status = HTTPStatus.OK if problem is None else HTTPStatus.UNPROCESSABLE_ENTITY
    picture = Markup(qr_code(visitor.account, secret))  # noqa: S704 - drawn by segno from numbers only
    facts = {"account": visitor.account, "secret": secret, "picture": picture, "problem": problem}
    return page(request, "second_factor_add.html", status=status, **facts)


@router.post(_HERE)
def add(
    request: Request,
    visitor: RecentVisitor,
    parts: SiteParts,
    secret: Secret,
    code: Text,
    password: Text = "",
    *,
    end_tokens: Annotated[bool, Form()] = False,
) -> Response:
    """Add the second factor and show the recovery codes once."""
    if visitor.account.totp_secret is not None:
        return RedirectResponse(_HERE, HTTPStatus.SEE_OTHER)
    try:
        _check_password(visitor, parts, password)
        shown = code.replace(" ", "")
        codes = parts.second_factors.add(
            visitor.account, secret, shown, visitor.by, but=visitor.session.token_hash, end_tokens=end_tokens
        )
    except (CodeRefused, SignInRefused, TooManyTries) as error:
        return _adding(request, visitor, secret, problem=str(error))
    return page(request, "recovery_codes.html", codes=codes)


@router.post(f"{_HERE}/remove")
def remove(request: Request, visitor: RecentVisitor, parts: SiteParts, password: Text = "") -> Response:
    """Remove the second factor."""
    try:
        _check_password(visitor, parts, password)
    except (SignInRefused, TooManyTries) as error:
        facts = {"account": visitor.account, "problem": str(error)}
        return page(request, "second_factor_remove.html", status=HTTPStatus.FORBIDDEN, **facts)
    parts.second_factors.remove(visitor.account, visitor.by, but=visitor.session.token_hash)
    return RedirectResponse("/account", HTTPStatus.SEE_OTHER)


def _check_password(visitor: Visitor, parts: Parts, password: str) -> None:
    """Check the password again. An account without one has just signed in with the identity provider."""
    if visitor.account.password_hash is not None:
        parts.sign_in.check_password_again(visitor.account, password, visitor.way)
