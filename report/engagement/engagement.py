"""Engagement: who views which matters, how often and when. Each analysis is one Arrow table.

1. A **visit** is a series of views of one matter by one user, each at most 60 s after the one before. It counts when
   it begins. With ``raw_views`` each view is a visit.
2. Instants are UTC. Days, weeks (from Monday), months and hours are exactly those of the request's time zone.
3. Time is an argument: a period that reaches beyond the day of ``now`` ends with that day.
4. Everything is read from one committed state.
5. *Known* means seen at any time before the period's end, by the filter without its dates. Users, matters and clients
   that are known but did not come in the period are in the table, with zeros.

``docs/engagement.md`` gives the rules behind ``status``, ``mark`` and ``health``.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Annotated, Any, Final
from zoneinfo import ZoneInfo

import duckdb
import pyarrow as pa
import pyarrow.compute as pc
from pydantic import AfterValidator, AwareDatetime, BaseModel, Field

from matterlog.report.engagement.analyses import ANALYSES, Analysis
from matterlog.report.engagement.analyses.analysis_spec import AnalysisSpec
from matterlog.report.engagement.analyses.clients import PUBLIC_MAIL
from matterlog.report.engagement.engagement_period import Bucket, Period, buckets, last_day, offsets, period_end, wall
from matterlog.report.errors import TooManyRows
from matterlog.report.extracts.extract_statements import SQL as EXTRACT_SQL
from matterlog.report.extracts.extracts import OnSnapshot, take_any
from matterlog.report.log.filters import Filter, zone_of
from matterlog.report.log.snapshot import Snapshot, accepted_snapshot
from matterlog.schemas import MatterType, UserType
from matterlog.schemas.events import EARLIEST
from matterlog.schemas.instants import as_stored
from matterlog.schemas.storage.statements import load_statements

SQL: Final = load_statements(__package__, "engagement_views.sql")
# The fields with names and types of a user and of a matter, by their key.
_SHOWN: Final = {"user_id": "user_name, user_email, user_type", "matter_id": "matter_name, matter_type"}
_VIEW_COLUMNS: Final = "user_type, matter_viewed_at"
# Views are sorted, joined and counted by it in less than half the time. If two IDs have one hash, IDs are used instead.
_CODE: Final = "hash({id})"
_ASKED: Final = SQL["asked"].format(condition=EXTRACT_SQL["condition"])
_CHOSEN: Final = SQL["chosen"].format(asked=_ASKED)
# More users than these are looked up in a table of hashes. A list is looked through again for each view.
_FEW_USERS: Final = 20
# More is no table for people, and one question after another would take all of the machine.
MAX_BUCKET_ROWS: Final = 200_000
_PARAMETER: Final = re.compile(r"\$(\w+)")


class Names(StrEnum):
    """Which names are shown: the latest in the log, or those of the latest view that was counted."""

    LATEST = "latest"
    AS_VIEWED = "as-viewed"


class EngagementRequest(BaseModel, frozen=True, extra="forbid"):
    """An analyst's question.

    Args:
        analysis: which analysis.
        now: the instant of the question; no period reaches beyond its day.
        filter: which views. Without ``since`` the period is all time, and there is no period before it.
        timezone: an IANA name; days and hours are those of this time zone.
        by: the buckets of ``activity`` and ``matter-activity``.
        raw_views: count each view as a visit.
        names: which names, e-mail addresses, types and companies are shown.
        include_demo: count demo matters too. The filter's ``matter_types`` can also include them.
        quiet_for_days: ``users`` only: users whose last view is at least this many days before the period's end.
        expected: ``clients`` only: companies (ID or name) and domains that were expected to come.
    """

    analysis: Analysis
    now: AwareDatetime
    filter: Filter = Filter()
    timezone: Annotated[str, AfterValidator(lambda name: zone_of(name).key)] = "UTC"
    by: Bucket = Bucket.DAY
    raw_views: bool = False
    names: Names = Names.LATEST
    include_demo: bool = False
    quiet_for_days: Annotated[int, Field(ge=1, le=36_500)] | None = None
    expected: tuple[str, ...] = ()

    @property
    def spec(self) -> AnalysisSpec:
        return ANALYSES[self.analysis]

    @property
    def zone(self) -> ZoneInfo:
        return ZoneInfo(self.timezone)

    @property
    def rests_on(self) -> Filter:
        """Which views the answer is based on: those of the period, and all earlier ones, which say who is known."""
        changes: dict[str, Any] = {"since": None, "until": period_end(self.filter, self.now, self.zone)}
        if not self.include_demo and not self.filter.matter_types:
            changes["matter_types"] = (MatterType.LIVE,)
        if self.spec.of_guests and not self.filter.user_types:
            changes["user_types"] = (UserType.GUEST,)
        return self.filter.model_copy(update=changes)


class Facts(BaseModel, frozen=True, extra="forbid"):
    """The period and the totals of an engagement table.

    The period runs from ``since`` (included) to ``until`` (not included). For all time ``since`` is the beginning of
    the day of the first view, or ``until`` where there is no view. The period before runs from ``before_since`` to
    ``since``; None for all time. ``views`` and ``visits`` are the sums of the table's columns. The whole log has
    ``log_views``, from ``log_since`` to ``log_until``; both are None where it is empty. ``demo_views_left_out`` is
    the number of demo views in the period that were not counted, and ``later_views_left_out`` that of views after
    today which the filter would let in.
    """

    since: AwareDatetime
    until: AwareDatetime
    before_since: AwareDatetime | None
    views: int
    visits: int
    demo_views_left_out: int
    later_views_left_out: int = 0
    log_views: int
    log_since: AwareDatetime | None
    log_until: AwareDatetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Engagement:
    """The answer to a question: the table of the analysis, its period and totals, and the log's snapshot."""

    request: EngagementRequest
    table: pa.Table
    facts: Facts
    snapshot: Snapshot


