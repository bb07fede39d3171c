"""``matterlog verify-extract``: checks an extract against its manifest."""

from pathlib import Path
from typing import Annotated

import typer

from matterlog.report.handover.manifest import manifest_path
from matterlog.report.handover.verify_extract import verify_extract as differences_of


def verify_extract(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="The extract.", show_default=False)],
    manifest: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Its manifest. [the extract's name + .manifest.json]")
    ] = None,
) -> None:
    """Check an extract against its manifest.

    Compares the size, the SHA-256 and the number of rows. Needs no database. Exit code 0: the extract matches its
    manifest. 1: it does not, or one of the two cannot be read.

    \b
    Example:
      matterlog verify-extract activity-report.csv
    """
    beside = manifest or manifest_path(file)
    differences = differences_of(file, beside)
    for difference in differences:
        typer.echo(f"{file}: {difference}")
    if differences:
        raise typer.Exit(1)
    typer.echo(f"{file} matches {beside}")
