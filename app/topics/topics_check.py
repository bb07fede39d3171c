"""The check for settings of topics and brokers that would keep purged records. Pure functions.

A purge needs the following of Kafka. The topic of views is compacted. Each file is closed and compacted within the
deadline, by the broker's clock. Replaced files leave the disk. An acknowledged tombstone is not lost. Every deletion is
kept for ever, because a rebuild from the topics must read it.

Not checked, because they do not matter here: ``min.cleanable.dirty.ratio`` and ``segment.ms``, which
``max.compaction.lag.ms`` overrides; ``delete.retention.ms``, the lifetime of tombstones, which hold no personal data;
``retention.*`` of the topic of views, which only removes more.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from matterlog.schemas import Topics

# Time that the cleaner needs after a file is closed, and the difference between clocks.
_ROOM: Final = timedelta(hours=1)
_FOR_EVER: Final = "-1"


@dataclass(frozen=True, slots=True)
class Finding:
    """A setting that would keep a purged record: its place and its effect."""

    where: str
    setting: str
    value: str
    effect: str


@dataclass(frozen=True, slots=True, kw_only=True)
class KafkaSettings:
    """The cluster's answers: settings by topic, settings by broker number, and whether we may write views.

    None: it could not be asked. ``not_asked`` says why, for people.
    """

    views: Mapping[str, str] | None
    deletions: Mapping[str, str] | None
    brokers: Mapping[int, Mapping[str, str]] | None
    may_write_views: bool | None
    not_asked: tuple[str, ...] = ()


def findings(topics: Topics, found: KafkaSettings, deadline: timedelta) -> list[Finding]:
    """Return the settings that would keep a purged record longer than ``deadline`` after its deletion."""
    views, deletions = (topic.name for topic in topics.both)
    listed = [] if found.views is None else _listed(views, found.views, _of_views(found.views, deadline))
    if found.may_write_views is False:
        listed.append(Finding(views, "ACL", "no WRITE", "tombstones are refused, so nothing is erased from the topic"))
    if found.deletions is not None:
        listed += _listed(deletions, found.deletions, _of_deletions(found.deletions))
    for number, settings in sorted((found.brokers or {}).items()):
        listed += _listed(f"broker {number}", settings, _of_broker(settings))
    return listed


def _listed(where: str, settings: Mapping[str, str], effects: Iterator[tuple[str, str]]) -> list[Finding]:
    return [Finding(where, name, settings[name], effect) for name, effect in effects]


def _of_views(settings: Mapping[str, str], deadline: timedelta) -> Iterator[tuple[str, str]]:
    if "compact" not in settings["cleanup.policy"].split(","):
        yield "cleanup.policy", "without compact, tombstones erase nothing"
    for name, effect in (
        ("max.compaction.lag.ms", "a purged record may stay in the file being written for this long"),
        ("min.compaction.lag.ms", "a purged record may stay uncompacted for this long"),
        ("file.delete.delay.ms", "a file replaced by compaction stays on the disk for this long"),
    ):
        if int(settings[name]) > (deadline - _ROOM) / timedelta(milliseconds=1):
            yield name, effect
    if settings["message.timestamp.type"] != "LogAppendTime":
        yield "message.timestamp.type", "a record that a producer dates in the future keeps files open"
    if settings.get("remote.storage.enable") == "true":
        yield "remote.storage.enable", "compaction does not reach files on remote storage"
    if settings["unclean.leader.election.enable"] == "true":
        yield "unclean.leader.election.enable", "an acknowledged tombstone may be lost"


def _of_deletions(settings: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    if "delete" not in settings["cleanup.policy"].split(","):
        return
    for name in ("retention.ms", "retention.bytes"):
        if settings[name] != _FOR_EVER:
            yield name, "deletions are not kept for ever, so a rebuild from the topics would bring deleted matters back"


def _of_broker(settings: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    # Brokers before Kafka 5 have this switch.
    if settings.get("log.cleaner.enable") == "false":
        yield "log.cleaner.enable", "nothing is ever compacted"
    if int(settings["log.cleaner.backoff.ms"]) > _ROOM / timedelta(milliseconds=1):
        yield "log.cleaner.backoff.ms", "the cleaner runs too seldom"
