"""The command line's errors and their exit codes.

MatterlogError               exit code 1: the command failed
├── WrongUse                 exit code 2: the command or its settings are wrong (report.InvalidFilter as well)
├── SomeRecordsRefused       exit code 1: the good records were sent, the bad ones were reported
├── BadFile                  (import_records) the input file is wrong: nothing was sent
├── BadRecord                (import_records) one record of the input file is wrong: its line is reported
├── SiteFailed               (service) exit code 1: the admin site cannot listen on its address, or ended by itself
├── DeadlineMissed           exit code 1: removed data is still in the database file
└── DemoFailed               (demo) a defect of ours: the demo's counts do not add up
"""

from matterlog.schemas import MatterlogError


class WrongUse(MatterlogError):
    """A command or setting that is wrong."""


class DeadlineMissed(MatterlogError):
    """A missed deadline: removed data is still in the database file."""


class SomeRecordsRefused(MatterlogError):
    """An import of which some records were not sent."""
