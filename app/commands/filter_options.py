"""The options that choose rows, shared by the commands that write them, and the ``Filter`` made of them."""

from datetime import UTC, datetime
from inspect import signature
from typing import Annotated, Final

import typer

from matterlog.app.commands.options import with_value
from matterlog.app.errors import WrongUse
from matterlog.report.log.filters import ALL_TIME, Filter, zone_of
from matterlog.schemas import MatterType, UserType

AllTime = Annotated[bool, typer.Option("--all", help="All time.")]
Last = Annotated[str | None, typer.Option(metavar="DAYS", help="The last whole days, today included, such as 30d.")]
First = Annotated[str | None, typer.Option("--from", metavar="DATE", help="First day in --timezone, or an instant.")]
To = Annotated[
    str | None, typer.Option("--to", metavar="DATE", help="Last day in --timezone, included, or an instant.")
]
Zone = Annotated[str, typer.Option(metavar="ZONE", help="Time zone of days and hours, such as Europe/London.")]
Matters = Annotated[list[str] | None, typer.Option(metavar="ID", help="Only this matter; repeat for more.")]
Users = Annotated[list[str] | None, typer.Option(metavar="ID", help="Only this user; repeat for more.")]
Companies = Annotated[list[str] | None, typer.Option(metavar="ID", help="Only users of this company; repeat for more.")]
UserTypes = Annotated[list[UserType] | None, typer.Option(help="Only this type of user.")]
MatterTypes = Annotated[list[MatterType] | None, typer.Option(help="Only this type of matter.")]


def filter_of(
    all_time: AllTime = False,
    last: Last = None,
    from_: First = None,
    to: To = None,
    timezone: Zone = "UTC",
    matter: Matters = None,
    user: Users = None,
    company: Companies = None,
    user_type: UserTypes = None,
    matter_type: MatterTypes = None,
    default: str = ALL_TIME,
) -> Filter:
    """Return the filter that the options describe, relative to now; ``default`` is the value of ``last`` without any.

    Raises:
        WrongUse, InvalidFilter: options contradict each other, or a date is invalid.
    """
    if all_time and (last or from_ or to):
        raise WrongUse("--all cannot be combined with --last, --from or --to")
    return Filter.of(
        now=datetime.now(UTC),
        last=ALL_TIME if all_time else last,
        first_day=from_,
        last_day=to,
        zone=zone_of(timezone),
        default=default,
        matters=tuple(matter or ()),
        users=tuple(user or ()),
        companies=tuple(company or ()),
        user_types=tuple(user_type or ()),
        matter_types=tuple(matter_type or ()),
    )


FILTER_OPTIONS: Final = tuple(signature(filter_of).parameters.values())[:-1]
# Gives a command these options as they were given, for ``filter_of``.
with_filter_options: Final = with_value("chosen", dict, FILTER_OPTIONS)
