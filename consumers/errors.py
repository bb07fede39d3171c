"""Errors between Kafka and the database, grouped by who must act.

MatterlogError
├── DatabaseInUse            (schemas) the operator: another process has the database
├── UnsafeFile               (schemas) the operator: a link leads from or to a file of the database
└── ConsumerError
    ├── DatabaseUnusable     the operator: the file cannot be opened, or is not ours
    │   ├── DatabaseOlder    nobody at first: its owner upgrades it after a backup
    │   ├── DatabaseReplaced the operator: the file was removed, or replaced, while it was open
    │   └── DatabaseDamaged  nobody at first: a backup takes its place, or a new one that Kafka fills
    │       └── DamagedAgain the operator: look after the disk
    ├── BeingRecovered       nobody: the deletions are being read; then the log is served again
    ├── BackupUnusable       the operator: the backup is not whole, or there is none
    ├── WouldLose            the operator: the database alone holds something that would be lost with it
    ├── StoreFailed          nobody at first: the loop reopens the database and reads on from its positions
    │   ├── BlockDamaged     nobody at first: the whole file is read, and what is damaged is recovered
    │   └── StoreUnavailable nobody at first: a lake's catalogue or storage is away; the loop waits until it is back
    ├── ErasureFailed        nobody at first: the old file stays, and the rewrite is tried again; then the operator
    ├── RoleUnusable         the operator: a role of PostgreSQL does not exist, or cannot get its rights
    ├── RecordsNotKept       nobody: the loop reads on from the database's positions, keeping the records
    ├── PositionMoved        the operator: another consumer reads into the same lake; nothing was applied
    └── ReadingFailed        a topic is not read on; about views alone, deletions are read all the same
        ├── BrokerUnavailable        the operator: Kafka does not answer
        │   └── RegistryUnavailable  the operator: the schema registry does not answer, or refuses
        ├── RightMissing             the operator: the Kafka user lacks a right, which the text names
        ├── TopicMissing             the operator: make the topics first
        └── DecisionNeeded           a person: time does not cure it
            ├── PositionExpired      the operator: records are gone from the topic that were never read
            ├── TopicRemade          the operator: another topic stands under the old name, or it was cut
            └── TooManyDeadLetters   whoever deployed: most of a batch cannot be understood; it was not applied
"""

from collections.abc import Callable, Sequence

from matterlog.schemas import MatterlogError
from matterlog.schemas.kafka_rights import missing_right


class ConsumerError(MatterlogError):
    """An error that stops the consumer or the operation it was doing."""


class DatabaseUnusable(ConsumerError):
    """A database file that cannot be used."""


class DatabaseOlder(DatabaseUnusable):
    """A database with an older schema version, given as ``version``."""

    def __init__(self, message: str, version: int) -> None:
        self.version = version
        super().__init__(message)


class DatabaseDamaged(DatabaseUnusable):
    """A matterlog database whose bytes are not the ones that were written."""


class DamagedAgain(DatabaseDamaged):
    """A database that is damaged a second time, while the first damaged file still stands beside it."""


class DatabaseReplaced(DatabaseUnusable):
    """The database file is not the one that was opened."""


class BeingRecovered(ConsumerError):
    """A restored or rebuilt database that is not served until every deletion is applied to it."""


class BackupUnusable(ConsumerError):
    """A backup that is incomplete, changed or missing."""


class WouldLose(ConsumerError):
    """The database alone holds something that would be lost with it."""


class StoreFailed(ConsumerError):
    """A failed transaction that may have been committed: reopen the database and read the positions."""


class BlockDamaged(StoreFailed):
    """A block of the database whose bytes are not the ones that were written, met while the database is used."""


class StoreUnavailable(StoreFailed):
    """A lake whose catalogue or storage does not answer, or refuses: the same transaction may succeed later."""


class ErasureFailed(ConsumerError):
    """A rewrite of the database file that failed. The old file is unchanged."""


class RoleUnusable(ConsumerError):
    """A role of PostgreSQL that does not exist, or that cannot be given its rights."""


class RecordsNotKept(ConsumerError):
    """A conflict between a view and a stored one, found after its record was dropped. Nothing was applied."""


class PositionMoved(ConsumerError):
    """A batch that does not begin at the position in the database."""


class ReadingFailed(ConsumerError):
    """A topic that cannot be read on, given as ``topic``. None: both topics, or it is not known which."""

    def __init__(self, message: str, topic: str | None = None) -> None:
        self.topic = topic
        super().__init__(message)


class BrokerUnavailable(ReadingFailed):
    """Kafka does not answer, or refuses."""


class RegistryUnavailable(BrokerUnavailable):
    """The schema registry does not answer, or refuses, which makes no message bad.

    Args:
        message: for people.
        topic: the topic of a message that needs the registry.
        ask_again: asks the registry for that message's schema once more, and raises this error again.
    """

    def __init__(self, message: str, topic: str, ask_again: Callable[[], object]) -> None:
        self.ask_again = ask_again
        super().__init__(message, topic)


class RightMissing(ReadingFailed):
    """The Kafka user lacks ``right`` on ``resource``."""

    def __init__(self, right: str, resource: str) -> None:
        self.right = right
        self.resource = resource
        kind, _, name = resource.partition(" ")
        super().__init__(missing_right(right, resource), name if kind == "topic" else None)


class TopicMissing(ReadingFailed):
    """A topic that does not exist. ``matterlog topics create`` creates both."""


class DecisionNeeded(ReadingFailed):
    """A topic that is not read on until a person decides."""


class PositionExpired(DecisionNeeded):
    """A stored position that is no longer in the topic: records were deleted before they were read."""


class TopicRemade(DecisionNeeded):
    """The topic is not the one that was read before: it was deleted and created again, or cut and filled again.

    Args:
        message: for people.
        topic: its name.
        doubtful: the partitions of which it is not certain that what was read of them is still there.
        cut: whether a topic was cut, which Kafka may not show a second time.
    """

    def __init__(
        self, message: str, topic: str, doubtful: Sequence[tuple[str, int]] = (), *, cut: bool = False
    ) -> None:
        self.doubtful = tuple(doubtful)
        self.cut = cut
        super().__init__(message, topic)


class TooManyDeadLetters(DecisionNeeded):
    """A batch with a larger share of unreadable records of one topic than allowed."""
