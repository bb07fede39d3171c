"""``matterlog status``: shows what the log holds and how far it is behind the topics."""

import json
from contextlib import closing
from dataclasses import asdict, replace
from datetime import datetime
from typing import Annotated, Any

import typer

from matterlog.app.commands.options import log_of, with_settings
from matterlog.app.owner.access import open_log
from matterlog.app.owner.questions import StatusQuestion
from matterlog.app.settings import Settings
from matterlog.app.terminal.tables import print_facts, print_table
from matterlog.consumers.errors import ConsumerError
from matterlog.consumers.recovery.backups import last_backup_at
from matterlog.report.log.reader import LogStatus, PartitionStatus, with_ends
from matterlog.schemas.instants import as_text, is_ahead, utc_now
from matterlog.schemas.storage.lake import Lake


@with_settings("bootstrap_servers", "database", "topic_prefix")
def status(
    settings: Settings, as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False
) -> None:
    """Show what the log holds, its Kafka positions and lag.

    The lag needs Kafka. If no broker is set or Kafka does not answer, the lag is left out and the reason is printed.

    \b
    Example:
      matterlog status --json --bootstrap-servers kafka:9092
    """
    with open_log(log_of(settings)) as log:
        found = log.ask(StatusQuestion())
    place = log_of(settings)
    backed_up_at = None if isinstance(place, Lake) else last_backup_at(place)
    read_at = found.file_read_at or as_text(backed_up_at)
    found = replace(found, positions=_with_ends(settings, found.positions), file_read_at=read_at)
    if as_json:
        typer.echo(json.dumps(_as_json(settings, found), indent=2))
    else:
        _print(settings, found)


def _with_ends(settings: Settings, positions: tuple[PartitionStatus, ...]) -> tuple[PartitionStatus, ...]:
    """Add the end of each partition, and the partitions that have not been read yet."""
    if not settings.bootstrap_servers:
        typer.echo("The lag is unknown: no broker is set. Give --bootstrap-servers.", err=True)
        return positions
    try:
        settings.await_kafka()
        with closing(settings.kafka_source()) as source:
            return with_ends(positions, source.ends())
    except ConsumerError as error:
        typer.echo(f"The lag is unknown: {error}", err=True)
        return positions


def _as_json(settings: Settings, found: LogStatus) -> dict[str, Any]:
    positions = [asdict(position) | {"lag": position.lag} for position in found.positions]
    erase_by = {"erase_by": deadline(settings, found)}
    database = str(settings.database) if settings.lake_catalogue is None else None
    return {"database": database, "lake": settings.lake_catalogue} | asdict(found) | {"positions": positions} | erase_by


def deadline(settings: Settings, found: LogStatus) -> str | None:
    """Return by when the database file is to be rewritten, as the report writes instants; None if nothing waits.

    That is now where the removal's instant lies ahead, as a clock that was wrong has written it.
    """
    if found.oldest_removal_at is None:
        return None
    removed_at, now = datetime.fromisoformat(found.oldest_removal_at), utc_now()
    due_at = now if is_ahead(removed_at, now) else removed_at + settings.deadline()
    return as_text(due_at)


def _print(settings: Settings, found: LogStatus) -> None:
    print_facts(
        {
            "log": str(log_of(settings)),
            "rows": f"{found.rows:,}",
            "matters": f"{found.matters:,}",
            "deleted matters": f"{found.deleted_matters:,}",
            "dead letters": f"{found.dead_letters:,}",
            "ranges of missing records": f"{found.gaps:,}",
            "partitions to read again": f"{found.cut_partitions:,}",
            "held only by the database": f"{found.database_only:,}",
            "restored or rebuilt": f"{found.recoveries:,} times",
            "newest view at": found.newest_view_at or "-",
            "tombstones to send": f"{found.tombstones:,}",
            "oldest tombstone from": found.oldest_tombstone_at or "-",
            "removals not yet erased": f"{found.removals:,}",
            "to be erased by": deadline(settings, found) or "-",
            "whole file read at": found.file_read_at or "-",
        }
    )
    rows = ((at.topic, at.partition, at.next_offset, at.end_offset, at.lag) for at in found.positions)
    written = (["?" if value is None else str(value) for value in row] for row in rows)
    print_table(("topic", "partition", "position", "end", "lag"), written)
    erasure = found.erasure_trouble and f"the database file was not rewritten: {found.erasure_trouble}"
    for trouble in filter(None, (found.reading_trouble, found.tombstones_trouble, erasure)):
        typer.echo(f"Trouble: {trouble}", err=True)
