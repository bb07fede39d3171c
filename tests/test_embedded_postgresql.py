"""The PostgreSQL for trying out and for tests: it starts for every user, wherever its wheel is."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from testbed import embedded_postgresql
from testbed.embedded_postgresql import EmbeddedPostgreSQL, ServerFailed

pytestmark = pytest.mark.postgresql
is_root = pytest.mark.skipif(os.geteuid() != 0, reason="PostgreSQL runs as another user for root alone")


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder that every user may enter."""
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o711)
        yield Path(name)


def test_a_server_starts_though_its_wheel_lies_in_a_folder_of_one_user_alone(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As in a checkout below root's home."""
    private = folder / "home"
    private.mkdir(mode=0o700)
    package = embedded_postgresql._package()
    libraries = package.with_name(f"{package.name}.libs")
    for source in filter(Path.is_dir, (package, libraries)):
        shutil.copytree(source, private / source.name)
    monkeypatch.setattr(embedded_postgresql, "_package", lambda: private / package.name)
    with (
        EmbeddedPostgreSQL(folder / "server", fsync="off") as server,
        psycopg.connect(server.make_database("lake")) as session,
    ):
        assert session.execute("SELECT current_database()").fetchone() == ("lake",)


@is_root
def test_a_folder_that_the_server_cannot_enter_is_told(folder: Path) -> None:
    """And what to do."""
    private = folder / "home"
    private.mkdir(mode=0o700)
    with pytest.raises(ServerFailed, match=r"nobody may not enter .*home: run this as another user"):
        EmbeddedPostgreSQL(private / "server")
