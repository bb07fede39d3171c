"""The reading side: extracts and engagement of a committed state, compared with a few lines of plain Python."""

import random
from collections.abc import Iterable
from contextlib import AbstractContextManager
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any, Final

import duckdb

from matterlog.consumers.reading.records import VIEW_COLUMNS
from matterlog.report.engagement.engagement import EngagementRequest, read_engagement
from matterlog.report.extracts.extracts import count_rows, first_rows
from matterlog.report.extracts.requests import ExtractRequest
from matterlog.report.log.filters import Filter
from matterlog.schemas import MatterType, UserType
from matterlog.schemas.instants import as_stored
from tests.consumers.histories import Outcome
from tests.faults.simulator.model import BrokenPromise

# After every view; see ``load.py``.
NOW: Final = datetime(2026, 5, 31, tzinfo=UTC)
_VISIT: Final = timedelta(seconds=60)


def passes(view: Any, asked: Filter) -> bool:
    """Say whether a view passes a filter."""
    chosen: tuple[tuple[tuple[Any, ...], Any], ...] = (
        (asked.matters, view.matter_id),
        (asked.users, view.user_id),
        (asked.user_types, view.user_type),
        (asked.matter_types, view.matter_type),
    )
    begins, ends = as_stored(asked.since), as_stored(asked.until)
    viewed = view.matter_viewed_at
    return (
        (begins is None or viewed >= begins)
        and (ends is None or viewed < ends)
        and all(not wanted or value in wanted for wanted, value in chosen)
    )


def visits_of(views: Iterable[Any], asked: Filter) -> dict[str, tuple[int, int]]:
    """Count views and visits of each user: views of one matter at most a minute apart are one visit.

    A visit that began before the period goes on in it, and is not counted.
    """
    last: dict[tuple[str, str], datetime] = {}
    found: dict[str, tuple[int, int]] = {}
    before = asked.model_copy(update={"since": None})
    for view in sorted((each for each in views if passes(each, before)), key=lambda view: view.matter_viewed_at):
        place = (view.user_id, view.matter_id)
        begins = place not in last or view.matter_viewed_at - last[place] > _VISIT
        last[place] = view.matter_viewed_at
        if passes(view, asked):
            counted, visits = found.get(view.user_id, (0, 0))
            found[view.user_id] = (counted + 1, visits + begins)
    return found


def ask(reader: AbstractContextManager[duckdb.DuckDBPyConnection], views: list[Any], number: int) -> None:
    """Ask for an extract and for engagement with one filter, and compare the answers.

    Args:
        reader: gives a connection that sees a committed state.
        views: what that state must hold.
        number: chooses the filter.

    Raises:
        BrokenPromise: an answer is wrong.
    """
    asked = filter_of(random.Random(number), views)  # noqa: S311 - repeatable, not secret
    chosen = [view for view in views if passes(view, asked)]
    with reader as connection:
        request = ExtractRequest(format="csv", filter=asked, with_event_id=True)
        counted = count_rows(connection, request)
        rows = first_rows(connection, request, len(views) + 1)
        question = EngagementRequest(
            analysis="users", now=NOW, filter=asked, include_demo=True, raw_views=bool(number % 2)
        )
        table = read_engagement(connection, question).table.to_pylist()
    ids = sorted(row[-1] for row in rows)
    if counted != len(chosen) or ids != sorted(str(view.event_id) for view in chosen):
        raise BrokenPromise(f"an extract of {asked.words()} has {counted} rows: {ids}, not {len(chosen)}")
    must = visits_of(views, asked)
    if question.raw_views:
        must = {user: (counted, counted) for user, (counted, _) in must.items()}
    found = {row["user_ID"]: (row["views"], row["visits"]) for row in table if row["views"]}
    if found != must:
        raise BrokenPromise(f"engagement of {asked.words()} is {found}, not {must}")


def filter_of(dice: random.Random, views: list[Any]) -> Filter:
    """Choose a filter that lets some of these views in."""
    fields: dict[str, Any] = {}
    if views and dice.random() < 0.5:
        fields["matters"] = tuple(sorted({dice.choice(views).matter_id for _ in range(2)}))
    if views and dice.random() < 0.3:
        fields["users"] = (dice.choice(views).user_id,)
    if dice.random() < 0.2:
        fields["user_types"] = (dice.choice(list(UserType)),)
    if dice.random() < 0.2:
        fields["matter_types"] = (dice.choice(list(MatterType)),)
    if views and dice.random() < 0.3:
        fields["since"], fields["until"] = sorted(
            dice.choice(views).matter_viewed_at.replace(tzinfo=UTC) + timedelta(seconds=each) for each in (0, 1)
        )
    return Filter(**fields)


def views_of(outcome: Outcome) -> list[Any]:
    """Return the views of a state, each with its fields by name."""
    return [SimpleNamespace(**dict(zip(VIEW_COLUMNS.names, row, strict=True))) for row in sorted(outcome.views)]
