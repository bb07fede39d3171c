"""The site's two ports, which ``app`` implements: the log that it reads, and the pipeline that fills the log.

A *phase* is what the consumer is doing now. The site runs in every phase. When the consumer, or the reading of views
alone, waits or has stopped, ``reason`` says why and what to do, without any content of a message.
"""

from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, Final, Literal, Protocol

from matterlog.report.log.reader import LogConnection, PartitionStatus, with_ends


class Phase(StrEnum):
    """What the consumer is doing now."""

    OFF = "off"
    STARTING = "starting"
    CONSUMING = "consuming"
    VIEWS_WAITING = "views-waiting"
    VIEWS_STOPPED = "views-stopped"
    WAITING = "waiting"
    STOPPED = "stopped"


IN_WORDS: Final[Mapping[Phase, str]] = {
    Phase.OFF: "This process does not read from Kafka. It only shows what the log holds.",
    Phase.STARTING: "Starting to read from Kafka.",
    Phase.CONSUMING: "Views arrive as they happen.",
    Phase.VIEWS_WAITING: "No views arrive at the moment. The consumer retries by itself. Deletions are applied.",
    Phase.VIEWS_STOPPED: "No views arrive until an operator acts. Deletions are applied.",
    Phase.WAITING: "No views arrive at the moment, and no deletions are applied. The consumer retries by itself.",
    Phase.STOPPED: "No views arrive and no deletions are applied until an operator acts.",
}
# The phases in which deletions are applied.
READING: Final = frozenset({Phase.CONSUMING, Phase.VIEWS_WAITING, Phase.VIEWS_STOPPED})


@dataclass(frozen=True, slots=True, kw_only=True)
class PipelineState:
    """The pipeline as it is now.

    Args:
        phase: what the consumer is doing.
        since: when the phase began.
        reason: why the consumer waits or has stopped, or reads no views.
        ends: each partition's end in Kafka, by topic and partition; None while it is unknown.
        ends_asked_at: when Kafka answered with the ends.
        broker_problem: why Kafka's ends are unknown.
        tombstones_trouble: why tombstones of purged views cannot be sent to the topic; None if they can.
        erasure_trouble: why the database file cannot be rewritten; None if it can.
        erase_within: how long after a removal its bytes must be out of the file.
        applied: counts of what was applied since this process started, by kind, with ``batches``.
        last_applied_at: when the last batch was applied.
        store_restarts: how often the database was reopened since this process started.
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
        return IN_WORDS[self.phase]

    def with_ends(self, positions: tuple[PartitionStatus, ...]) -> tuple[PartitionStatus, ...]:
        """Add ends to positions, and the partitions that have not been read yet."""
        return with_ends(positions, self.ends or {})


class Pipeline(Protocol):
    """The pipeline, as the site uses it."""

    def state(self) -> PipelineState:
        """Return the current state without waiting for anything."""

    def change_dead_letters(
        self, ask: Literal["retry", "discard"], addresses: tuple[str, ...] | None
    ) -> dict[str, Any]:
        """Retry or discard dead letters and return counts of what was done.

        Raises:
            MatterlogError: the dead letters could not be changed.
        """


class Log(Protocol):
    """The log, as the site uses it."""

    def reader(self) -> AbstractContextManager[LogConnection]:
        """Give one thread a connection that sees committed states, until the context ends.

        Raises:
            LogUnavailable: the database is unavailable, at the start or later inside the block.
        """
