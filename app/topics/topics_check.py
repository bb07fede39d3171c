"""Which settings of topics and brokers would let a purged record live on. Pure.

What a purge needs of Kafka: the topic of views is compacted, each file is closed and compacted within the deadline, by
the broker's clock, replaced files leave the disk, a tombstone that was acknowledged is not lost again, and every
deletion is kept for ever, since a rebuild from the topics must meet it.

Not asked for, because it changes none of this: ``min.cleanable.dirty.ratio`` and ``segment.ms``, which
``max.compaction.lag.ms`` overrules; ``delete.retention.ms``, how long tombstones stay, which hold no personal data; and
``retention.*`` of the topic of views, which only ever removes more.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from matterlog.schemas import Topics

# What the cleaner needs after a file is closed, and what clocks may differ.
_ROOM: Final = timedelta(hours=1)
_FOR_EVER: Final = "-1"


@dataclass(frozen=True, slots=True)
class Finding:
    """A setting that would let a purged record live on: where it stands, and what it does."""

    where: str
    setting: str
    value: str
    effect: str


@dataclass(frozen=True, slots=True, kw_only=True)
class KafkaSettings:
    """What the cluster says: each topic's settings, each broker's own by its number, and our right to write."""

    views: Mapping[str, str]
    deletions: Mapping[str, str]
    brokers: Mapping[int, Mapping[str, str]]
    may_write_views: bool


def findings(topics: Topics, found: KafkaSettings, deadline: timedelta) -> list[Finding]:
    """Return what would let a purged record live on longer than ``deadline`` after its deletion."""
    views = topics.matter_views.name
    listed = list(_of_views(views, found.views, deadline))
    if not found.may_write_views:
        listed.append(Finding(views, "ACL", "no WRITE", "tombstones are refused: nothing is erased from the topic"))
    listed += _of_deletions(topics.matter_deletions.name, found.deletions)
    for number, settings in sorted(found.brokers.items()):
        listed += _of_broker(f"broker {number}", settings)
    return listed


def _of_views(where: str, settings: Mapping[str, str], deadline: timedelta) -> Iterator[Finding]:
    if "compact" not in settings["cleanup.policy"].split(","):
        yield _finding(where, settings, "cleanup.policy", "without compact, tombstones erase nothing")
    for name, effect in (
        ("max.compaction.lag.ms", "a purged record may lie in the file that is written to for so long"),
        ("min.compaction.lag.ms", "a purged record may not be compacted for so long"),
        ("file.delete.delay.ms", "a file that compaction has replaced stays on the disk for so long"),
    ):
        if int(settings[name]) > (deadline - _ROOM) / timedelta(milliseconds=1):
            yield _finding(where, settings, name, effect)
    if settings["message.timestamp.type"] != "LogAppendTime":
        yield _finding(
            where, settings, "message.timestamp.type", "a record that a producer dates into the future holds files open"
        )
    if settings.get("remote.storage.enable") == "true":
        yield _finding(where, settings, "remote.storage.enable", "the cleaner does not reach files on remote storage")
    if settings["unclean.leader.election.enable"] == "true":
        yield _finding(
            where, settings, "unclean.leader.election.enable", "a tombstone that was acknowledged may be lost again"
        )


def _of_deletions(where: str, settings: Mapping[str, str]) -> Iterator[Finding]:
    effect = "deletions do not stay for ever: a rebuild from the topics would bring deleted matters back"
    if "delete" not in settings["cleanup.policy"].split(","):
        return
    for name in ("retention.ms", "retention.bytes"):
        if settings[name] != _FOR_EVER:
            yield _finding(where, settings, name, effect)


def _of_broker(where: str, settings: Mapping[str, str]) -> Iterator[Finding]:
    # Brokers before Kafka 5 have this switch.
    if settings.get("log.cleaner.enable") == "false":
        yield _finding(where, settings, "log.cleaner.enable", "nothing is ever compacted")
    if int(settings["log.cleaner.backoff.ms"]) > _ROOM / timedelta(milliseconds=1):
        yield _finding(where, settings, "log.cleaner.backoff.ms", "the cleaner looks for work too seldom")


def _finding(where: str, settings: Mapping[str, str], name: str, effect: str) -> Finding:
    return Finding(where, name, settings[name], effect)
