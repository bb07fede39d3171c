"""A lake for the demo: a PostgreSQL server of its own and a folder of files, both gone when it ends."""

import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from matterlog.app.demo.embedded_postgresql import EmbeddedPostgreSQL
from matterlog.app.owner.spill import spill_folder
from matterlog.consumers.lake.lake_tables import make_tables
from matterlog.report.handover.lake_register import make_register
from matterlog.schemas.storage.lake import Lake


@contextmanager
def demo_lake() -> Iterator[Lake]:
    """Make an empty lake, below the folder for temporary files, for as long as the context lasts.

    Raises:
        WrongUse: PostgreSQL is not installed or does not start.
        LakeUnusable: DuckLake is not installed.
    """
    with tempfile.TemporaryDirectory(prefix="matterlog-demo-") as name:
        folder = Path(name)
        folder.chmod(0o711)  # PostgreSQL may have to run as another user
        with EmbeddedPostgreSQL(folder / "postgresql") as server:
            lake = Lake(catalogue=server.make_database("lake"), data=f"{folder}/files/", spill=spill_folder())
            with closing(lake.connect(create=True)) as connection:
                make_tables(connection)
            make_register(lake)
            yield lake
