"""One extract of the site: asked for by an account, under way, made or failed, maybe made again, dropped in the end."""

import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import BinaryIO, Final

from matterlog.report.engagement.engagement_files import EngagementFileRequest
from matterlog.report.errors import ExtractGone
from matterlog.report.extracts.copying import CHUNK_BYTES
from matterlog.report.extracts.extracts import Extract
from matterlog.report.extracts.requests import ExtractRequest
from matterlog.report.handover.register import Channel, RegisterEntry
from matterlog.report.web.extracts.report_names import file_name
from matterlog.report.web.identity.accounts import Account
from matterlog.report.web.identity.secret_tokens import new_token
from matterlog.schemas import MatterlogError

KEPT_FOR: Final = timedelta(hours=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class FinishedExtract:
    """A complete extract: its figures, its entry in the register, and the file."""

    extract: Extract
    entry: RegisterEntry
    file: BinaryIO


class Progress:
    """The progress of an extract, estimated from the lines that were written."""

    def __init__(self) -> None:
        self._rows: int | None = None
        self._lines = 0

    @property
    def percent(self) -> int | None:
        """The progress in percent; None if unknown."""
        if self._rows is None:
            return None
        return 100 if self._rows == 0 else min(100, 100 * self._lines // self._rows)

    def expect(self, rows: int) -> None:
        """Start counting again: this many rows will come, about a line each."""
        self._rows, self._lines = rows, 0

    def count(self, data: bytes) -> None:
        """Count the lines in bytes that were written."""
        self._lines += data.count(b"\n")


class SiteExtract:
    """An extract that an account asked for; safe to use from several threads."""

    def __init__(
        self, account: Account, request: ExtractRequest | EngagementFileRequest, how: Channel, asked_at: datetime
    ) -> None:
        self.key: Final = new_token()
        self.account: Final = account
        self.request: Final = request
        self.how: Final = how
        self.asked_at: Final = asked_at
        self.progress: Final = Progress()
        # None before, after a failure, and after it was dropped.
        self.made: FinishedExtract | None = None
        # The error that it failed with.
        self.failure: MatterlogError | None = None
        self._lock = threading.Lock()
        self._finished = threading.Event()
        self._dropped = threading.Event()
        self._changed = threading.Event()
        self._stop: Callable[[], None] = _nothing
        # Whether it was made before, and a matter in it was deleted since.
        self.was_renewed = False

    @property
    def file_name(self) -> str:
        """The name of the downloaded file."""
        return file_name(self.request.analysis, self.request.format, self.asked_at)

    @property
    def expires_at(self) -> datetime:
        """The instant at which it is dropped."""
        return self.asked_at + KEPT_FOR

    @property
    def is_finished(self) -> bool:
        """Whether it was made or failed."""
        return self._finished.is_set()

    @property
    def is_dropped(self) -> bool:
        """Whether it was dropped and is no longer known."""
        return self._dropped.is_set()

    def finish(self, outcome: FinishedExtract | MatterlogError) -> bool:
        """Set the outcome: the finished extract, or an error. Return False if it was dropped: nobody gets it."""
        with self._lock:
            if isinstance(outcome, FinishedExtract) and self.is_dropped:
                outcome.file.close()
            elif isinstance(outcome, FinishedExtract):
                self.made = outcome
            else:
                self.failure = outcome
            self._finished.set()
            return not self.is_dropped

    def wait(self, seconds: float | None = None) -> bool:
        """Wait until it is finished, and return whether it is."""
        return self._finished.wait(seconds)

    def wait_for_change(self, seconds: float) -> bool:
        """Wait until it was dropped, or must be made again; return whether that is so."""
        return self._changed.wait(seconds)

    def renew(self, made: FinishedExtract) -> None:
        """Drop the file, if it is still this one, and be under way again."""
        with self._lock:
            if self.made is made:
                self._finished.clear()  # first: whoever finds no file must find that it is under way
                self.made = None
                made.file.close()
                self.was_renewed = True
                self._changed.set()

    def begin_again(self) -> bool:
        """Return whether it is to be made again: it was not dropped."""
        with self._lock:
            if not self.is_dropped:
                self._changed.clear()
            return not self.is_dropped

    @contextmanager
    def stopped_by(self, stop: Callable[[], None]) -> Iterator[None]:
        """Have ``stop`` called if it is dropped while the block runs.

        Raises:
            ExtractGone: it was dropped before.
        """
        with self._lock:
            self.check()
            self._stop = stop
        try:
            yield
        finally:
            with self._lock:
                self._stop = _nothing

    def check(self) -> None:
        """Raise ExtractGone if it was dropped."""
        if self.is_dropped:
            raise ExtractGone

    def drop(self) -> FinishedExtract | None:
        """Drop the file, and stop making it; nothing is left of it. Return what was made until now."""
        with self._lock:
            self._stop()
            made, self.made, self.failure = self.made, None, None
            if made is not None:
                made.file.close()
            self._dropped.set()
            self._changed.set()
            return made

    def take(self) -> tuple[FinishedExtract, "ExtractBytes"]:
        """Return the finished extract and its bytes, which stay readable even if it is dropped meanwhile.

        Raises:
            ExtractGone: it was dropped.
            MatterlogError: the error that it failed with.
        """
        with self._lock:
            if self.failure is not None:
                raise self.failure
            if self.made is None:
                raise ExtractGone
            return self.made, ExtractBytes(os.fdopen(os.dup(self.made.file.fileno()), "rb"))


def _nothing() -> None:
    """Stop nothing: it is not being made."""


class ExtractBytes:
    """The bytes of an extract's file; whoever takes them closes them. Until then they stay on the disk."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._offset = 0

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        # By offset: duplicates of a descriptor share its position.
        chunk = os.pread(self._file.fileno(), CHUNK_BYTES, self._offset)
        if not chunk:
            raise StopIteration
        self._offset += len(chunk)
        return chunk

    def close(self) -> None:
        """Close the file, whose bytes then leave the disk if it was dropped."""
        self._file.close()
