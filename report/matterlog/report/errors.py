"""What can go wrong between the activity table and an analyst, split by who must act.

MatterlogError
├── DatabaseInUse       (schemas) the operator: its owner does not answer
└── ReportError
    ├── InvalidFilter   the analyst: what was asked for makes no sense
    ├── NoDatabase      the operator: nothing was ever consumed here, or the file cannot be read
    └── ExtractFailed   the operator: the extract broke off; no file was left
"""

from matterlog.schemas import MatterlogError


class ReportError(MatterlogError):
    """The report cannot be made."""


class InvalidFilter(ReportError):
    """The filter makes no sense."""


class NoDatabase(ReportError):
    """There is no database to read."""


class ExtractFailed(ReportError):
    """The extract broke off."""
