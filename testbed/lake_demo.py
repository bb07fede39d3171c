"""``make demo-lake``: the demo with its log on DuckLake, which is gone when it ends. The extracts stay.

PostgreSQL for the catalogue runs beside it, and the Parquet files are in a temporary folder.
"""

import argparse
import os
import tempfile
from contextlib import closing
from pathlib import Path

from typer import echo as tell

from matterlog.app.demo.demo import EXTRACT_NAME, Demo
from matterlog.app.owner.spill import spill_folder
from matterlog.consumers.lake.lake_tables import make_tables
from matterlog.report.handover.lake_register import make_register
from matterlog.schemas.storage.lake import Lake
from testbed.embedded_postgresql import EmbeddedPostgreSQL


def main() -> None:
    """Run it with the options of the command line."""
    parser = argparse.ArgumentParser(prog="python -m testbed.lake_demo", description=__doc__)
    parser.add_argument("--folder", type=Path, default=Path("demo"), help="folder for the extracts")
    parser.add_argument("--views", type=int, default=20_000, help="number of views to emit")
    parser.add_argument("--matters", type=int, default=40, help="number of matters of the firm")
    parser.add_argument("--users", type=int, default=120, help="number of users of the firm")
    parser.add_argument("--seed", type=int, default=7, help="the same seed gives the same firm")
    chosen = parser.parse_args()
    os.umask(0o077)
    with tempfile.TemporaryDirectory(prefix="matterlog-demo-") as name:
        Path(name).chmod(0o711)  # PostgreSQL may have to run as another user
        with EmbeddedPostgreSQL(Path(name, "postgresql")) as server:
            lake = Lake(catalogue=server.make_database("lake"), data=f"{name}/files/", spill=spill_folder())
            with closing(lake.connect(create=True)) as connection:
                make_tables(connection)
            make_register(lake)
            tell(f"Lake       PostgreSQL for the catalogue, Parquet files in {lake.data}. Both are gone at the end")
            Demo(place=lake, tell=tell, **vars(chosen)).run()
    tell(f"Look at    {chosen.folder / EXTRACT_NAME}.csv")


if __name__ == "__main__":
    main()
