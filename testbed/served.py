"""``matterlog serve`` as a separate process, started and stopped as a supervisor does it."""

import contextlib
import re
import signal
import subprocess
import threading
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

import httpx

from matterlog.report.web.identity.accounts import Accounts, Role
from matterlog.report.web.identity.api_tokens import ApiTokens, Scope
from matterlog.report.web.identity.audit_log import Actor, AuditLog
from matterlog.report.web.identity.passwords import Passwords
from matterlog.report.web.identity.site_database import SiteDatabase
from matterlog.schemas.storage.database_files import DatabaseFiles
from testbed.command import NONE, PATIENCE_SECONDS, start

ADDRESS: Final = re.compile(r"the admin site is at (https?://\S+)/")


class Served:
    """A running service with its address and its log."""

    def __init__(self, process: "subprocess.Popen[bytes]") -> None:
        self.process = process
        self.log: list[str] = []
        self._known = threading.Event()
        self._reading = threading.Thread(target=self._read)
        self._reading.start()

    def _read(self) -> None:
        assert self.process.stderr is not None
        for line in self.process.stderr:
            self.log.append(line.decode())
            if ADDRESS.search(self.log[-1]):
                self._known.set()
        self._known.set()

    @property
    def url(self) -> str:
        """The service's URL."""
        assert self._known.wait(PATIENCE_SECONDS)
        found = ADDRESS.search("".join(self.log))
        assert found is not None, self.log
        return found[1]

    def ready(self) -> tuple[int, list[str]]:
        """Return the status and the reasons of the readiness check."""
        answer = httpx.get(f"{self.url}/health/ready", timeout=PATIENCE_SECONDS)
        return answer.status_code, answer.json()["reasons"]

    def wait_until(self, status: int, words: str = "") -> None:
        """Wait until the readiness check has this status, with ``words`` in its reasons."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while True:
            found, reasons = self.ready()
            if found == status and words in " ".join(reasons):
                return
            assert time.monotonic() < deadline, (found, reasons, self.log)
            time.sleep(0.1)

    def figures(self) -> dict[str, float]:
        """Return the service's metrics by name and labels."""
        text = httpx.get(f"{self.url}/metrics", timeout=PATIENCE_SECONDS).text
        lines = (line.rsplit(" ", 1) for line in text.splitlines() if not line.startswith("#"))
        return {name: float(value) for name, value in lines}

    def stop(self, number: int = signal.SIGTERM) -> int:
        """Stop the service as a supervisor does and return its exit code."""
        self.process.send_signal(number)
        code = self.process.wait(PATIENCE_SECONDS)
        self._reading.join()
        return code


@contextlib.contextmanager
def serving(database: Path, *arguments: str, settings: Mapping[str, str] = NONE) -> Iterator[Served]:
    """Run a service on a free port while the block runs. It must exit with 0 unless the block ends it."""
    process = start("serve", "--port", "0", "--database", database, *arguments, settings=settings)
    served = Served(process)
    try:
        yield served
        if process.poll() is None:
            assert served.stop() == 0, served.log
    finally:
        with process:
            process.kill()


def tokens_for(database: Path, number: int) -> list[str]:
    """Create an account for a database and return ``number`` API tokens for extracts."""
    site = SiteDatabase(DatabaseFiles(database).accounts)
    audit_log = AuditLog(site)
    account = Accounts(site, audit_log, Passwords()).add("a.reader", Role.ANALYST, "a lamp beside the harbour", Actor())
    tokens = ApiTokens(site, audit_log)
    return [tokens.make(account, f"reader {each}", frozenset({Scope.EXTRACTS}), 7, Actor()) for each in range(number)]
