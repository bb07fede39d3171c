"""``matterlog demo``: the whole pipeline once, with simulated data."""

import os
from pathlib import Path
from typing import Annotated, Final

import typer

from matterlog.app.demo.demo import EXTRACT_NAME, Demo
from matterlog.schemas.storage.database_files import DatabaseFiles

DATABASE_NAME: Final = "matterlog.duckdb"


def demo(
    folder: Annotated[Path, typer.Option(metavar="FOLDER", help="Folder for the database and the extracts.")] = Path(
        "demo"
    ),
    views: Annotated[int, typer.Option(min=1, help="Number of views to emit.")] = 20_000,
    matters: Annotated[int, typer.Option(min=1, help="Number of matters of the firm.")] = 40,
    users: Annotated[int, typer.Option(min=1, help="Number of users of the firm.")] = 120,
    seed: Annotated[int, typer.Option(help="The same seed gives the same firm.")] = 7,
) -> None:
    """Run the whole pipeline once with a simulated firm.

    The firm emits views through the real producers to a Kafka in memory, and the real consumer stores them. Some
    matters are deleted, some views arrive late or twice, and one message is unreadable. Then all extracts are written.
    Replaces the files of an earlier run.

    \b
    Example:
      matterlog demo --views 100000 --folder /tmp/demo
    """
    os.umask(0o077)  # in real life the files beside the database hold personal data
    place = DatabaseFiles((folder / DATABASE_NAME).absolute())
    Demo(place=place, folder=folder, views=views, matters=matters, users=users, seed=seed, tell=typer.echo).run()
    typer.echo(f"Look at    {folder / EXTRACT_NAME}.csv, or run matterlog status --database {folder / DATABASE_NAME}")
