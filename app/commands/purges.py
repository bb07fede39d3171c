"""``matterlog purges``: the receipts of deletions, and what a deletion would remove."""

import json
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated, Any, Final

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from matterlog.app.commands.options import Config, Database, log_of, settings_of
from matterlog.app.errors import WrongUse
from matterlog.app.owner.access import LogAccess, open_log
from matterlog.app.owner.questions import MAX_RECEIPTS, ReceiptsPageQuestion, ReceiptsQuestion, RehearsalQuestion
from matterlog.app.terminal.json_output import print_array
from matterlog.report.purges.receipts import REACH_OF_A_FILE, REACH_OF_A_LAKE, RecalledExtract, Receipt
from matterlog.report.purges.rehearsal import Rehearsal

app = typer.Typer(help="Show receipts of deletions or rehearse one.", no_args_is_help=True, rich_markup_mode=None)

EraseWithin = Annotated[
    str | None, typer.Option(metavar="TIME", help="By when a deletion has reached every place, such as 24h. [24h]")
]
# How many receipts are listed, and how many are in memory while all are printed as JSON.
_LISTED: Final = 100
_IN_MEMORY: Final = 5_000
# Of a file that was being written when the matter was deleted.
_UNKNOWN_HASH: Final = "in the register of extracts"


@app.callback()
def purges() -> None:
    """Show receipts of deletions or rehearse one."""


@app.command("list")
def list_receipts(
    as_json: Annotated[bool, typer.Option("--json", help="Print complete receipts as a JSON array.")] = False,
    overdue: Annotated[
        bool, typer.Option("--overdue", help="Only overdue deletions; exit code 1 if there are any.")
    ] = False,
    limit: Annotated[
        int | None,
        typer.Option(min=1, max=MAX_RECEIPTS, help="Most deletions to list, the newest first. [100; all with --json]"),
    ] = None,
    before: Annotated[
        str | None, typer.Option(metavar="MATTER_ID", help="Go on behind this one, the last that was listed.")
    ] = None,
    erase_within: EraseWithin = None,
    database: Database = None,
    config: Config = None,
) -> None:
    """List deletions, what each removed and its open stages.

    \b
    Example:
      matterlog purges list --overdue
    """
    settings = settings_of(config, database=database, erase_within=erase_within)
    within, now = settings.deadline(), datetime.now(UTC)
    most = limit or (_IN_MEMORY if as_json else _LISTED)
    question = ReceiptsPageQuestion(overdue_within=within if overdue else None, before=before, limit=most + 1)
    with open_log(log_of(settings)) as log:
        page = log.ask(question)
        shown = page.receipts[:most]
        if as_json:
            printed = shown if limit else _all(log, question, page.receipts)
            print_array(_as_json(receipt, within, now) for receipt in printed)
        else:
            _print_list(shown, within, now)
            goes_on = f". Go on with: --before {shown[-1].matter_id}" if len(page.receipts) > most else ""
            typer.echo(f"{len(shown):,} of {page.total:,} deletions{' that are overdue' * overdue}{goes_on}")
    if overdue and page.total:
        raise typer.Exit(1)


@app.command("show")
def show(
    matter: Annotated[str, typer.Argument(metavar="MATTER_ID", help="The deleted matter.")],
    as_json: Annotated[bool, typer.Option("--json", help="As one JSON object.")] = False,
    erase_within: EraseWithin = None,
    database: Database = None,
    config: Config = None,
) -> None:
    """Print the receipt of one deletion.

    Shows where the deletion came from, what it removed, when each stage was done, and what it does not cover.

    \b
    Example:
      matterlog purges show m-1042
    """
    found, within = _receipts(matter, erase_within, database, config)
    if not found:
        raise WrongUse(f"no deletion of matter {matter} has arrived yet")
    now = datetime.now(UTC)
    if as_json:
        typer.echo(json.dumps(_as_json(found[0], within, now), indent=2))
    else:
        _print_one(found[0], within, now)


@app.command("rehearse")
def rehearse(
    matter: Annotated[str, typer.Argument(metavar="MATTER_ID", help="The matter that may be deleted.")],
    as_json: Annotated[bool, typer.Option("--json", help="As one JSON object.")] = False,
    database: Database = None,
    config: Config = None,
) -> None:
    """Show what a deletion would remove. Lists the extracts that hold the matter too. Changes nothing.

    \b
    Example:
      matterlog purges rehearse m-1042
    """
    settings = settings_of(config, database=database)
    with open_log(log_of(settings)) as log:
        found = log.ask(RehearsalQuestion(matter=matter))
    if as_json:
        typer.echo(found.model_dump_json(indent=2))
    else:
        _print_rehearsal(found)


