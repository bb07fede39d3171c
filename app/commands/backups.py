"""``matterlog backup``, ``restore`` and ``rebuild``: copies of the database, and putting it together again."""

import json
import os
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from matterlog.app.commands.consume import consume_until, summary
from matterlog.app.commands.options import BootstrapServers, Config, Database, TopicPrefix, files_of, settings_of
from matterlog.app.owner.access import ask_owner
from matterlog.app.owner.questions import BackupQuestion
from matterlog.app.terminal.stop_signals import stop_event
from matterlog.consumers.recovery.backups import find_backup, list_backups
from matterlog.consumers.recovery.recovery import put_together
from matterlog.consumers.recovery.reread import refuse_loss
from matterlog.schemas.storage.database_files import DatabaseFiles

AcceptLoss = Annotated[
    bool, typer.Option("--accept-loss", help="Lose what only the database holds, because a topic was cut.")
]


def backup(
    listing: Annotated[bool, typer.Option("--list", help="List the backups there are; take none.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="With --list: as a JSON array.")] = False,
    keep_backups: Annotated[int | None, typer.Option(help="How many are kept. [3]")] = None,
    keep_snapshots: Annotated[int | None, typer.Option(hidden=True)] = None,
    database: Database = None,
    config: Config = None,
) -> None:
    """Take a verified copy of the database, in the folder beside it, while it is used.

    The owner does so by itself (the settings backup_every and keep_backups). Erasing what was removed renews the
    backups: none holds a purged matter past the deadline.

    \b
    Example:
      matterlog backup
      matterlog backup --list
    """
    settings = settings_of(config, database=database, keep_backups=keep_backups, keep_snapshots=keep_snapshots)
    os.umask(0o077)  # a copy of personal data
    if listing:
        _list(files_of(settings), as_json=as_json)
    else:
        typer.echo(ask_owner(files_of(settings), BackupQuestion(kept=settings.keep_backups)))


def restore(
    name: Annotated[
        str | None, typer.Argument(metavar="[BACKUP]", help="Which; by default the newest that is whole.")
    ] = None,
    accept_loss: AcceptLoss = False,
    database: Database = None,
    config: Config = None,
) -> None:
    """Put a backup in the place of the database, which nobody may own meanwhile.

    Start consume or serve then: it reads every deletion before the log is served, and then the views that came since.
    The database that was there is moved aside, until the next erasure. Series of extracts begin anew.

    \b
    Example:
      matterlog restore
    """
    settings = settings_of(config, database=database)
    paths = files_of(settings)
    os.umask(0o077)
    with paths.owned():
        found = find_backup(paths, name)
        if not accept_loss:
            refuse_loss(paths, found)
        put_together(paths, found)
    typer.echo(f"restored from backup {found.name}; start matterlog consume or serve")


def rebuild(
    accept_loss: AcceptLoss = False,
    bootstrap_servers: BootstrapServers = None,
    database: Database = None,
    topic_prefix: TopicPrefix = None,
    config: Config = None,
) -> None:
    """Make the database anew from the topics: first every deletion, then the views, until it has caught up.

    Nobody may own the database meanwhile. The one that was there is moved aside, until the next erasure.

    \b
    Example:
      matterlog rebuild --bootstrap-servers kafka:9092
    """
    settings = settings_of(config, bootstrap_servers=bootstrap_servers, database=database, topic_prefix=topic_prefix)
    settings.broker()
    paths = files_of(settings)
    os.umask(0o077)
    stop = stop_event()
    with paths.owned():
        if not accept_loss:
            refuse_loss(paths, None)
        put_together(paths, None)
    typer.echo(summary(consume_until(settings, stop, until_caught_up=True, accept_gaps=False)))


def _list(paths: DatabaseFiles, *, as_json: bool) -> None:
    listed = list_backups(paths)
    if as_json:
        typer.echo(json.dumps([{"name": each.name} | each.description.model_dump(mode="json") for each in listed]))
        return
    table = Table("backup (UTC)", "last transaction", "bytes")
    for each in listed:
        about = each.description
        table.add_row(each.name, f"{about.last_arrival:,}", f"{about.bytes:,}")
    Console().print(table)
