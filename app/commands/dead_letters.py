"""``matterlog dead-letters``: the messages that could not be read as events."""

import json
import os
from collections.abc import Iterator, Sequence
from typing import Annotated, Any

import typer
from rich.table import Column

from matterlog.app.commands.consume import summary
from matterlog.app.commands.options import log_of, with_settings
from matterlog.app.errors import WrongUse
from matterlog.app.owner.access import LogAccess, ask_owner, open_log
from matterlog.app.owner.questions import DeadLettersQuestion, DiscardQuestion, RetryQuestion
from matterlog.app.settings import Settings
from matterlog.app.terminal.tables import print_array, print_table
from matterlog.consumers.database.dead_letters import DeadLetterAddress, in_slices
from matterlog.consumers.errors import ConsumerError

app = typer.Typer(
    help="Show, retry or discard messages that could not be read.", no_args_is_help=True, rich_markup_mode=None
)

Addresses = Annotated[
    list[str] | None, typer.Argument(metavar="[PLACE]...", help="TOPIC:PARTITION:OFFSET, as list prints it.")
]
All = Annotated[bool, typer.Option("--all", help="All dead letters.")]


@app.command("list")
@with_settings("database")
def list_letters(
    settings: Settings,
    as_json: Annotated[bool, typer.Option("--json", help="Print a JSON array, with bytes in base64.")] = False,
) -> None:
    """List dead letters and why each could not be read.

    \b
    Example:
      matterlog dead-letters list
    """
    with open_log(log_of(settings)) as log:
        letters = log.ask(DeadLettersQuestion(whole=False))
        if as_json:
            print_array(_whole(log, letters))
            return
    rows = ([letter[name] for name in ("place", "kept_at", "error_kind", "error_detail")] for letter in letters)
    print_table((Column("place", no_wrap=True), "kept at", "kind", "reason"), rows)


@app.command("show")
@with_settings("database")
def show(
    settings: Settings, address: Annotated[str, typer.Argument(metavar="PLACE", help="TOPIC:PARTITION:OFFSET.")]
) -> None:
    """Print one dead letter as JSON, with its bytes in base64. It may hold personal data.

    \b
    Example:
      matterlog dead-letters show matter-views:3:5101
    """
    _check_addresses([address])
    with open_log(log_of(settings)) as log:
        for letter in log.ask(DeadLettersQuestion(places=(address,))):
            if letter["place"] == address:  # an older owner answers with all
                typer.echo(json.dumps(letter, indent=2))
                return
    raise WrongUse(f"there is no dead letter at {address}")


@app.command("retry")
@with_settings("database", "topic_prefix")
def retry(settings: Settings, addresses: Addresses = None, every: All = False) -> None:
    """Read dead letters again; keep those that fail again.

    \b
    Example:
      matterlog dead-letters retry --all
    """
    question = RetryQuestion(places=_chosen(addresses, every))
    typer.echo(summary(ask_owner(log_of(settings), question, settings.decode())))


@app.command("discard")
@with_settings("database", "topic_prefix")
def discard(settings: Settings, addresses: Addresses = None, every: All = False) -> None:
    """Remove dead letters for good.

    \b
    Example:
      matterlog dead-letters discard matter-views:3:5101
    """
    answer = ask_owner(log_of(settings), DiscardQuestion(places=_chosen(addresses, every)))
    typer.echo(f"{answer['discarded']:,} dead letters discarded")


def _whole(log: LogAccess, letters: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """Yield dead letters with their bytes; a slice of them is in memory. An older owner has told the bytes already."""
    if any("payload" in letter for letter in letters):
        yield from letters
        return
    sizes = ((DeadLetterAddress.parse(letter["place"]), letter["bytes"]) for letter in letters)
    for addresses in in_slices(sizes):
        yield from log.ask(DeadLettersQuestion(places=tuple(map(str, addresses))))


def _chosen(addresses: list[str] | None, every: bool) -> tuple[str, ...] | None:
    """Return the places of the dead letters to change; None for all."""
    os.umask(0o077)  # files beside the database hold personal data
    if every == bool(addresses):
        raise WrongUse("give the places of dead letters, or --all")
    _check_addresses(addresses or ())
    return tuple(addresses) if addresses else None


def _check_addresses(addresses: Sequence[str]) -> None:
    try:
        for address in addresses:
            DeadLetterAddress.parse(address)
    except ConsumerError as error:
        raise WrongUse(str(error)) from None
