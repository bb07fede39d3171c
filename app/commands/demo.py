"""``matterlog demo``: the main job on embedded parts."""

import os
from pathlib import Path
from typing import Annotated

import typer

from matterlog.app.demo.demo import Demo


def demo(
    folder: Annotated[Path, typer.Option(metavar="FOLDER", help="Where the database and the extracts go.")] = Path(
        "demo"
    ),
    views: Annotated[int, typer.Option(min=1, help="How many views are emitted.")] = 20_000,
    matters: Annotated[int, typer.Option(min=1, help="How many matters the firm has.")] = 40,
    users: Annotated[int, typer.Option(min=1, help="How many users the firm has.")] = 120,
    seed: Annotated[int, typer.Option(help="The same seed gives the same firm.")] = 7,
) -> None:
    """Run the main job on embedded parts: emit, materialise, purge, extract.

    A simulated firm emits views through the real producers to a Kafka in memory; the real consumer stores them; some
    matters are deleted, some views come late or twice, one message is poison; the extracts are written. The files of
    an earlier run are replaced.

    \b
    Example:
      matterlog demo --views 100000 --folder /tmp/demo
    """
    os.umask(0o077)  # what is written beside the database would be personal data in real life
    Demo(folder=folder, views=views, matters=matters, users=users, seed=seed, tell=typer.echo).run()
    typer.echo(f"Look at    {folder}/activity-report.csv, or: matterlog status --database {folder}/matterlog.duckdb")
