"""What can go wrong between Kafka and the database, split by who must act.

MatterlogError
├── DatabaseInUse            (schemas) the operator: another process has the database
└── ConsumerError
    ├── DatabaseUnusable     the operator: the file cannot be opened, or is not ours
    │   ├── DatabaseOlder    nobody at first: its owner upgrades it after a backup
    │   └── DatabaseDamaged  nobody at first: a backup takes its place, or a new one that Kafka fills
    ├── BeingRecovered       nobody: the deletions are being read; then the log is served again
    ├── BackupUnusable       the operator: the backup is not whole, or there is none
    ├── WouldLose            the operator: the database alone holds something that would be lost with it
    ├── StoreFailed          nobody at first: the loop reopens the database and reads on from its positions
    ├── ErasureFailed        nobody at first: the old file stays, and the rewrite is tried again; then the operator
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
    """The consumer cannot go on."""


class DatabaseUnusable(ConsumerError):
    """The database file cannot be used."""


class DatabaseOlder(DatabaseUnusable):
    """The database is of an older schema version, which is ``version``."""

    def __init__(self, message: str, version: int) -> None:
        self.version = version
        super().__init__(message)


class DatabaseDamaged(DatabaseUnusable):
    """The database file is ours, and its bytes are not what was written."""


class BeingRecovered(ConsumerError):
    """The database was put together again, and is served once every deletion is applied to it."""


class BackupUnusable(ConsumerError):
    """The backup is not whole, or there is none."""


class WouldLose(ConsumerError):
    """The database alone holds something that would be lost with it."""


class StoreFailed(ConsumerError):
    """A transaction failed, and whether it was committed is not known: reopen, and read the positions."""


class ErasureFailed(ConsumerError):
    """The database file was not rewritten; the one there is stays as it was."""


class RecordsNotKept(ConsumerError):
    """A view turned out to be in conflict with a known one, and its record was not kept; nothing was applied."""


class PositionMoved(ConsumerError):
    """A batch does not begin where the database stands."""


class BrokerUnavailable(ConsumerError):
    """Kafka does not answer."""


class TopicMissing(ConsumerError):
    """A topic does not exist; ``matterlog topics create`` makes both."""


class PositionExpired(ConsumerError):
    """The stored position is no longer in the topic: records were deleted before they were read."""


class TopicRemade(ConsumerError):
    """The topic is not the one that was read before: it was deleted and made anew, or cut and filled again.

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
    """More of a batch than allowed cannot be understood."""
