"""``matterlog purges``: the receipts of deletions, and what a deletion would remove."""

import json
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Final

import typer
from rich.console import Console
from rich.text import Text

from matterlog.app.commands.options import log_of, with_settings
from matterlog.app.errors import WrongUse
from matterlog.app.owner.access import LogAccess, open_log
from matterlog.app.owner.questions import MAX_RECEIPTS, ReceiptsPageQuestion, ReceiptsQuestion, RehearsalQuestion
from matterlog.app.settings import Settings
from matterlog.app.terminal.tables import print_array, print_facts, print_table
from matterlog.report.purges.receipts import REACH_OF_A_FILE, REACH_OF_A_LAKE, RecalledExtract, Receipt
from matterlog.report.purges.rehearsal import Rehearsal

app = typer.Typer(help="Show receipts of deletions or rehearse one.", no_args_is_help=True, rich_markup_mode=None)

# How many receipts are listed, and how many are in memory while all are printed as JSON.
_LISTED: Final = 100
_IN_MEMORY: Final = 5_000
# Of a file that was being written when the matter was deleted.
_UNKNOWN_HASH: Final = "in the register of extracts"


@app.command("list")
@with_settings("erase_within", "database")
def list_receipts(
    settings: Settings,
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
) -> None:
    """List deletions, what each removed and its open stages.

    \b
    Example:
      matterlog purges list --overdue
    """
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
@with_settings("erase_within", "database")
def show(
    settings: Settings,
    matter: Annotated[str, typer.Argument(metavar="MATTER_ID", help="The deleted matter.")],
    as_json: Annotated[bool, typer.Option("--json", help="As one JSON object.")] = False,
) -> None:
    """Print the receipt of one deletion.

    Shows where the deletion came from, what it removed, when each stage was done, and what it does not cover.

    \b
    Example:
      matterlog purges show m-1042
    """
    with open_log(log_of(settings)) as log:
        found = log.ask(ReceiptsQuestion(matter=matter))
    if not found:
        raise WrongUse(f"no deletion of matter {matter} has arrived yet")
    within, now = settings.deadline(), datetime.now(UTC)
    if as_json:
        typer.echo(json.dumps(_as_json(found[0], within, now), indent=2))
    else:
        _print_one(found[0], within, now)


@app.command("rehearse")
@with_settings("database")
def rehearse(
    settings: Settings,
    matter: Annotated[str, typer.Argument(metavar="MATTER_ID", help="The matter that may be deleted.")],
    as_json: Annotated[bool, typer.Option("--json", help="As one JSON object.")] = False,
) -> None:
    """Show what a deletion would remove. Lists the extracts that hold the matter too. Changes nothing.

    \b
    Example:
      matterlog purges rehearse m-1042
    """
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


def _as_json(receipt: Receipt, within: timedelta, now: datetime) -> dict[str, Any]:
    return receipt.model_dump(mode="json") | {
        "done": receipt.done,
        "due_at": receipt.due_at(within).isoformat().replace("+00:00", "Z"),
        "overdue": receipt.overdue(within, now),
    }


def _print_list(receipts: Sequence[Receipt], within: timedelta, now: datetime) -> None:
    rows = (
        (
            receipt.matter_id,
            _written(receipt.stages.table),
            f"{receipt.views_purged:,}",
            f"{receipt.views_refused:,}",
            f"{receipt.dead_letters_purged:,}",
            ", ".join(name for name, at in receipt.stages if at is None) or "nothing",
            _due(receipt, within, now),
        )
        for receipt in receipts
    )
    print_table(("matter", "purged at", "views", "refused", "dead letters", "to come", "due at"), rows)


def _print_one(receipt: Receipt, within: timedelta, now: datetime) -> None:
    console = Console()
    on_lake = receipt.not_covered == REACH_OF_A_LAKE.not_covered
    reach = REACH_OF_A_LAKE if on_lake else REACH_OF_A_FILE
    print_facts(
        {
            "matter": receipt.matter_id,
            "deleted at": _written(receipt.deleted_at),
            "deletion": f"{receipt.event_id}, partition {receipt.partition} at offset {receipt.offset}",
            "views purged": f"{receipt.views_purged:,}",
            "views refused since": f"{receipt.views_refused:,}",
            "dead letters purged": f"{receipt.dead_letters_purged:,}",
            "tombstones waiting": f"{receipt.tombstones_waiting:,}",
            "records out of reach": f"{receipt.records_out_of_reach:,}",
            "due at": _due(receipt, within, now),
        }
    )
    stages = ((name, _written(at) if at else "to come", reach.stages[name]) for name, at in receipt.stages)
    print_table(("stage", "done at", "meaning"), stages)
    if not receipt.recall_complete:
        console.print("[red]The recall list is NOT complete[/red]: the register of extracts could not be read.")
    _print_files(console, receipt.recall, receipt.foreign_extracts)
    console.print("Not covered:")
    for text in receipt.not_covered:
        console.print(f"- {text}")


def _print_rehearsal(found: Rehearsal) -> None:
    console = Console()
    if found.purged_at is not None:
        console.print(f"The matter is already deleted. It was purged at {_written(found.purged_at)}.")
    print_facts(
        {
            "views to remove": f"{found.views:,}",
            "dead letters to remove": f"{found.dead_letters:,}",
            "dead letters of an unknown matter, which stay": f"{found.dead_letters_of_nobody:,}",
            "tombstones to send": f"{found.tombstones:,}",
        }
    )
    _print_files(console, found.recall, found.foreign_extracts)


def _print_files(console: Console, recall: Sequence[RecalledExtract], foreign: int | None) -> None:
    if foreign:
        console.print(f"{foreign:,} extracts made from another database may hold the matter too.")
    if not recall:
        console.print("No extract in the register holds the matter.")
        return
    console.print("Extracts that hold the matter:")
    rows = (
        (_written(each.made_at), each.made_by, each.how, f"{each.rows:,}", each.name, each.sha256 or _UNKNOWN_HASH)
        for each in recall
    )
    print_table(("handed out at", "to", "how", "rows", "file", "SHA-256"), rows)


def _due(receipt: Receipt, within: timedelta, now: datetime) -> str | Text:
    due = _written(receipt.due_at(within))
    return Text(f"{due} OVERDUE", style="red") if receipt.overdue(within, now) else due


def _written(instant: datetime) -> str:
    return instant.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
