"""``matterlog erase``: erases removed data from the database file."""

import os
from datetime import UTC, datetime
from typing import Annotated

import typer

from matterlog.app.commands.options import log_of, with_settings
from matterlog.app.commands.status import deadline
from matterlog.app.errors import DeadlineMissed, WrongUse
from matterlog.app.owner.access import ask_owner, open_log
from matterlog.app.owner.questions import EraseQuestion, StatusQuestion
from matterlog.app.settings import Settings


@with_settings("database")
def erase(
    settings: Settings,
    now: Annotated[bool, typer.Option("--now", help="Rewrite the database file, or the lake, now.")] = False,
    check: Annotated[bool, typer.Option("--check", help="Report what is to be erased; fail if overdue.")] = False,
) -> None:
    """Erase the bytes of removed data from the database file.

    The owner of the database does this by itself before the deadline (setting erase_within, 24 hours by default).
    Rewrites the file, which needs free space of twice its size. Reads and writes continue meanwhile. On a lake it
    rewrites the files that held removed rows, the catalogue and PostgreSQL's write-ahead log. Exit code 1: the rewrite
    failed or, with --check, a deadline is missed.

    \b
    Example:
      matterlog erase --now
    """
    if now == check:
        raise WrongUse("give either --now to rewrite the database file, or --check to see what is to be erased")
    os.umask(0o077)  # files beside the database hold personal data
    if now:
        typer.echo(ask_owner(log_of(settings), EraseQuestion()))
        return
    with open_log(log_of(settings)) as log:
        found = log.ask(StatusQuestion())
    where = "database file" if settings.lake_catalogue is None else "lake"
    erase_by = deadline(settings, found)
    if found.erasure_trouble:
        typer.echo(f"Trouble: the {where} was not rewritten: {found.erasure_trouble}", err=True)
    if erase_by is None:
        typer.echo(f"Nothing to erase: the {where} holds no removed data")
        return
    typer.echo(f"{found.removals:,} removals are still in the {where}, to be erased by {erase_by}")
    if datetime.fromisoformat(erase_by) < datetime.now(UTC):
        raise DeadlineMissed(f"removed data should have been erased from the {where} by {erase_by}")
