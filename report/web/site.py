"""The admin site as one ASGI application over its parts.

A page is a module under ``pages/`` with a ``router``. It is listed in ``ROUTERS``, and in ``frame.sections`` if the
sidebar shows it. The pages of analyses are made from the analyses' declarations. ``forms.honest_form`` runs before
every route. A dependency of each route decides who may see it (``visitors.py``).
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
from matterlog.report.web.http.own_hosts import OwnHosts
from matterlog.report.web.pages import (
    account,
    accounts,
    activity_report,
    audit_log,
    details,
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
    details.router,
    operations.router,
    accounts.router,
    audit_log.router,
    account.router,
    second_factor.router,
)


def routers() -> tuple[APIRouter, ...]:
    return (*ROUTERS, engagement.pages())


def make_site(parts: Parts) -> FastAPI:
    # FastAPI's own pages would load scripts from other hosts.
    site = FastAPI(openapi_url=None, docs_url=None, redoc_url=None, dependencies=[Depends(honest_form)])
    site.state.parts = parts
    answering = routers()
    for router in answering:
        site.include_router(router)
    static = files("matterlog.report.web").joinpath("static")
    # The chart script is half a megabyte. Pages are not compressed: they hold secrets next to text that others wrote,
    # and the compressed size would leak the secrets (BREACH).
    site.mount("/static", GZipMiddleware(StaticFiles(directory=str(static)), compresslevel=6), name="static")
    site.state.paths = {path for router in answering for route in router.routes if (path := getattr(route, "path", ""))}
    handle_faults(site)
    # The last layer added is the outermost.
    for layer in (Containment, BodyLimit):
        site.add_middleware(layer)
    site.add_middleware(OwnHosts, names=parts.host_names)
    site.add_middleware(SecurityHeaders)
    return site
