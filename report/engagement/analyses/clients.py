"""Clients: how active outside parties are, and which expected ones never came."""

from importlib.resources import files
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
    percent,
    text,
)
from matterlog.report.log.filters import alike
from matterlog.schemas.storage.statements import load_statements

SQL: Final = load_statements(__package__, "clients.sql")
# The provider of each e-mail domain that people share without being colleagues: ``PROVIDER: DOMAIN DOMAIN ...`` a line.
# The list is written by hand and not complete: a missing domain counts as a client of its own.
_PROVIDERS: Final = files("matterlog.report.engagement").joinpath("public_mail.txt").read_text("utf-8").splitlines()
PUBLIC_MAIL: Final = {
    domain: name for name, _, all_ in (line.partition(": ") for line in _PROVIDERS) for domain in all_.split()
}

# One row for each known or expected outside party, most visits first. ``client_kind``: company, domain, public mail,
# expected. ``client_ID``: the company's ID, the domain, the provider, or the expected name. ``people``: in the period;
# ``people_known``: ever; ``reach`` = people / people_known. ``health``: active, cooling, gone quiet, never came; for
# all time null, except never came.
CLIENTS: Final = AnalysisSpec(
    name="clients",
    title="Client analysis",
    columns=pa.schema(
        [
            ("client_kind", pa.string()),
            ("client_ID", pa.string()),
            ("client_name", pa.string()),
            *MEASURES,
            ("matters", pa.int64()),
            ("people", pa.int64()),
            ("people_known", pa.int64()),
            ("reach", pa.float64()),
            *SEEN,
            *TREND,
            ("health", pa.string()),
        ]
    ),
    statement=SQL["clients"].replace("{parties}", SQL["parties"]),
    pieces={"expected": alike("expected"), "id": alike("client_id"), "name": alike("client_name")},
    view_columns="user_company_id, user_company_name, user_email",
    of_guests=True,
    options=("expected",),
    text=TextTable(
        heading="Clients",
        rule="gone quiet: no view in this period. cooling: at most half the visits of the period before, and fewer "
        "than chance explains. never came: expected, but without a view.",
        columns=(
            TableColumn("client", "client_name", text),
            TableColumn("visits", "visits"),
            TableColumn("trend", "trend", change),
            TableColumn("matters", "matters", is_spare=True),
            TableColumn("people", "people"),
            TableColumn("reach", "reach", percent, is_spare=True),
            TableColumn("last view", "last_view_at", day),
            TableColumn("health", "health", text),
        ),
        state="health",
    ),
    page=AnalysisPage(
        lead="How active outside parties are.",
        heading="Clients and public mail",
        columns=(
            TableColumn("Client", "client_name", text),
            TableColumn("Kind", "client_kind", text),
            TableColumn("Visits", "visits"),
            TableColumn("Before", "visits_before"),
            TableColumn("Trend", "trend", change),
            TableColumn("Matters", "matters"),
            TableColumn("People", "people"),
            TableColumn("Reach", "reach", percent),
            TableColumn("Last seen (UTC)", "last_view_at", day),
            TableColumn("Health", "health", text),
        ),
    ),
)
