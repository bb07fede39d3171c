"""Erasures that tell how far they are, so that a test does something in the middle of one, or ends it there."""

import threading
from collections.abc import Callable
from enum import StrEnum
from typing import Any

import psycopg

from matterlog.consumers.database.store import Store
from matterlog.consumers.erasure.erase import Eraser, Rewrite
from matterlog.consumers.lake.lake_erasure import LakeEraser
from matterlog.consumers.lake.lake_store import LakeStore


class Step(StrEnum):
    """The last completed step of a rewrite."""

    BEGAN = "began"
    CLONED = "cloned"
    COPIED = "copied"
    CAUGHT_UP = "caught-up"
    CLOSED = "closed"
    LINKED = "linked"
    REPLACED = "replaced"
    OPENED = "opened"
    SWEPT = "swept"
    RECORDED = "recorded"


class LakeStep(StrEnum):
    """The last completed step of a lake's erasure."""

    REWRITTEN = "rewritten"
    UNREAD = "unread"
    CLEANED = "cleaned"
    RENEWED = "renewed"
    RECYCLED = "recycled"
    RECORDED = "recorded"


class WatchedEraser(Eraser):
    """Calls ``reached`` after each step."""

    def __init__(self, store: Store, stop: threading.Event | None = None, *, reached: Callable[[Step], None]) -> None:
        super().__init__(store, stop or threading.Event())
        self.reached = reached

    def _begin(self) -> int:
        size = super()._begin()
        self.reached(Step.BEGAN)
        return size

    def _run_step(self, name: str, *arguments: str) -> int:
        if name == "copy":
            self.reached(Step.CLONED)
        return super()._run_step(name, *arguments)

    def _exchange(self, patience_seconds: float) -> tuple[float, float]:
        self.reached(Step.COPIED)
        paused = super()._exchange(patience_seconds)
        self.reached(Step.OPENED)
        return paused

    def _prepare(self) -> None:
        super()._prepare()
        self.reached(Step.CAUGHT_UP)

    def _replace(self) -> None:
        self.reached(Step.CLOSED)
        super()._replace()
        self.reached(Step.REPLACED)

    def _rename(self) -> None:
        self.reached(Step.LINKED)
        super()._rename()

    def _sweep(self) -> None:
        super()._sweep()
        self.reached(Step.SWEPT)

    def _rewrite(self, patience_seconds: float) -> Rewrite:
        done = super()._rewrite(patience_seconds)
        self.reached(Step.RECORDED)
        return done


class WatchedLakeEraser(LakeEraser):
    """Calls ``reached`` after each step."""

    def __init__(self, store: LakeStore, *, reached: Callable[[LakeStep], None]) -> None:
        super().__init__(store)
        self.reached = reached

    def _rewrite(self, catalogue: psycopg.Connection) -> Any:
        forgotten = super()._rewrite(catalogue)
        self.reached(LakeStep.REWRITTEN)
        return forgotten

    def _await_readers(self, catalogue: psycopg.Connection, forgotten: Any, patience_seconds: float) -> None:
        super()._await_readers(catalogue, forgotten, patience_seconds)
        self.reached(LakeStep.UNREAD)

    def _clean_up(self) -> int:
        files = super()._clean_up()
        self.reached(LakeStep.CLEANED)
        return files

    def _renew(self, catalogue: psycopg.Connection, patience_seconds: float) -> None:
        super()._renew(catalogue, patience_seconds)
        self.reached(LakeStep.RENEWED)

    def _record(self, covered: int) -> int:
        self.reached(LakeStep.RECYCLED)
        gone = super()._record(covered)
        self.reached(LakeStep.RECORDED)
        return gone
