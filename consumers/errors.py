"""Errors between Kafka and the database, grouped by who must act.

MatterlogError
├── DatabaseInUse            (schemas) the operator: another process has the database
├── UnsafeFile               (schemas) the operator: a link leads from or to a file of the database
└── ConsumerError
    ├── DatabaseUnusable     the operator: the file cannot be opened, or is not ours
    │   ├── DatabaseOlder    nobody at first: its owner upgrades it after a backup
    │   ├── DatabaseReplaced the operator: the file was removed, or replaced, while it was open
    │   └── DatabaseDamaged  nobody at first: a backup takes its place, or a new one that Kafka fills
    ├── BeingRecovered       nobody: the deletions are being read; then the log is served again
    ├── BackupUnusable       the operator: the backup is not whole, or there is none
    ├── WouldLose            the operator: the database alone holds something that would be lost with it
    ├── StoreFailed          nobody at first: the loop reopens the database and reads on from its positions
    ├── ErasureFailed        nobody at first: the old file stays, and the rewrite is tried again; then the operator
    ├── RoleUnusable         the operator: a role of PostgreSQL does not exist, or cannot get its rights
    ├── RecordsNotKept       nobody: the loop reads on from the database's positions, keeping the records
    ├── PositionMoved        ours: a batch does not begin where the database stands; nothing was applied
    ├── BrokerUnavailable    the operator: Kafka or the schema registry does not answer
    ├── TopicMissing         the operator: make the topics first
    ├── PositionExpired      the operator: records are gone from the topic that were never read
    ├── TopicRemade          the operator: another topic stands under the old name, or it was cut and filled again
    └── TooManyDeadLetters   whoever deployed: most of a batch cannot be understood; nothing of it was applied
"""

from collections.abc import Sequence

from matterlog.schemas import MatterlogError


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


class ErasureFailed(ConsumerError):
    """A rewrite of the database file that failed. The old file is unchanged."""


class RoleUnusable(ConsumerError):
    """A role of PostgreSQL that does not exist, or that cannot be given its rights."""


class RecordsNotKept(ConsumerError):
    """A conflict between a view and a stored one, found after its record was dropped. Nothing was applied."""


class PositionMoved(ConsumerError):
    """A batch that does not begin at the position in the database."""


class BrokerUnavailable(ConsumerError):
    """Kafka or the schema registry does not answer."""


class TopicMissing(ConsumerError):
    """A topic that does not exist. ``matterlog topics create`` creates both."""


class PositionExpired(ConsumerError):
    """A stored position that is no longer in the topic: records were deleted before they were read."""


class TopicRemade(ConsumerError):
    """The topic is not the one that was read before: it was deleted and created again, or cut and filled again.

    Args:
        message: for people.
        doubtful: the partitions of which it is not certain that what was read of them is still there.
        cut: whether a topic was cut, which Kafka may not show a second time.
    """

    def __init__(self, message: str, doubtful: Sequence[tuple[str, int]] = (), *, cut: bool = False) -> None:
        self.doubtful = tuple(doubtful)
        self.cut = cut
        super().__init__(message)


class TooManyDeadLetters(ConsumerError):
    """A batch with a larger share of unreadable records than allowed."""
