"""The command line's errors and their exit codes.

MatterlogError               exit code 1: it could not be done
├── WrongUse                 exit code 2: what was asked for makes no sense (report.InvalidFilter as well)
├── NoAnswer                 exit code 1: the owner of the database is there and does not answer
├── TooFewAddresses          exit code 1: the limit on addresses is so low that libraries would hang
├── SomeRecordsRefused       exit code 1: the good records were sent, the bad ones were named
├── BadFile                  (import_records) whose file it is: nothing was sent
├── BadRecord                whose file it is: one record, named by its line, or all behind it in a broken array
├── SiteFailed               (service) exit code 1: the admin site cannot have its address, or ended by itself
├── DeadlineMissed           exit code 1: what was removed is still in the database file
└── DemoFailed               (demo) ours: the demo's counts do not add up
"""

from matterlog.schemas import MatterlogError


class WrongUse(MatterlogError):
    """A command or setting that is wrong."""


class NoAnswer(MatterlogError):
    """The owner of the database does not answer."""

    def __init__(self, process_id: int | None, seconds: float) -> None:
        owner = f"process {process_id}, which owns the database," if process_id else "the owner of the database"
        super().__init__(
            f"{owner} has not answered for {seconds:.0f} seconds: is it stopped, or is the machine short of memory? "
            "Let it go on (kill -CONT), or end it and start it again; nothing that was committed is lost"
        )


class TooFewAddresses(MatterlogError):
    """A limit on addresses under which libraries do not fail but hang."""

    def __init__(self, limit_mb: int, needed_mb: int) -> None:
        super().__init__(
            f"this process is short of memory: it may have {limit_mb:,} MB of addresses (ulimit -v, prlimit --as), and "
            f"with less than {needed_mb:,} MB libraries hang. Raise that limit, or lift it and limit the container's "
            "memory"
        )


class DeadlineMissed(MatterlogError):
    """A missed deadline: removed data is still in the database file."""


class BadRecord(MatterlogError):
    """A record that is not a valid event. ``line`` is where it starts, counted from 1."""

    def __init__(self, line: int, reason: str) -> None:
        self.line = line
        self.reason = reason
        super().__init__(f"{line}: {reason}")


class SomeRecordsRefused(MatterlogError):
    """An import of which some records were not sent."""
