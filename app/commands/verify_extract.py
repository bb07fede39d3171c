"""``matterlog verify-extract``: is a file what its manifest says?"""

from pathlib import Path
from typing import Annotated

import typer

from matterlog.report.handover.manifest import manifest_path
from matterlog.report.handover.verify_extract import verify_extract


def verify(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="The extract.", show_default=False)],
    manifest: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Its manifest. [the file's name with .manifest.json behind it]")
    ] = None,
) -> None:
    """Check an extract against its manifest: its bytes, their SHA-256 and its rows. No database is needed.

    Exit code 0: the file is what the manifest says; 1: it is not, or one of them cannot be read.

    \b
    Example:
      matterlog verify-extract activity-report.csv
    """
    beside = manifest or manifest_path(file)
    differences = verify_extract(file, beside)
    for difference in differences:
        typer.echo(f"{file}: {difference}")
    if differences:
        raise typer.Exit(1)
    typer.echo(f"{file} is what {beside} says")
