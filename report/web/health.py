"""Health checks: liveness for a supervisor that restarts the service, readiness for a load balancer; and metrics.

*Live*: the process answers. Nothing else is checked, because a restart would fix nothing else. *Ready*: the database
answers, the consumer reads, and its lag is within the limit. Otherwise the check fails and gives the reasons in words,
which hold no data of the log.
"""

import hmac
from typing import Annotated

from anyio import CapacityLimiter, to_thread
from fastapi import APIRouter, Depends
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from matterlog.report.errors import LogUnavailable, NotAllowed
from matterlog.report.log.reader import read_positions
from matterlog.report.web.figures.ports import READING, Phase
from matterlog.report.web.http.visitors import SiteParts, address_of
from matterlog.report.web.parts import Parts

router = APIRouter()
_LOOPBACK = frozenset({"127.0.0.1", "::1"})
# Health is answered while pages and extracts take every other thread.
_THREADS = CapacityLimiter(2)
_FORWARDED = ("x-forwarded-for", "forwarded", "via")
_TEXT = "text/plain; version=0.0.4; charset=utf-8"


@router.get("/health/live")
async def live() -> JSONResponse:
    """Answer that the process is alive."""
    return JSONResponse({"live": True})


@router.get("/health/ready")
async def ready(request: Request, parts: SiteParts) -> JSONResponse:
    """Report whether everything works; 503 if not. Who may read the metrics gets the reasons too."""
    reasons = await to_thread.run_sync(problems, parts, limiter=_THREADS)
    told = {"reasons": reasons} if _is_local(request) or _has_metrics_token(request, parts) else {}
    return JSONResponse({"ready": not reasons, **told}, 503 if reasons else 200)


def problems(parts: Parts) -> list[str]:
    """Return what does not work, one sentence for each problem."""
    state = parts.pipeline.state()
    found = []
    if state.phase not in {Phase.OFF, Phase.CONSUMING}:
        why = "" if state.reason is None else f" Since {state.since:%Y-%m-%dT%H:%M:%SZ}: {state.reason}"
        found.append(f"{state.in_words}{why}")
    if state.broker_problem is not None and state.phase in READING and state.broker_problem != state.reason:
        found.append(state.broker_problem)
    try:
        with parts.log.reader() as connection:
            lag = sum(each.lag or 0 for each in state.with_ends(read_positions(connection)))
    except LogUnavailable as error:
        return [*found, str(error)]
    if lag > parts.max_lag:
        found.append(f"The log is {lag:,} records behind Kafka. The limit is {parts.max_lag:,}.")
    return found


def complaints(parts: Parts) -> list[str]:
    """Return the problems, and what holds up an erasure, which does not make the site unready."""
    state, found = parts.pipeline.state(), problems(parts)
    if state.tombstones_trouble is not None:
        found.append(f"Purged views cannot be erased from Kafka yet: {state.tombstones_trouble}")
    if state.erasure_trouble is not None:
        found.append(f"Removed data cannot be erased from the database file yet: {state.erasure_trouble}")
    return found


def may_read_metrics(request: Request, parts: SiteParts) -> None:
    """Let in whoever sends the metrics' token, and without one only this machine, not through a proxy.

    Raises:
        NotAllowed
    """
    if parts.metrics_token is not None and request.headers.get("authorization", "").lower().startswith("bearer "):
        if not _has_metrics_token(request, parts):
            raise NotAllowed("The metrics' token is not valid.")
    elif not _is_local(request):
        raise NotAllowed("Metrics are read from this machine, or with the token of the setting metrics_token.")


def _has_metrics_token(request: Request, parts: Parts) -> bool:
    token = request.headers.get("authorization", "").partition(" ")[2].strip()
    return parts.metrics_token is not None and hmac.compare_digest(token.encode(), parts.metrics_token.encode())


def _is_local(request: Request) -> bool:
    """Return whether this machine asks, under a name of the site's, and not through a proxy."""
    is_forwarded = any(name in request.headers for name in _FORWARDED)
    return address_of(request) in _LOOPBACK and request.state.is_own_host and not is_forwarded


@router.get("/metrics")
def metrics(parts: SiteParts, _: Annotated[None, Depends(may_read_metrics)]) -> Response:
    """Give Prometheus its figures."""
    return Response(parts.metrics.text(), media_type=_TEXT)