def read_engagement(
    connection: duckdb.DuckDBPyConnection, request: EngagementRequest, on_snapshot: OnSnapshot = take_any
) -> Engagement:
    """Answer a question from one committed state.

    Args:
        connection: a reader's connection that nothing else uses meanwhile.
        request: the question.
        on_snapshot: takes a state, or wants a newer one.

    Raises:
        InvalidFilter: the period begins at or after its end, or after ``now``.
        TooManyRows: the table would have a row for each matter and bucket, and too many of them.
    """
    with accepted_snapshot(connection, lambda found: on_snapshot(found, None)) as snapshot:
        known = _of_filter(request)
        # With a beginning the first view of the whole log is early enough, and nothing has to be read for it.
        chosen = _CHOSEN if request.filter.since is None else "true"
        first_view = _fetch(connection, SQL["first_view"].format(chosen=chosen), known)[0][0].as_py()
        period = Period.of(request.filter, now=request.now, zone=request.zone, first_view=_utc(first_view))
        parameters = known | _of_period(request, period, _utc(first_view))
        if request.spec.is_by_matter_and_bucket:
            matters = _fetch(connection, SQL["matters"].format(chosen=_CHOSEN), known)[0][0].as_py()
            if (rows := matters * len(parameters["begins_on"])) > MAX_BUCKET_ROWS:
                text = f"the table would have {rows:,} rows, at most {MAX_BUCKET_ROWS:,} are allowed. Choose matters"
                raise TooManyRows(f"{text}, a shorter period or larger steps (--by)", "by", "from", "matter")
        exact = _fetch(connection, SQL["exact"].format(**_pieces(request, _CODE)), parameters)[0][0].as_py()
        statement = request.spec.statement.format(**_pieces(request, _CODE if exact else "{id}"))
        table = _fetch(connection, statement, parameters).cast(request.spec.columns)
        (log,) = _fetch(connection, SQL["log"].format(asked=_ASKED), parameters).to_pylist()
    return Engagement(request=request, table=table, facts=_facts(period, table, log), snapshot=snapshot)


