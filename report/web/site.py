"""The admin site, put together: one ASGI application over the parts that it is given.

A page is a module under ``pages/`` with a ``router``; it stands in ``ROUTERS``, and in ``frame.sections`` where it has
a place in the sidebar. The pages of analyses follow from what each declares. Every route stands behind
``forms.honest_form``; which may be seen by whom, its own dependency says (``visitors.py``).
"""

from importlib.resources import files
from typing import Final

from fastapi import APIRouter, Depends, FastAPI
from starlette.middleware.gzip import GZipMiddleware
from starlette.staticfiles import StaticFiles

from matterlog.report.web import api, health
from matterlog.report.web.http.faults import handle_faults
from matterlog.report.web.http.forms import honest_form
from matterlog.report.web.http.http_security import BodyLimit, Containment, SecurityHeaders
from matterlog.report.web.http.visitors import PasswordToChange
from matterlog.report.web.pages import (
    account,
    accounts,
    activity_report,
    audit_log,
    engagement,
    operations,
    overview,
    second_factor,
    sign_in,
)
from matterlog.report.web.parts import Parts

ROUTERS: Final[tuple[APIRouter, ...]] = (
    health.router,
    api.router,
    sign_in.router,
    overview.router,
    activity_report.router,
    engagement.router,
    operations.router,
    accounts.router,
    audit_log.router,
    account.router,
    second_factor.router,
)


def routers() -> tuple[APIRouter, ...]:
    """Return all that the site answers with."""
    return (*ROUTERS, engagement.pages())


def make_site(parts: Parts) -> FastAPI:
    """Make the site over its parts."""
    # No page of FastAPI's own: it would load script from elsewhere.
    site = FastAPI(openapi_url=None, docs_url=None, redoc_url=None, dependencies=[Depends(honest_form)])
    site.state.parts = parts
    answering = routers()
    for router in answering:
        site.include_router(router)
    static = files("matterlog.report.web").joinpath("static")
    # The script that draws charts is half a megabyte. Nothing else is compressed: a page holds secrets beside what
    # others may have written, and its size would tell of them.
    site.mount("/static", GZipMiddleware(StaticFiles(directory=str(static)), compresslevel=6), name="static")
    site.state.paths = {path for router in answering for route in router.routes if (path := getattr(route, "path", ""))}
    handle_faults(site, PasswordToChange)
    # The last one added is the outermost.
    for layer in (Containment, BodyLimit, SecurityHeaders):
        site.add_middleware(layer)
    return site
