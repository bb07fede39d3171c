"""What must come of it, in a few lines: the records below the positions, and the rule.

The model is told what the client handed out, offset by offset, and where the database stands after every step. It does
not look at what the consumer did in between.
"""

from collections import defaultdict
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from matterlog.consumers.reading.records import TopicPartition
from tests.consumers.histories import Message, Outcome, expected
from tests.faults.simulator.broker import Broker


class BrokenPromise(Exception):
    """The database holds something else than the rule says."""


class Handed(NamedTuple):
    """What the client handed out of an offset, in which life of the partition. None: the news that nothing is there."""

    message: Message | None
    life: int


@dataclass(slots=True)
class Model:
    """The state that the database must have.

    Args:
        broker: knows what was lost of its partitions.
        handed: what the process was handed out.
        may_go_back: the operator has partitions read again.
    """

    broker: Broker
    handed: dict[TopicPartition, dict[int, Handed]] = field(default_factory=lambda: defaultdict(dict))
    may_go_back: bool = False
    positions: dict[TopicPartition, int] = field(default_factory=dict)
    seen: list[Message] = field(default_factory=list)
    missed: set[tuple[str, int, int]] = field(default_factory=set)
    outcome: Outcome = field(default_factory=lambda: expected([]))
    # What was read of each partition since its beginning: offsets and the life of the partition.
    _read: dict[TopicPartition, list[tuple[int, int]]] = field(default_factory=lambda: defaultdict(list))

    def advance(self, positions: Mapping[TopicPartition, int], missing: Collection[tuple[str, int, int]]) -> Outcome:
        """Follow the database to the positions where it stands; return what it must hold there."""
        for place in sorted({**self.positions, **positions}):
            self.seen += self._between(place, positions, missing)
        self.positions = dict(positions)
        if not set(missing) <= self.missed:
            raise BrokenPromise(f"records are called missing that were read: {sorted(set(missing) - self.missed)}")
        self.outcome = expected(self.seen)
        return self.outcome

    def _between(
        self, place: TopicPartition, positions: Mapping[TopicPartition, int], missing: Collection[tuple[str, int, int]]
    ) -> list[Message]:
        began, ends = self.positions.get(place, 0), positions.get(place, 0)
        if self.may_go_back and self.broker.begins(place) in {None, ends}:
            self._read[place].clear()
            self.missed |= {(*place, offset) for offset in range(began, ends) if (*place, offset) in missing}
            return []
        if place not in positions or ends < began:
            raise BrokenPromise(f"the position of {place} went back from {began} to {ends}")
        found: list[Message] = []
        for offset in range(began, ends):
            if (*place, offset) in missing and self.broker.has_expired(place, offset):
                self.missed.add((*place, offset))
            elif (handed := self.handed[place].get(offset)) is None:
                raise BrokenPromise(f"{place} @ {offset} was stepped over and never handed out")
            else:
                self._check_not_cut(place, offset, handed)
                found += [handed.message] if handed.message else []
        return found

    def _check_not_cut(self, place: TopicPartition, offset: int, handed: Handed) -> None:
        partition = None if self.broker.begins(place) is None else self.broker.partition(place)
        for read, life in self._read[place]:
            if partition is not None and partition.lost_since(read, life, handed.life):
                raise BrokenPromise(
                    f"{place} was read on at {offset}, though the topic had lost {read}, which was read"
                )
        if handed.message is not None:
            self._read[place].append((offset, handed.life))

    def in_doubt(self, place: TopicPartition) -> bool:
        """Say whether a partition lost something that was read, and was not read again since."""
        partition = self.broker.partition(place)
        handed = [(offset, each.life) for offset, each in self.handed[place].items() if each.message]
        return any(partition.lost_since(*each, partition.life) for each in (*self._read[place], *handed))

    def would_tell(self, place: TopicPartition, fork: int) -> bool:
        """Say whether the consumer can tell that a partition is cut from an offset on: by the last record that it read.

        Where nothing is lost that was read, there is nothing to tell.
        """
        if self.in_doubt(place):
            return False
        handed = self.handed[place]
        stands = (
            (self.positions.get(place, 0), [offset for offset, _ in self._read[place]]),
            (max(handed, default=-1) + 1, [offset for offset, each in handed.items() if each.message]),
        )
        messages = self.broker.partition(place).messages
        return all(
            fork >= next_offset or (max(read, default=-1) >= fork and max(read) in messages)
            for next_offset, read in stands
        )

    def everything_was_read(self) -> None:
        """Check that whatever the topics hold was read.

        Raises:
            BrokenPromise: something was not.
        """
        known = {message.record for message in self.seen}
        for place in self.broker.places():
            for message in self.broker.partition(place).messages.values():
                if message.record not in known:
                    raise BrokenPromise(f"{message.record.coordinates} was never read")


def brief(outcome: Outcome) -> tuple[Any, ...]:
    """Return what tells the rows of an outcome apart."""
    return (
        sorted((str(row[0]), row[-2], row[-1]) for row in outcome.views),
        sorted((row[0], str(row[1])) for row in outcome.deleted),
        sorted((*row[:3], str(row[-1])) for row in outcome.letters),
    )
