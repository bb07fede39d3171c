"""The page "Operations", for administrators: the pipeline, dead letters, receipts of deletions."""

from http import HTTPStatus
from typing import Annotated, Any, Final, Literal

from fastapi import APIRouter, Form
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from matterlog.report.log.reader import read_positions
from matterlog.report.web.figures.log_questions import rows_of
from matterlog.report.web.health import complaints
from matterlog.report.web.http.frame import page
from matterlog.report.web.http.visitors import Administrator, SiteParts
from matterlog.report.web.identity.audit_log import Act

router = APIRouter()
_MAX_ROWS: Final = 100
_ACTS: Final = {"retry": Act.DEAD_LETTERS_RETRIED, "discard": Act.DEAD_LETTERS_DISCARDED}


@router.get("/operations")
def operations(request: Request, visitor: Administrator, parts: SiteParts) -> Response:  # noqa: ARG001 - who may see it
    """Show the state of the pipeline."""
    state = parts.pipeline.state()
    with parts.log.reader() as connection:
        facts: dict[str, Any] = {
            "held": rows_of(connection, "counts")[0],
            "partitions": state.with_ends(read_positions(connection)),
            "dead_letters": rows_of(connection, "dead_letters", limit=_MAX_ROWS),
            "purges": rows_of(connection, "purges", limit=_MAX_ROWS),
            "gaps": rows_of(connection, "gaps"),
        }
    return page(request, "operations.html", state=state, problems=complaints(parts), most=_MAX_ROWS, **facts)


@router.post("/operations/dead-letters")
def change_dead_letters(
    visitor: Administrator,
    parts: SiteParts,
    ask: Annotated[Literal["retry", "discard"], Form()],
    place: Annotated[list[str], Form(max_length=_MAX_ROWS)],
) -> Response:
    """Retry or discard the selected dead letters."""
    done = parts.pipeline.change_dead_letters(ask, tuple(place))
    figures = {name: value for name, value in done.items() if isinstance(value, int)}
    parts.audit_log.add(_ACTS[ask], visitor.by, {"chosen": len(place), **figures})
    return RedirectResponse("/operations#dead-letters", HTTPStatus.SEE_OTHER)
