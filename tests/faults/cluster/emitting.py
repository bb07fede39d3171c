"""A web app and a deletion service that emit steadily, and what they know: what was emitted, and what failed."""

import random
import threading
from collections import Counter
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Final, Self
from uuid import UUID

from matterlog.producers import (
    Failure,
    KafkaProducer,
    MatterDeletionProducer,
    MatterViewProducer,
    NotDelivered,
    ProducerError,
)
from testbed.events import NOON

# About a hundred views a second.
_PAUSE_SECONDS: Final = 0.01
_LIVING_MATTERS: Final = 12
# Of the events: deletions, and views of matters that are deleted already.
_DELETIONS: Final = 0.01
_LATE_VIEWS: Final = 0.03
_DELIVERY_SECONDS: Final = 120.0


@dataclass(slots=True)
class Emitted:
    """Each event whose ``emit`` returned, by its ID, and those that were told as failures."""

    # The ID of the user, which no other view has, and of the matter.
    views: dict[UUID, tuple[str, str]] = field(default_factory=dict)
    deletions: dict[UUID, str] = field(default_factory=dict)
    failed: dict[UUID, str] = field(default_factory=dict)
    # How many calls of ``emit`` raised.
    refused: int = 0

    def __str__(self) -> str:
        return (
            f"{len(self.views)} views and {len(self.deletions)} deletions emitted, {len(self.failed)} of them told as "
            f"failures, {self.refused} refused"
        )

    def problems(self, stored: Iterable[tuple[UUID, str, str]], purged: Iterable[str]) -> list[str]:
        """Compare with the rows (event ID, user ID, matter ID) and the purged matters; say what is wrong.

        An event that was told as a failure may be in the topic all the same: nobody heard the broker's answer.
        """
        rows, gone = list(stored), set(purged)
        found = {event_id: (user, matter) for event_id, user, matter in rows}
        known = [matter for event_id, matter in self.deletions.items() if event_id not in self.failed]
        expected = {
            event_id
            for event_id, (_, matter) in self.views.items()
            if matter not in gone and event_id not in self.failed
        }
        problems = {
            "doubled": [event_id for event_id, times in Counter(row[0] for row in rows).items() if times > 1],
            "lost": expected - found.keys(),
            "other content, or never emitted": [each for each in found if self.views.get(each) != found[each]],
            "of a purged matter": [each for each, (_, matter) in found.items() if matter in gone],
            "deletions lost": set(known) - gone,
            "deletions never emitted": gone - set(self.deletions.values()),
        }
        return [f"{len(wrong)} {what}: {sorted(map(str, wrong))[:3]}" for what, wrong in problems.items() if wrong]


class Emitting:
    """A thread that emits views and deletions while the block runs, on producers of its own.

    Args:
        servers: the cluster's addresses.
        prefix: of the topics.
        dice: decide what is emitted.
        settings: further settings of the producers.
        emitted: what was emitted before; new events are added.
    """

    def __init__(
        self, servers: str, prefix: str, dice: random.Random, settings: dict[str, str], emitted: Emitted
    ) -> None:
        self.emitted = emitted
        self._dice = dice
        self._living: list[str] = []
        self._dead: list[str] = []
        self._may_emit, self._ends = threading.Event(), threading.Event()
        self._emitting = threading.Lock()
        self._kafka = KafkaProducer(servers, settings=settings, on_failure=self._note)
        self._views = MatterViewProducer(self._kafka, topic_prefix=prefix)
        self._deletions = MatterDeletionProducer(self._kafka, topic_prefix=prefix)
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> Self:
        self._may_emit.set()
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._end()
        with suppress(NotDelivered):
            self._kafka.close(0)

    def hold(self) -> None:
        """Emit nothing for now; wait until all that was emitted has an outcome."""
        self._may_emit.clear()
        with self._emitting:
            left = self._kafka.flush(_DELIVERY_SECONDS)
        assert not left, f"{left} events have no outcome after {_DELIVERY_SECONDS:.0f} s"

    def go_on(self) -> None:
        """Emit again."""
        self._may_emit.set()

    def finish(self) -> None:
        """Emit no more; deliver all that was emitted, or tell it as a failure."""
        self._end()
        with suppress(NotDelivered):
            self._kafka.close(_DELIVERY_SECONDS)

    def _end(self) -> None:
        self._ends.set()
        self._may_emit.set()
        self._thread.join()

    def _note(self, failure: Failure) -> None:
        self.emitted.failed[failure.event_id] = failure.reason

    def _run(self) -> None:
        while not self._ends.wait(_PAUSE_SECONDS):
            self._may_emit.wait()
            with self._emitting:
                if self._may_emit.is_set():
                    self._try_to_emit()

    def _try_to_emit(self) -> None:
        try:
            self._emit()
        except ProducerError:  # nothing was sent, and the caller knows
            self.emitted.refused += 1

    def _emit(self) -> None:
        while len(self._living) < _LIVING_MATTERS:
            self._living.append(f"m-{self._dice.getrandbits(64):x}")
        chance = self._dice.random()
        if chance < _DELETIONS:
            matter = self._dice.choice(self._living)
            self.emitted.deletions[self._deletions.emit(matter_id=matter, wait_seconds=None)] = matter
            self._living.remove(matter)
            self._dead.append(matter)
            return
        late = self._dead and chance < _DELETIONS + _LATE_VIEWS
        user, matter = f"u-{self._dice.getrandbits(64):x}", self._dice.choice(self._dead if late else self._living)
        event_id = self._views.emit(
            user_id=user,
            user_name="Zoë",
            user_email="zoe@example.com",
            user_type="Member",
            matter_viewed_at=NOON,
            matter_id=matter,
            matter_name="Project Heron",
            matter_type="live",
        )
        self.emitted.views[event_id] = user, matter
