"""Users: who uses the platform, how much, and who came back or went quiet."""

from typing import Final

import pyarrow as pa

from matterlog.report.engagement.analyses.analysis_spec import (
    MEASURES,
    SEEN,
    TREND,
    AnalysisPage,
    AnalysisSpec,
    TableColumn,
    TextTable,
    change,
    day,
    text,
)
from matterlog.schemas.storage.statements import load_statements

SQL: Final = load_statements(__package__, "users.sql")

# One row for each known user, most visits first. ``matters``: how many different ones. ``active_days``: days with a
# visit. ``days_quiet``: midnights between the last view and the period's end. ``status``: new, returning, gone quiet,
# long quiet; null for all time. With ``quiet_for_days`` only users who were quiet for at least that long.
USERS: Final = AnalysisSpec(
    name="users",
    title="User engagement",
    columns=pa.schema(
        [
            ("user_ID", pa.string()),
            ("user_name", pa.string()),
            ("user_email", pa.string()),
            ("user_type", pa.string()),
            *MEASURES,
            ("matters", pa.int64()),
            ("active_days", pa.int64()),
            *SEEN,
            ("days_quiet", pa.int64()),
            *TREND,
            ("status", pa.string()),
        ]
    ),
    statement=SQL["users"],
    key="user_id",
    options=("quiet_for",),
    text=TextTable(
        heading="Users",
        rule="new: first view ever in this period. returning: seen earlier too. gone quiet: seen in the period before, "
        "but not in this one. long quiet: seen in neither.",
        columns=(
            TableColumn("user", "user_name", text),
            TableColumn("type", "user_type", text),
            TableColumn("visits", "visits"),
            TableColumn("trend", "trend", change),
            TableColumn("matters", "matters", is_spare=True),
            TableColumn("days", "active_days", is_spare=True),
            TableColumn("last view", "last_view_at", day),
            TableColumn("status", "status", text),
        ),
        state="status",
    ),
    page=AnalysisPage(
        lead="Who uses the platform, how much, and who may need a hand.",
        heading="Users",
        columns=(
            TableColumn("User", "user_name", text, below="user_email"),
            TableColumn("Type", "user_type", text),
            TableColumn("Visits", "visits"),
            TableColumn("Before", "visits_before"),
            TableColumn("Trend", "trend", change),
            TableColumn("Matters", "matters"),
            TableColumn("Active days", "active_days"),
            TableColumn("Last seen (UTC)", "last_view_at", day),
            TableColumn("Status", "status", text),
        ),
        views_by=("user", "user_ID"),
    ),
)
