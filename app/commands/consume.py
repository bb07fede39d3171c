"""``matterlog consume``: reads the topics into the database until stopped."""

import logging
import os
import threading
from contextlib import ExitStack, closing
from dataclasses import replace
from typing import Annotated

import typer

from matterlog.app.commands.options import AcceptGaps, log_of, with_settings
from matterlog.app.owner.owned_store import eraser_of, lake_store, owned_store
from matterlog.app.owner.owner import answering
from matterlog.app.owner.question import Owner
from matterlog.app.service.tombstone_sending import tombstone_sender
from matterlog.app.settings import Settings
from matterlog.app.terminal.memory_shortage import check_address_limit
from matterlog.app.terminal.stop_signals import stop_event
from matterlog.consumers.database.batch import BatchResult
from matterlog.consumers.database.log_store import LogStore
from matterlog.consumers.database.store import Store
from matterlog.consumers.erasure.erase_schedule import EraseByDeadline
from matterlog.consumers.erasure.tombstones import TombstoneSender
from matterlog.consumers.errors import BrokerUnavailable, ReadingFailed
from matterlog.consumers.materialise import Materialiser
from matterlog.consumers.reading.prefetch import FETCH_SECONDS, settle_memory
from matterlog.consumers.recovery.backups import BackupByInterval
from matterlog.consumers.waits import WaitKeeper
from matterlog.schemas.storage.lake import Lake

logger = logging.getLogger(__name__)


@with_settings(
    *("max_dead_letters", "batch_records", "bootstrap_servers", "database"),
    *("lake_catalogue", "lake_data", "topic_prefix"),
)
def consume(
    settings: Settings,
    until_caught_up: Annotated[
        bool, typer.Option("--until-caught-up", help="Stop at the offsets where the topics end now.")
    ] = False,
    accept_gaps: AcceptGaps = False,
) -> None:
    """Read the topics into the database.

    Runs until stopped by Ctrl-C or SIGTERM. While it runs it owns the database, and the other commands read through it.
    After a crash, start it again: it continues from the Kafka positions in the database, and no row is lost or doubled.

    \b
    Example:
      matterlog consume --bootstrap-servers kafka:9092 --database /var/lib/matterlog/log.duckdb
    """
    stop = stop_event()
    os.umask(0o077)  # files beside the database hold personal data
    settle_memory()
    check_address_limit()
    applied = consume_until(settings, stop, until_caught_up=until_caught_up, accept_gaps=accept_gaps)
    typer.echo(summary(applied))


def consume_until(
    settings: Settings, stop: threading.Event, *, until_caught_up: bool, accept_gaps: bool
) -> BatchResult:
    """Consume into a database, which this process then owns, or a lake; raises as its parts do.

    A log that exists is served while Kafka is away. A new database is made when Kafka has answered.
    """
    place = log_of(settings)
    decode = settings.decode()
    kafka = WaitKeeper(views_alone=False)
    exists = isinstance(place, Lake) or place.database.exists()
    with ExitStack() as stack:
        source = stack.enter_context(closing(settings.kafka_source()))
        if not (exists or _await_kafka(settings, kafka, stop, ends=until_caught_up)):
            return BatchResult()
        if isinstance(place, Lake):
            store: LogStore = stack.enter_context(lake_store(place))
        else:
            store = stack.enter_context(owned_store(place, settings.kafka_source))
        materialiser = Materialiser(
            source=source,
            store=store,
            decode=decode,
            batch_records=settings.batch_records,
            max_dead_letters=settings.max_dead_letters,
            accept_gaps=accept_gaps,
            patience_seconds=settings.broker_timeout_seconds if until_caught_up else None,
        )
        sender: TombstoneSender | None = None
        erasure = stack.enter_context(EraseByDeadline(store, settings.deadline(), eraser_of(store)))
        owner = Owner(
            store,
            decode,
            lambda: None if sender is None else sender.trouble,
            erasure,
            reading=lambda: str(kafka.wait or materialiser.wait or "") or None,
        )
        if isinstance(store, Store):
            backups = stack.enter_context(BackupByInterval(store, settings.backup_interval(), settings.keep_backups))
            stack.enter_context(answering(replace(owner, read_at=lambda: backups.read_at)))
        logger.info("consuming into %s as process %d", place, os.getpid())
        if exists and not _await_kafka(settings, kafka, stop, ends=until_caught_up):
            return BatchResult()
        sender = stack.enter_context(tombstone_sender(settings, store, materialiser))
        if until_caught_up:
            return _catch_up(materialiser, sender, erasure, stop)
        return materialiser.run(stop)


def _catch_up(
    materialiser: Materialiser, sender: TombstoneSender, erasure: EraseByDeadline, stop: threading.Event
) -> BatchResult:
    """Consume until caught up, then erase what that purged, also where views cannot be read on."""
    try:
        applied = materialiser.run(stop, until_caught_up=True)
    except ReadingFailed:
        if materialiser.views.wait is not None:
            sender.finish()
            erasure.do_what_is_due()
        raise
    sender.finish()
    if sender.has_sent:
        # Only what was read tells a topic that is cut, so that it does not lose them in silence.
        applied += materialiser.run(stop, until_caught_up=True)
    erasure.do_what_is_due()
    return applied


def _await_kafka(settings: Settings, kafka: WaitKeeper, stop: threading.Event, *, ends: bool) -> bool:
    """Wait until Kafka answers, or raise if the command ends; say whether it answered before the stop."""
    while not stop.is_set():
        try:
            settings.await_kafka(stop.is_set)
        except BrokerUnavailable as error:
            if stop.is_set():
                return False
            if ends:
                raise
            kafka.begin(error)
        else:
            kafka.end()
            return True
        while not (kafka.may_end or stop.wait(FETCH_SECONDS)):
            pass
    return False


def summary(applied: BatchResult) -> str:
    """Describe what was applied, in counts that add up to the number of records."""
    return (
        f"{applied.records:,} records: {applied.views:,} views stored, {applied.duplicates:,} duplicates, "
        f"{applied.refused:,} refused because their matter is deleted, {applied.deletions:,} deletions, "
        f"{applied.tombstones:,} tombstones, {applied.dead_letters:,} dead letters. "
        f"{len(applied.matters_deleted):,} matters purged, with {applied.views_purged:,} stored views"
    )