def _fetch(connection: duckdb.DuckDBPyConnection, statement: str, parameters: Mapping[str, Any]) -> pa.Table:
    used = {name: parameters[name] for name in set(_PARAMETER.findall(statement))}
    return connection.sql(statement, params=used).to_arrow_table()


def _pieces(request: EngagementRequest, code: str) -> dict[str, str]:
    """Return the SQL for the placeholders of statements; users and matters are told apart by ``code``."""
    spec = request.spec
    named = "true" if request.names is Names.LATEST else _CHOSEN
    columns = f"{_VIEW_COLUMNS}, {spec.view_columns}" if spec.view_columns else _VIEW_COLUMNS
    shared = {"chosen": _CHOSEN, "named": named, "scanned": SQL["scanned"].format(chosen=_CHOSEN)}
    shared |= {name: code.format(id=f"{name}_id") for name in ("user", "matter")}
    return shared | {
        **spec.pieces,
        "code": code.format(id="id"),
        "views": SQL["views"].format(columns=columns, **shared),
        "known": SQL["known"].format(key=spec.key, code=code.format(id=spec.key), fields=_SHOWN[spec.key], **shared),
        "trend": SQL["trend"],
        "bucket": SQL["bucket"].format(by=request.by),
    }


def _of_filter(request: EngagementRequest) -> dict[str, Any]:
    """Return the parameters that do not depend on the period."""
    demo = request.include_demo or MatterType.DEMO in request.filter.matter_types
    until = as_stored(period_end(request.filter, request.now, request.zone))
    from_the_beginning = {"since": None, "until": until, "arrived_after": None}
    counted = {"include_demo": demo, "of_guests": request.spec.of_guests}
    users = list(request.filter.users)
    people = {"people": None} if len(users) <= _FEW_USERS else {"users": None, "people": users}
    return request.filter.parameters() | from_the_beginning | counted | people


def _of_period(request: EngagementRequest, period: Period, first_view: datetime | None) -> dict[str, Any]:
    scan_since = _scan_since(request, period)
    zone = list(offsets(min(first_view or scan_since, scan_since), period.until, request.zone))
    calendar = list(buckets(period, request.by, request.zone, request.now))
    return {
        "period_since": as_stored(period.since),
        "before_since": as_stored(period.before_since),
        "scan_since": as_stored(scan_since),
        # A week of marks has seven times 24 hours, or a mark would depend on the hour at which it is looked at.
        "until_local": wall(min(period.until, request.now), request.zone),
        "asked_until": as_stored(request.filter.until),
        "last_day": last_day(period, request.zone),
        "zone_since": [as_stored(since) for since, _, _ in zone],
        "zone_until": [as_stored(until) for _, until, _ in zone],
        "zone_offsets": [offset for _, _, offset in zone],
        "begins_on": [day for day, _ in calendar],
        "hours": [hours for _, hours in calendar],
        "raw_views": request.raw_views,
        "quiet_for_days": request.quiet_for_days,
        "expected": list(request.expected),
        "mail_domains": list(PUBLIC_MAIL),
        "mail_providers": list(PUBLIC_MAIL.values()),
    }


def _scan_since(request: EngagementRequest, period: Period) -> datetime:
    """Return the first instant whose views the analysis counts; first and last views are looked up without it."""
    begins = period.since if period.before_since is None else period.before_since
    return max(min(begins, period.until - request.spec.looks_back), EARLIEST)


def _facts(period: Period, table: pa.Table, log: Mapping[str, Any]) -> Facts:
    return Facts(
        since=period.since,
        until=period.until,
        before_since=period.before_since,
        views=pc.sum(table["views"]).as_py() or 0,
        visits=pc.sum(table["visits"]).as_py() or 0,
        demo_views_left_out=log["demo_views_left_out"],
        later_views_left_out=log["later_views_left_out"],
        log_views=log["log_views"],
        log_since=_utc(log["log_since"]),
        log_until=_utc(log["log_until"]),
    )


def _utc(stored: datetime | None) -> datetime | None:
    """Return a time of the table as an instant."""
    return None if stored is None else stored.replace(tzinfo=UTC)
