"""``matterlog diff``: the differences between two extracts, explained."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Final

import typer

from matterlog.app.commands.options import log_of, with_settings
from matterlog.app.errors import WrongUse
from matterlog.app.owner.access import open_log
from matterlog.app.owner.questions import ReceiptsQuestion
from matterlog.app.settings import Settings
from matterlog.app.terminal.tables import print_facts, print_table
from matterlog.report.errors import NoDatabase
from matterlog.report.extracts.formats import FORMATS, format_of_file, names
from matterlog.report.extracts.whole_file import whole_file
from matterlog.report.handover.differences import Differences, ExtractFile, Purge, compare
from matterlog.report.handover.manifest import manifest_path, read_manifest

_DIFFERENT: Final = 1


@with_settings("database")
def diff(
    settings: Settings,
    old: Annotated[Path, typer.Argument(metavar="OLD", help="The earlier extract.")],
    new: Annotated[Path, typer.Argument(metavar="NEW", help="The later extract.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
    rows: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write every differing row and its kind to this NDJSON file.")
    ] = None,
) -> None:
    """Explain every difference between two extracts.

    A differing row is new, or was purged with its matter, or is left out by the filter of NEW. If any row is changed or
    unexplained, the exit code is 1. Purges come from the log and from NEW's manifest, the filter from NEW's manifest.
    The two extracts may have different formats. docs/reports.md lists the formats that can be compared.

    \b
    Example:
      matterlog diff october.csv november.json
    """
    files = [_described(path) for path in (old, new)]
    purges = [*_purges_of_the_log(settings), *_purges_of_the_manifest(new)]
    with compare(files[0], files[1], settings.memory_limit) as comparison:
        found = comparison.explain(purges)
        if rows is not None:
            with whole_file(rows) as file:
                for row in comparison.rows():
                    file.write(json.dumps(row, ensure_ascii=False).encode() + b"\n")
    if as_json:
        typer.echo(json.dumps(found.model_dump(mode="json"), indent=2))
    else:
        _print(found)
    if not found.are_explained:
        raise typer.Exit(_DIFFERENT)


def _described(path: Path) -> ExtractFile:
    if not path.is_file():
        raise WrongUse(f"there is no file {path}")
    if not manifest_path(path).exists():
        typer.echo(f"{path} has no manifest beside it: its filter and its time are unknown.", err=True)
        return ExtractFile(path=path, format=_compared(path, format_of_file(path.name, "rename it")))
    manifest = read_manifest(manifest_path(path))
    return ExtractFile(
        path=path,
        format=_compared(path, manifest.format),
        raw_csv=not manifest.options.formula_safe,
        filter=manifest.filter.data,
        taken_at=manifest.taken_at,
    )


def _compared(path: Path, format_: str) -> str:
    if FORMATS[format_].read_back is None:
        others = (name for name in names() if FORMATS[name].read_back is not None)
        raise WrongUse(f"{path} is {format_}, which cannot be compared. Export one of: {', '.join(others)}")
    return format_


def _purges_of_the_log(settings: Settings) -> Iterator[Purge]:
    try:
        with open_log(log_of(settings)) as log:
            for receipt in log.ask(ReceiptsQuestion()):
                yield Purge(receipt.matter_id, receipt.stages.table)
    except NoDatabase as error:
        typer.echo(f"The purges of the log are unknown: {error}", err=True)


def _purges_of_the_manifest(path: Path) -> Iterator[Purge]:
    if manifest_path(path).exists():
        for purge in read_manifest(manifest_path(path)).purges or ():
            yield Purge(purge.matter_id, purge.purged_at)


def _print(found: Differences) -> None:
    counts = {
        "in the old extract": found.old_rows,
        "in the new extract": found.new_rows,
        "new": found.new,
        "purged with their matter": found.purged,
        "left out by the new extract's filter": found.left_out,
        "changed": found.changed,
        "unexplained": found.unexplained,
    }
    print_facts({name: f"{rows:,}" for name, rows in counts.items()})
    if matters := found.purged_matters:
        rows = ((each.matter_id, f"{each.purged_at:%Y-%m-%d %H:%M:%S}", f"{each.rows:,}") for each in matters)
        print_table(("purged matter", "when (UTC)", "rows"), rows)
    if not found.are_explained:
        typer.echo("Not every difference is explained. To see the rows, use --rows FILE.")
