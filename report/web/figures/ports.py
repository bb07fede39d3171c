"""The site's two ports, which ``app`` fills: the log as it is read, and the pipeline that fills the log.

A *phase* is what the consumer does just now. It never takes the site down: where it waits or has stopped, ``reason``
says why and what to do, in words that hold nothing of any message.
"""

from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, Final, Literal, Protocol

from matterlog.report.log.reader import LogConnection, PartitionStatus, with_ends


class Phase(StrEnum):
    """What the consumer does just now."""

    OFF = "off"
    STARTING = "starting"
    CONSUMING = "consuming"
    WAITING = "waiting"
    STOPPED = "stopped"


IN_WORDS: Final[Mapping[Phase, str]] = {
    Phase.OFF: "Nothing is read from Kafka: this process only shows what the log holds.",
    Phase.STARTING: "Starting to read from Kafka.",
    Phase.CONSUMING: "Views arrive as they happen.",
    Phase.WAITING: "Nothing arrives at the moment; it is tried again by itself.",
    Phase.STOPPED: "Nothing arrives until somebody acts.",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class PipelineState:
    """The pipeline as it is now.

    Args:
        phase: what the consumer does.
        since: since when.
        reason: why it waits or has stopped.
        ends: each partition's end in Kafka, by topic and partition; None while Kafka was not asked or does not answer.
        ends_asked_at: when Kafka told them.
        broker_problem: why Kafka does not say its ends.
        tombstones_trouble: what keeps tombstones of purged views from the topic; None for nothing.
        erasure_trouble: what keeps the database file from being rewritten; None for nothing.
        erase_within: by when what was removed has to be out of the file.
        applied: what was applied since this process started, by kind; ``batches`` among them.
        last_applied_at: when the last batch was applied.
        store_restarts: how often the database was opened again since this process started.
    """

    phase: Phase
    since: datetime
    reason: str | None = None
    ends: Mapping[tuple[str, int], int] | None = None
    ends_asked_at: datetime | None = None
    broker_problem: str | None = None
    tombstones_trouble: str | None = None
    erasure_trouble: str | None = None
    erase_within: timedelta = timedelta(hours=24)
    applied: Mapping[str, int] = field(default_factory=dict)
    last_applied_at: datetime | None = None
    store_restarts: int = 0

    @property
    def in_words(self) -> str:
        """The phase as a sentence."""
        return IN_WORDS[self.phase]

    def with_ends(self, positions: tuple[PartitionStatus, ...]) -> tuple[PartitionStatus, ...]:
        """Give positions their ends, and add the partitions that were never read."""
        return with_ends(positions, self.ends or {})


class Pipeline(Protocol):
    """The pipeline, as the site sees it."""

    def state(self) -> PipelineState:
        """Return how it is now, without waiting for anything."""

    def change_dead_letters(
        self, ask: Literal["retry", "discard"], addresses: tuple[str, ...] | None
    ) -> dict[str, Any]:
        """Retry or discard dead letters (``retry``, ``discard``); return what that did, in counts.

        Raises:
            MatterlogError: it could not be done.
        """


class Log(Protocol):
    """The log, as the site reads it."""

    def reader(self) -> AbstractContextManager[LogConnection]:
        """Give a connection for one thread that sees committed states, for as long as the context lasts.

        Raises:
            LogUnavailable: the database is down; also out of the block, when it goes down meanwhile.
        """
