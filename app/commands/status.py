"""``matterlog status``: shows what the log holds and how far it is behind the topics."""

import json
from contextlib import closing
from dataclasses import asdict, replace
from datetime import datetime
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from matterlog.app.commands.options import log_of, with_settings
from matterlog.app.owner.access import open_log
from matterlog.app.owner.questions import StatusQuestion
from matterlog.app.settings import Settings
from matterlog.consumers.errors import ConsumerError
from matterlog.consumers.recovery.backups import last_backup_at
from matterlog.report.log.reader import LogStatus, PartitionStatus, with_ends
from matterlog.schemas.instants import as_text, is_ahead, utc_now
from matterlog.schemas.storage.lake import Lake


@with_settings("bootstrap_servers", "database", "topic_prefix")
def status(
    settings: Settings,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Show what the log holds, its Kafka positions and lag.

    The lag needs Kafka. If no broker is set or Kafka does not answer, the lag is left out and the reason is printed.

    \b
    Example:
      matterlog status --json --bootstrap-servers kafka:9092
    """
    with open_log(log_of(settings)) as log:
        found = log.ask(StatusQuestion())
    read_at = found.file_read_at or as_text(_last_backup_at(settings))
    found = replace(found, positions=_with_ends(settings, found.positions), file_read_at=read_at)
    if as_json:
        typer.echo(json.dumps(_as_json(settings, found), indent=2))
    else:
        _print(settings, found)


def _last_backup_at(settings: Settings) -> datetime | None:
    """Return when the newest backup was taken; None without one, as on a lake."""
    place = log_of(settings)
    return None if isinstance(place, Lake) else last_backup_at(place)


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
    console = Console()
    facts = Table(show_header=False, box=None)
    facts.add_row("log", str(log_of(settings)))
    facts.add_row("rows", f"{found.rows:,}")
    facts.add_row("matters", f"{found.matters:,}")
    facts.add_row("deleted matters", f"{found.deleted_matters:,}")
    facts.add_row("dead letters", f"{found.dead_letters:,}")
    facts.add_row("ranges of missing records", f"{found.gaps:,}")
    facts.add_row("partitions to read again", f"{found.cut_partitions:,}")
    facts.add_row("held only by the database", f"{found.database_only:,}")
    facts.add_row("restored or rebuilt", f"{found.recoveries:,} times")
    facts.add_row("newest view at", found.newest_view_at or "-")
    facts.add_row("tombstones to send", f"{found.tombstones:,}")
    facts.add_row("oldest tombstone from", found.oldest_tombstone_at or "-")
    facts.add_row("removals not yet erased", f"{found.removals:,}")
    facts.add_row("to be erased by", deadline(settings, found) or "-")
    facts.add_row("whole file read at", found.file_read_at or "-")
    console.print(facts)
    table = Table("topic", "partition", "position", "end", "lag")
    for position in found.positions:
        table.add_row(
            position.topic,
            str(position.partition),
            str(position.next_offset),
            "?" if position.end_offset is None else str(position.end_offset),
            "?" if position.lag is None else str(position.lag),
        )
    console.print(table)
    if found.reading_trouble:
        typer.echo(f"Trouble: {found.reading_trouble}", err=True)
    if found.tombstones_trouble:
        typer.echo(f"Trouble: {found.tombstones_trouble}", err=True)
    if found.erasure_trouble:
        typer.echo(f"Trouble: the database file was not rewritten: {found.erasure_trouble}", err=True)
