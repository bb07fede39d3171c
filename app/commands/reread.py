"""``matterlog reread``: partitions read again from their beginning, after their topic was cut and filled again."""

import os
from collections.abc import Sequence
from contextlib import closing
from typing import Annotated

import typer

from matterlog.app.commands.consume import consume_until, summary
from matterlog.app.commands.options import AcceptGaps, files_of, with_settings
from matterlog.app.owner.access import record_act
from matterlog.app.owner.owned_store import owned_store
from matterlog.app.settings import Settings
from matterlog.app.terminal.stop_signals import stop_event
from matterlog.consumers.reading.prefetch import settle_memory
from matterlog.consumers.reading.records import Gap
from matterlog.consumers.recovery.reread import DatabaseOnly, begin_reread, read_database_only, read_gaps
from matterlog.report.web.identity.audit_log import Act


@with_settings("bootstrap_servers", "database", "topic_prefix")
def reread(
    settings: Settings,
    every: Annotated[
        bool, typer.Option("--all", help="Read every partition again, also those that Kafka shows no cut of.")
    ] = False,
    accept_gaps: AcceptGaps = False,
) -> None:
    """Read topics that were cut again from their beginning.

    A topic was cut when its newest records are gone and others took their offsets. Each such partition is read until it
    has caught up.

    Stop consume and serve first. The database keeps all that it holds, and doubles are dropped. What the topics no
    longer have is recorded: restore and rebuild refuse to lose it. Dead letters that were discarded may come back.
    Records that expired before anybody read them do not: then nothing is done without --accept-gaps.

    \b
    Example:
      matterlog reread --bootstrap-servers kafka:9092
    """
    stop = stop_event()
    os.umask(0o077)  # what is written beside the database is personal data
    settle_memory()
    settings.await_kafka()
    with closing(settings.kafka_source()) as source, owned_store(files_of(settings), settings.kafka_source) as store:
        again = begin_reread(source, store, settings.topics(), every=every, accept_gaps=accept_gaps)
        unfinished = store.rereading()
        if again:
            record_act(files_of(settings), Act.TOPICS_REREAD)
    if not (again or unfinished):
        typer.echo("no topic was cut: nothing to read again (--all reads every partition again)")
        return
    typer.echo(summary(consume_until(settings, stop, until_caught_up=True, accept_gaps=accept_gaps)))
    with owned_store(files_of(settings), settings.kafka_source) as store, store.reader() as connection:
        typer.echo(_told(read_database_only(connection), read_gaps(connection)))


def _told(found: DatabaseOnly, gaps: Sequence[Gap]) -> str:
    if found.cut or found.rereading:
        return "stopped before the end was reached: start consume, serve or reread, which goes on with it"
    told = (
        f"read again. The database alone holds {found}, which the topics no longer have: restore and rebuild refuse to "
        "lose them. Dead letters that had been discarded may have come back: matterlog dead-letters list"
    )
    return f"{told}. {len(gaps):,} ranges of missing records: {'; '.join(map(str, gaps))}" if gaps else told