def _all(log: LogAccess, question: ReceiptsPageQuestion, receipts: Sequence[Receipt]) -> Iterator[Receipt]:
    """Yield the receipts of a first page, and of all pages behind it."""
    while receipts:
        yield from receipts
        receipts = log.ask(question.model_copy(update={"before": receipts[-1].matter_id})).receipts


def _receipts(
    matter: str | None, erase_within: str | None, database: Path | None, config: Path | None
) -> tuple[list[Receipt], timedelta]:
    settings = settings_of(config, database=database, erase_within=erase_within)
    with open_log(log_of(settings)) as log:
        return log.ask(ReceiptsQuestion(matter=matter)), settings.deadline()


def _as_json(receipt: Receipt, within: timedelta, now: datetime) -> dict[str, Any]:
    return receipt.model_dump(mode="json") | {
        "done": receipt.done,
        "due_at": receipt.due_at(within).isoformat().replace("+00:00", "Z"),
        "overdue": receipt.overdue(within, now),
    }


def _print_list(receipts: Sequence[Receipt], within: timedelta, now: datetime) -> None:
    table = Table("matter", "purged at", "views", "refused", "dead letters", "to come", "due at")
    for receipt in receipts:
        to_come = [name for name, at in receipt.stages.model_dump().items() if at is None]
        table.add_row(
            escape(receipt.matter_id),
            _written(receipt.stages.table),
            f"{receipt.views_purged:,}",
            f"{receipt.views_refused:,}",
            f"{receipt.dead_letters_purged:,}",
            ", ".join(to_come) or "nothing",
            _due(receipt, within, now),
        )
    Console().print(table)


def _print_one(receipt: Receipt, within: timedelta, now: datetime) -> None:
    console = Console()
    on_lake = receipt.not_covered == REACH_OF_A_LAKE.not_covered
    reach = REACH_OF_A_LAKE if on_lake else REACH_OF_A_FILE
    facts = Table(show_header=False, box=None)
    facts.add_row("matter", escape(receipt.matter_id))
    facts.add_row("deleted at", _written(receipt.deleted_at))
    facts.add_row("deletion", f"{receipt.event_id}, partition {receipt.partition} at offset {receipt.offset}")
    facts.add_row("views purged", f"{receipt.views_purged:,}")
    facts.add_row("views refused since", f"{receipt.views_refused:,}")
    facts.add_row("dead letters purged", f"{receipt.dead_letters_purged:,}")
    facts.add_row("tombstones waiting", f"{receipt.tombstones_waiting:,}")
    facts.add_row("records out of reach", f"{receipt.records_out_of_reach:,}")
    facts.add_row("due at", _due(receipt, within, now))
    console.print(facts)
    stages = Table("stage", "done at", "meaning")
    for name, at in receipt.stages:
        stages.add_row(name, _written(at) if at else "to come", reach.stages[name])
    console.print(stages)
    _print_recall(console, receipt)
    console.print("Not covered:")
    for text in receipt.not_covered:
        console.print(f"- {text}")


def _print_rehearsal(found: Rehearsal) -> None:
    console = Console()
    if found.purged_at is not None:
        console.print(f"The matter is already deleted. It was purged at {_written(found.purged_at)}.")
    facts = Table(show_header=False, box=None)
    facts.add_row("views to remove", f"{found.views:,}")
    facts.add_row("dead letters to remove", f"{found.dead_letters:,}")
    facts.add_row("dead letters of an unknown matter, which stay", f"{found.dead_letters_of_nobody:,}")
    facts.add_row("tombstones to send", f"{found.tombstones:,}")
    console.print(facts)
    _print_files(console, found.recall, found.foreign_extracts)


def _print_recall(console: Console, receipt: Receipt) -> None:
    if not receipt.recall_complete:
        console.print("[red]The recall list is NOT complete[/red]: the register of extracts could not be read.")
    _print_files(console, receipt.recall, receipt.foreign_extracts)


def _print_files(console: Console, recall: Sequence[RecalledExtract], foreign: int | None) -> None:
    if foreign:
        console.print(f"{foreign:,} extracts made from another database may hold the matter too.")
    if not recall:
        console.print("No extract in the register holds the matter.")
        return
    table = Table("handed out at", "to", "how", "rows", "file", "SHA-256")
    for each in recall:
        cells = (
            _written(each.made_at),
            each.made_by,
            each.how,
            f"{each.rows:,}",
            each.name,
            each.sha256 or _UNKNOWN_HASH,
        )
        table.add_row(*(escape(cell) for cell in cells))
    console.print("Extracts that hold the matter:")
    console.print(table)


def _due(receipt: Receipt, within: timedelta, now: datetime) -> str:
    due = _written(receipt.due_at(within))
    return f"[red]{due} OVERDUE[/red]" if receipt.overdue(within, now) else due


def _written(instant: datetime) -> str:
    return instant.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
