"""``matterlog series``: the parts of a series of extracts; ``export --series`` writes the next part."""

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from matterlog.report.errors import BadManifest
from matterlog.report.handover.manifest import manifest_path
from matterlog.report.handover.series import Part, Series
from matterlog.report.handover.verify_extract import verify_extract

app = typer.Typer(help="Show and check a series of extracts.", no_args_is_help=True, rich_markup_mode=None)


@app.command("show")
def show(
    name: Annotated[str, typer.Argument(metavar="NAME", help="The series.", show_default=False)],
    directory: Annotated[Path, typer.Option(metavar="DIR", help="Folder of the series.")] = Path(),
) -> None:
    """Show the parts of a series and check each of them.

    Checks each file against its manifest, and each manifest against the next. Exit code 0: all parts are as they were
    written. 1: something differs, or there are no parts.

    \b
    Example:
      matterlog series show activity --directory /srv/reports
    """
    parts = Series(directory, name).parts()
    table = Table("part", "kind", "rows", "matters purged since", "snapshot (UTC)", "file")
    problems = list(_add_rows(table, parts))
    Console().print(table)
    for problem in problems:
        typer.echo(problem)
    if problems or not parts:
        typer.echo(f"The series {name} in {directory} has {len(parts):,} parts, {len(problems):,} problems.", err=True)
        raise typer.Exit(1)


def _add_rows(table: Table, parts: list[Part]) -> Iterator[str]:
    for part in parts:
        manifest = part.manifest
        purged = "" if manifest.purges is None else f"{len(manifest.purges):,}"
        taken_at = f"{manifest.taken_at:%Y-%m-%d %H:%M:%S}"
        table.add_row(str(part.place.part), part.place.kind, f"{manifest.rows:,}", purged, taken_at, part.path.name)
        try:
            differences = verify_extract(part.path, manifest_path(part.path))
        except BadManifest as error:
            differences = (str(error),)
        yield from (f"part {part.place.part}: {difference}" for difference in differences)
