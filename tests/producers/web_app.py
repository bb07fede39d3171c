"""A web app in small, for each server in turn: a request emits one view and is answered with the event's ID.

The environment names the broker, the topic prefix, and whether the producer is made when the module is imported, which
may be before the server forks. Nobody calls ``close`` but FastAPI's lifespan.
"""

import asyncio
import os
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from functools import cache
from typing import Any

from celery import Celery
from fastapi import FastAPI

from matterlog.producers import KafkaProducer, MatterDeletionProducer, MatterViewProducer
from testbed.events import a_deletion, a_view


@cache
def transport() -> KafkaProducer:
    return KafkaProducer(os.environ["APP_KAFKA"])


@cache
def views() -> MatterViewProducer:
    return MatterViewProducer(transport(), topic_prefix=os.environ["APP_PREFIX"])


if os.environ["APP_MADE_AT"] == "import":
    views()


def application(_environ: dict[str, Any], start_response: Callable[..., object]) -> Iterable[bytes]:
    """WSGI: gunicorn and uWSGI."""
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [str(views().emit_event(a_view())).encode()]


@asynccontextmanager
async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
    yield
    await asyncio.to_thread(transport().close)


fastapi_app = FastAPI(lifespan=lifespan)


@fastapi_app.get("/")
async def view_and_delete() -> str:
    """A deletion waits for the broker, so it has a thread."""
    event_id = views().emit_event(a_view())
    deletions = MatterDeletionProducer(transport(), topic_prefix=os.environ["APP_PREFIX"])
    await asyncio.to_thread(deletions.emit_event, a_deletion(matter_id=f"m-{event_id}"))
    return str(event_id)


FOLDER = os.environ["APP_FOLDER"]
celery_app = Celery("web_app", broker="filesystem://", backend=f"file://{FOLDER}")
celery_app.conf.broker_transport_options = dict.fromkeys(
    ("data_folder_in", "data_folder_out", "control_folder"), FOLDER
)


@celery_app.task  # type: ignore[untyped-decorator]  # celery has no types
def visit() -> str:
    return str(views().emit_event(a_view()))
