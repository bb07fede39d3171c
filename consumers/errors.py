"""Errors between Kafka and the database, grouped by who must act.

MatterlogError
├── DatabaseInUse            (schemas) the operator: another process has the database
└── ConsumerError
    ├── DatabaseUnusable     the operator: the file cannot be opened, or is not a matterlog database
    │   ├── DatabaseOlder    nobody at first: the owner backs the file up and upgrades it
    │   └── DatabaseDamaged  nobody at first: the owner restores a backup, or rebuilds the log from Kafka
    ├── BeingRecovered       nobody: the log is served again once all deletions are applied
    ├── BackupUnusable       the operator: the backup is incomplete, changed or missing
    ├── StoreFailed          nobody at first: the loop reopens the database and continues from its positions
    ├── ErasureFailed        nobody at first: the old file stays and the rewrite is retried. Then the operator
    ├── RecordsNotKept       nobody: the loop reads the batch again and keeps its records
    ├── PositionMoved        us, a bug: a batch does not begin at the stored position. Nothing was applied
    ├── BrokerUnavailable    the operator: Kafka or the schema registry does not answer
    ├── TopicMissing         the operator: create the topics first
    ├── PositionExpired      the operator: the topic lost records before they were read
    ├── TopicRemade          the operator: a different topic now has the old name
    └── TooManyDeadLetters   whoever deployed the producer: most records of a batch are unreadable. None was applied
"""

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


class BeingRecovered(ConsumerError):
    """A restored or rebuilt database that is not served until every deletion is applied to it."""


class BackupUnusable(ConsumerError):
    """A backup that is incomplete, changed or missing."""


class StoreFailed(ConsumerError):
    """A failed transaction that may have been committed: reopen the database and read the positions."""


class ErasureFailed(ConsumerError):
    """A rewrite of the database file that failed. The old file is unchanged."""


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
    """A topic that is not the one read before: it was deleted and created again."""


class TooManyDeadLetters(ConsumerError):
    """A batch with a larger share of unreadable records than allowed."""
