"""The options that choose rows, shared by the commands that write them, and the ``Filter`` made of them."""

from datetime import UTC, datetime
from typing import Annotated

import typer

from matterlog.app.errors import WrongUse
from matterlog.report.log.filters import ALL_TIME, Filter, zone_of
from matterlog.schemas import MatterType, UserType

AllTime = Annotated[bool, typer.Option("--all", help="All time (the default).")]
Last = Annotated[str | None, typer.Option(metavar="DAYS", help="The last whole days, today included, such as 30d.")]
First = Annotated[str | None, typer.Option("--from", metavar="DATE", help="First day in --timezone, or an instant.")]
To = Annotated[
    str | None, typer.Option("--to", metavar="DATE", help="Last day in --timezone, included, or an instant.")
]
Zone = Annotated[str, typer.Option(metavar="ZONE", help="Time zone of the days, such as Europe/London.")]
Matters = Annotated[list[str] | None, typer.Option(metavar="ID", help="Only this matter; repeat for more.")]
Users = Annotated[list[str] | None, typer.Option(metavar="ID", help="Only this user; repeat for more.")]
Companies = Annotated[list[str] | None, typer.Option(metavar="ID", help="Only users of this company; repeat for more.")]
UserTypes = Annotated[list[UserType] | None, typer.Option(help="Only this type of user.")]
MatterTypes = Annotated[list[MatterType] | None, typer.Option(help="Only this type of matter.")]


def filter_of(
    all_time: bool,
    last: str | None,
    first_day: str | None,
    last_day: str | None,
    matters: list[str] | None,
    users: list[str] | None,
    companies: list[str] | None,
    user_types: list[UserType] | None,
    matter_types: list[MatterType] | None,
    timezone: str,
    default: str = ALL_TIME,
) -> Filter:
    """Return the filter that the options describe, relative to now; ``default`` is the value of ``last`` without any.

    Raises:
        WrongUse, InvalidFilter: options contradict each other, or a date is invalid.
    """
    if all_time and (last or first_day or last_day):
        raise WrongUse("--all cannot be combined with --last, --from or --to")
    return Filter.of(
        now=datetime.now(UTC),
        last=ALL_TIME if all_time else last,
        first_day=first_day,
        last_day=last_day,
        zone=zone_of(timezone),
        default=default,
        matters=tuple(matters or ()),
        users=tuple(users or ()),
        companies=tuple(companies or ()),
        user_types=tuple(user_types or ()),
        matter_types=tuple(matter_types or ()),
    )
