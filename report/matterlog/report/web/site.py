"""The admin site, put together: one ASGI application over the parts that it is given.

A page is a module under ``pages/`` with a ``router``; it stands in ``ROUTERS``, and in ``frame.NAVIGATION`` where it
has a place in the sidebar. Every route stands behind ``forms.honest_form``; which may be seen by whom, its own
dependency says (``visitors.py``).
"""

from importlib.resources import files
from typing import Final

from fastapi import APIRouter, Depends, FastAPI
from starlette.middleware.gzip import GZipMiddleware
from starlette.staticfiles import StaticFiles

from . import api, health
from .faults import handle_faults
from .forms import honest_form
from .http_security import BodyLimit, Containment, SecurityHeaders
from .pages import account, accounts, activity_report, engagement, operations, overview, record, second_factor, sign_in
from .parts import Parts
from .visitors import PasswordToChange

ROUTERS: Final[tuple[APIRouter, ...]] = (
    health.router,
    api.router,
    sign_in.router,
    overview.router,
    activity_report.router,
    engagement.router,
    operations.router,
    accounts.router,
    record.router,
    account.router,
    second_factor.router,
)


def make_site(parts: Parts) -> FastAPI:
    """Make the site over its parts."""
    # No page of FastAPI's own: it would load script from elsewhere.
    site = FastAPI(openapi_url=None, docs_url=None, redoc_url=None, dependencies=[Depends(honest_form)])
    site.state.parts = parts
    for router in ROUTERS:
        site.include_router(router)
    static = files("matterlog.report.web").joinpath("static")
    # The script that draws charts is half a megabyte. Nothing else is compressed: a page holds secrets beside what
    # others may have written, and its size would tell of them.
    site.mount("/static", GZipMiddleware(StaticFiles(directory=str(static)), compresslevel=6), name="static")
    site.state.paths = {path for router in ROUTERS for route in router.routes if (path := getattr(route, "path", ""))}
    handle_faults(site, PasswordToChange)
    # The last one added is the outermost.
    for layer in (Containment, BodyLimit, SecurityHeaders):
        site.add_middleware(layer)
    return site
