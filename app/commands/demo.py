"""``matterlog demo``: the whole pipeline once, with simulated data."""

import os
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Annotated, Final

import typer

from matterlog.app.demo.demo import EXTRACT_NAME, Demo
from matterlog.app.owner.spill import spill_folder
from matterlog.consumers.lake.lake_tables import make_tables
from matterlog.schemas.storage.database_files import DatabaseFiles
from matterlog.schemas.storage.lake import Lake

DATABASE_NAME: Final = "matterlog.duckdb"


def demo(
    folder: Annotated[Path, typer.Option(metavar="FOLDER", help="Folder for the database and the extracts.")] = Path(
        "demo"
    ),
    views: Annotated[int, typer.Option(min=1, help="Number of views to emit.")] = 20_000,
    matters: Annotated[int, typer.Option(min=1, help="Number of matters of the firm.")] = 40,
    users: Annotated[int, typer.Option(min=1, help="Number of users of the firm.")] = 120,
    seed: Annotated[int, typer.Option(help="The same seed gives the same firm.")] = 7,
    lake: Annotated[
        bool, typer.Option("--lake", help="Keep the log on DuckLake, with a PostgreSQL that ends with the demo.")
    ] = False,
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
    with _place(folder, lake=lake) as place:
        Demo(place=place, folder=folder, views=views, matters=matters, users=users, seed=seed, tell=typer.echo).run()
    also = "" if lake else f", or run matterlog status --database {folder / DATABASE_NAME}"
    typer.echo(f"Look at    {folder / EXTRACT_NAME}.csv{also}")


@contextmanager
def _place(folder: Path, *, lake: bool) -> Iterator[DatabaseFiles | Lake]:
    """Give the place for the log: a database in the folder, or a lake that is gone when the context ends."""
    if not lake:
        yield DatabaseFiles((folder / DATABASE_NAME).absolute())
        return
    from matterlog.app.demo.embedded_postgresql import EmbeddedPostgreSQL  # noqa: PLC0415 - needs the extra `lake-demo`
    from matterlog.report.handover.lake_register import make_register  # noqa: PLC0415 - likewise

    with tempfile.TemporaryDirectory(prefix="matterlog-demo-") as name:
        Path(name).chmod(0o711)  # PostgreSQL may have to run as another user
        with EmbeddedPostgreSQL(Path(name, "postgresql")) as server:
            made = Lake(catalogue=server.make_database("lake"), data=f"{name}/files/", spill=spill_folder())
            with closing(made.connect(create=True)) as connection:
                make_tables(connection)
            make_register(made)
            typer.echo(
                f"Lake       PostgreSQL for the catalogue, Parquet files in {made.data}. Both are gone at the end"
            )
            yield made
