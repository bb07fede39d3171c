"""The version of the tables in a file, and the migrations from an older version.

A folder of tables contains ``tables.sql``, which creates them, and ``migrations/N.sql``, which upgrades version N - 1
to N. A migration contains only statements: the code that runs it adds the transaction and writes the version.
"""

from dataclasses import dataclass
from importlib.resources import files
from importlib.resources.abc import Traversable
from typing import Final


@dataclass(frozen=True, slots=True)
class Tables:
    """The tables of a file, at the version that this program reads and writes."""

    version: int
    folder: Traversable

    def script(self) -> str:
        """Return the SQL that creates the tables in an empty file."""
        return self.folder.joinpath("tables.sql").read_text(encoding="utf-8")

    def way_from(self, found: int) -> list[str] | None:
        """Return the migrations from a version to this one in order, or None if one is missing."""
        steps = [self.folder.joinpath("migrations", f"{step}.sql") for step in range(found + 1, self.version + 1)]
        if found > self.version or not all(step.is_file() for step in steps):
            return None
        return [step.read_text(encoding="utf-8") for step in steps]

    def refusal(self, found: int, if_older: str) -> str:
        """Return the message for a file of another version. ``if_older`` says what to do about an older one."""
        remedy = if_older if found < self.version else "use the matterlog that made it, or a newer one"
        return f"has schema version {found}, this matterlog reads {self.version}: {remedy}"


# The tables of the log.
LOG_TABLES: Final = Tables(version=2, folder=files(__package__))
# What to do about an older log, for whoever does not own it.
UPGRADED_BY: Final = "start matterlog consume or serve, which upgrades it"
