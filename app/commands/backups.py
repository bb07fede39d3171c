"""``matterlog backup``, ``restore`` and ``rebuild``: backups of the database, and its recovery."""

import json
import os
from typing import Annotated

import typer

from matterlog.app.commands.consume import consume_until, summary
from matterlog.app.commands.options import files_of, with_settings
from matterlog.app.owner.access import ask_owner, record_act
from matterlog.app.owner.owned_store import asking
from matterlog.app.owner.questions import BackupQuestion
from matterlog.app.settings import Settings
from matterlog.app.terminal.stop_signals import stop_event
from matterlog.app.terminal.tables import print_table
from matterlog.consumers.recovery.backups import Backup, find_backup, list_backups
from matterlog.consumers.recovery.coverage import refuse_loss
from matterlog.consumers.recovery.recovery import put_together
from matterlog.report.web.identity.audit_log import Act
from matterlog.schemas.storage.database_files import DatabaseFiles

AcceptLoss = Annotated[
    bool, typer.Option("--accept-loss", help="Lose what only the database holds, and no topic or backup any more.")
]


@with_settings("keep_backups", "keep_snapshots", "database")
def backup(
    settings: Settings,
    listing: Annotated[bool, typer.Option("--list", help="List the backups and take none.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="With --list: print a JSON array.")] = False,
) -> None:
    """Take a verified backup of the database, or list backups.

    Writes to the folder beside the database, which may be in use. The owner also takes backups by itself (settings
    backup_every and keep_backups). Erasures renew all backups, so none holds a purged matter past the deadline.

    \b
    Example:
      matterlog backup
      matterlog backup --list
    """
    os.umask(0o077)  # a backup holds personal data
    if listing:
        _list(files_of(settings), as_json=as_json)
    else:
        typer.echo(ask_owner(files_of(settings), BackupQuestion(kept=settings.keep_backups)))


@with_settings("bootstrap_servers", "database", "topic_prefix")
def restore(
    settings: Settings,
    name: Annotated[
        str | None, typer.Argument(metavar="[BACKUP]", help="The backup; by default the newest undamaged one.")
    ] = None,
    accept_loss: AcceptLoss = False,
) -> None:
    """Replace the database with a backup.

    Stop consume and serve first. Start one of them afterwards: it reads all deletions before it serves the log, then
    the views since the backup. The replaced database is kept aside until the next erasure. Series start again.

    The broker is asked whether the topics still have what came since the backup. If not, nothing is replaced.

    \b
    Example:
      matterlog restore
    """
    paths = files_of(settings)
    os.umask(0o077)
    with paths.owned():
        found = find_backup(paths, name)
        _replace(settings, paths, found, accept_loss=accept_loss)
        record_act(paths, Act.DATABASE_RESTORED)
    typer.echo(f"Restored from backup {found.name}. Now start matterlog consume or serve")


@with_settings("bootstrap_servers", "database", "topic_prefix")
def rebuild(settings: Settings, accept_loss: AcceptLoss = False) -> None:
    """Rebuild the database from the topics.

    Stop consume and serve first. Reads all deletions, then all views. The old database is kept until the next erasure.

    \b
    Example:
      matterlog rebuild --bootstrap-servers kafka:9092
    """
    settings.await_kafka()
    paths = files_of(settings)
    os.umask(0o077)
    stop = stop_event()
    with paths.owned():
        _replace(settings, paths, None, accept_loss=accept_loss)
        record_act(paths, Act.DATABASE_REBUILT)
    typer.echo(summary(consume_until(settings, stop, until_caught_up=True, accept_gaps=False)))


def _replace(settings: Settings, paths: DatabaseFiles, backup: Backup | None, *, accept_loss: bool) -> None:
    """Put a backup, or an empty database, in the place of a database, unless that would lose something."""
    if not accept_loss:
        with asking(settings.kafka_source if settings.bootstrap_servers else None) as source:
            refuse_loss(paths, backup, source)
    put_together(paths, backup)


def _list(paths: DatabaseFiles, *, as_json: bool) -> None:
    listed = list_backups(paths)
    if as_json:
        typer.echo(json.dumps([{"name": each.name} | each.description.model_dump(mode="json") for each in listed]))
        return
    rows = ((each.name, f"{each.description.last_arrival:,}", f"{each.description.bytes:,}") for each in listed)
    print_table(("backup (UTC)", "last transaction", "bytes"), rows)
