"""``matterlog erase``: the database file without the bytes of what was removed."""

import os
from datetime import UTC, datetime
from typing import Annotated

import typer

from matterlog.app.commands.options import Config, Database, files_of, settings_of
from matterlog.app.commands.status import deadline
from matterlog.app.errors import DeadlineMissed, WrongUse
from matterlog.app.owner.access import ask_owner, open_log
from matterlog.app.owner.questions import EraseQuestion, StatusQuestion


def erase(
    now: Annotated[bool, typer.Option("--now", help="Rewrite the database file now, whatever waits.")] = False,
    check: Annotated[bool, typer.Option("--check", help="Say what waits, and fail if a deadline is missed.")] = False,
    database: Database = None,
    config: Config = None,
) -> None:
    """Rewrite the database file, so that what was removed leaves its bytes too.

    The owner of the database does this by itself before the deadline (the setting erase_within, 24 hours). Reading and
    writing go on meanwhile; it takes free space of twice the file's size. Exit code 1: it failed, or with --check, a
    deadline is missed.

    \b
    Example:
      matterlog erase --now
    """
    if now == check:
        raise WrongUse("give --now to rewrite the database file, or --check to see what waits for it")
    os.umask(0o077)  # what is written beside the database is personal data
    settings = settings_of(config, database=database)
    if now:
        typer.echo(ask_owner(files_of(settings), EraseQuestion()))
        return
    with open_log(files_of(settings)) as log:
        found = log.ask(StatusQuestion())
    erase_by = deadline(settings, found)
    if found.erasure_trouble:
        typer.echo(f"Trouble: the file was not rewritten, {found.erasure_trouble}", err=True)
    if erase_by is None:
        typer.echo("nothing waits: the database file holds nothing that was removed")
        return
    typer.echo(f"{found.removals:,} removals are still in the database file, to be erased by {erase_by}")
    if datetime.fromisoformat(erase_by) < datetime.now(UTC):
        raise DeadlineMissed(f"what was removed should have been erased from the database file by {erase_by}")
