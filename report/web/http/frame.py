"""The frame around every page: the sidebar, the templates, and the values and filters that templates can use.

A page is ``page(request, "name.html", ...)``: the template extends ``frame.html`` and gets the visitor, the navigation,
the form token and the route's values. All values are escaped. A missing value is an error.
"""

import hashlib
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from importlib.resources import files
from typing import Any, Final

import jinja2
from markupsafe import Markup
from starlette.requests import Request
from starlette.responses import HTMLResponse

from matterlog.report.engagement.analyses import ANALYSES
from matterlog.report.web.http.forms import FIELD, SESSION_COOKIE, VISIT_COOKIE, form_token, set_cookie, visit_of
from matterlog.report.web.identity.accounts import Role


@dataclass(frozen=True, slots=True)
class Link:
    """A page in the sidebar; shown if the site has a route of this path and the visitor's role may see it."""

    title: str
    path: str
    only_for: Role | None = None


@dataclass(frozen=True, slots=True)
class Section:
    """Links under a heading, which may be empty."""

    title: str
    links: tuple[Link, ...]


_ADMINISTRATION: Final = Section(
    "Administration",
    (
        Link("Operations", "/operations", Role.ADMINISTRATOR),
        Link("Accounts", "/accounts", Role.ADMINISTRATOR),
        Link("Audit log", "/record", Role.ADMINISTRATOR),
    ),
)


def sections() -> tuple[Section, ...]:
    """Return the whole sidebar, for all roles. The Activity report is the last of the reports."""
    analyses = (Link(spec.title, f"/reports/{spec.name}") for spec in ANALYSES.values() if spec.page is not None)
    return (
        Section("", (Link("Overview", "/"),)),
        Section("Reports", (*analyses, Link("Activity report", "/reports/activity"))),
        _ADMINISTRATION,
        Section("You", (Link("My account", "/account"),)),
    )


def page(request: Request, template: str, *, status: int = 200, **facts: Any) -> HTMLResponse:
    """Answer with a page.

    Args:
        request: the request to answer.
        template: the template's file name.
        status: the HTTP status.
        facts: the template's values besides those of the frame.
    """
    visitor = getattr(request.state, "visitor", None)
    text = (
        _templates()
        .get_template(template)
        .render(
            {
                "visitor": visitor,
                "navigation": _navigation(request, None if visitor is None else visitor.account.role),
                "path": request.url.path,
                "form_token_field": _token_field(request),
                **facts,
            }
        )
    )
    answer = HTMLResponse(text, status)
    if SESSION_COOKIE not in request.cookies and VISIT_COOKIE not in request.cookies:
        set_cookie(answer, VISIT_COOKIE, visit_of(request))
    return answer


def _navigation(request: Request, role: Role | None) -> list[Section]:
    if role is None:
        return []
    paths: set[str] = request.app.state.paths
    seen = [
        Section(
            section.title, tuple(link for link in section.links if link.path in paths and link.only_for in {None, role})
        )
        for section in sections()
    ]
    return [section for section in seen if section.links]


def _token_field(request: Request) -> Markup:
    """Return the hidden field that every form holds."""
    return Markup('<input type="hidden" name="{}" value="{}">').format(FIELD, form_token(request))


@cache
def _templates() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("matterlog.report.web", "templates"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"instant": instant, "number": "{:,}".format}
    environment.globals["asset"] = asset
    return environment


@cache
def asset(name: str) -> str:
    """Return the address of a file under ``static/``. It changes with the content, so browsers may cache it."""
    content = files("matterlog.report.web").joinpath("static", *name.split("/")).read_bytes()
    return f"/static/{name}?v={hashlib.sha256(content).hexdigest()[:12]}"


def instant(value: str | datetime | None) -> Markup:
    """Write an instant in UTC for people. A script adds their local time."""
    if value is None:
        return Markup("&ndash;")
    moment = datetime.fromisoformat(value) if isinstance(value, str) else value
    moment = moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    text = f"{moment.day} {moment:%b %Y, %H:%M} UTC"
    return Markup('<time datetime="{}">{}</time>').format(moment.isoformat(timespec="seconds"), text)
