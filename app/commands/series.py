"""``matterlog series``: the parts of a series of extracts; ``export --series`` writes the next part."""

from pathlib import Path
from typing import Annotated

import typer

from matterlog.app.terminal.tables import print_table
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
    problems = [f"part {part.place.part}: {found}" for part in parts for found in _differences(part)]
    print_table(("part", "kind", "rows", "matters purged since", "snapshot (UTC)", "file"), map(_row, parts))
    for problem in problems:
        typer.echo(problem)
    if problems or not parts:
        typer.echo(f"The series {name} in {directory} has {len(parts):,} parts, {len(problems):,} problems.", err=True)
        raise typer.Exit(1)


def _row(part: Part) -> tuple[str, ...]:
    manifest = part.manifest
    purged = "" if manifest.purges is None else f"{len(manifest.purges):,}"
    taken_at = f"{manifest.taken_at:%Y-%m-%d %H:%M:%S}"
    return str(part.place.part), part.place.kind, f"{manifest.rows:,}", purged, taken_at, part.path.name


def _differences(part: Part) -> tuple[str, ...]:
    try:
        return verify_extract(part.path, manifest_path(part.path))
    except BadManifest as error:
        return (str(error),)
