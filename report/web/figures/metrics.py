"""The metrics for Prometheus: of the pipeline, the log and the exports, in a registry of the site's own.

Names follow Prometheus' rules: base units, and ``_total`` at the end of counters. No label holds data of the log.
"""

import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

from matterlog.report.errors import LogUnavailable
from matterlog.report.log.reader import read_positions
from matterlog.report.purges.receipts import read_page
from matterlog.report.web.figures.log_questions import rows_of
from matterlog.report.web.figures.ports import Log, Phase, Pipeline, PipelineState
from matterlog.schemas.instants import is_ahead, utc_now

_EXPORT_SECONDS: Final = (0.1, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 1800.0)
_HELD: Final = {
    "rows": "Rows in the activity table.",
    "purges": "Matters that were deleted.",
    "purges_overdue": "Deletions with a stage that is not done although the deadline has passed.",
    "dead_letters": "Messages kept because they could not be read as events.",
    "gaps": "Ranges of missing records, which Kafka removed before they were read.",
    "tombstones": "Tombstones that the broker has not acknowledged yet.",
    "removals": "Removals whose bytes may still be in the database file.",
}
_APPLIED: Final = {
    "batches": "Batches applied since the process started.",
    "records": "Records applied since the process started.",
    "views": "Views stored since the process started.",
    "duplicates": "Views dropped because their event ID was known, since the process started.",
    "refused": "Views refused because their matter is deleted, since the process started.",
    "deletions": "Deletions applied since the process started.",
    "views_purged": "Stored views that deletions removed since the process started.",
    "dead_letters": "Messages that could not be read as events, since the process started.",
}


class SiteMetrics:
    """The site's metrics. Code that makes extracts calls ``export``. ``backup_due`` tells when a backup is due."""

    def __init__(self, log: Log, pipeline: Pipeline, backup_due: Callable[[], datetime | None] = lambda: None) -> None:
        self._registry = CollectorRegistry()
        self._exports = Counter(
            "matterlog_exports", "Extracts, by format and outcome.", ["format", "outcome"], registry=self._registry
        )
        self._export_seconds = Histogram(
            "matterlog_export_seconds", "How long an extract took.", ["format"],
            registry=self._registry, buckets=_EXPORT_SECONDS,
        )  # fmt: skip
        says = "Sign-ins refused for a wrong password or code, or during a pause, since the process started."
        self.sign_ins_refused = Counter("matterlog_sign_ins_refused", says, registry=self._registry)
        self._registry.register(_Figures(log, pipeline, backup_due))

    @contextmanager
    def export(self, kind: str) -> Iterator[None]:
        """Count and time an extract. It has failed if the block raises."""
        began, outcome = time.monotonic(), "failed"
        try:
            yield
            outcome = "done"
        finally:
            self._exports.labels(kind, outcome).inc()
            self._export_seconds.labels(kind).observe(time.monotonic() - began)

    def text(self) -> bytes:
        """Return all metrics in Prometheus' text format."""
        return generate_latest(self._registry)


class _Figures:
    """The collector that asks the pipeline and the log at each scrape."""

    def __init__(self, log: Log, pipeline: Pipeline, backup_due: Callable[[], datetime | None]) -> None:
        self._log = log
        self._pipeline = pipeline
        self._backup_due = backup_due

    def collect(self) -> Iterable[Metric]:
        state = self._pipeline.state()
        phases = GaugeMetricFamily("matterlog_pipeline_phase", "1 for the consumer's current phase.", labels=["phase"])
        for phase in Phase:
            phases.add_metric([phase], float(state.phase is phase))
        yield phases
        for name, text in _APPLIED.items():
            yield CounterMetricFamily(f"matterlog_applied_{name}", text, state.applied.get(name, 0))
        restarts = "How often the database was reopened since the process started."
        yield CounterMetricFamily("matterlog_store_restarts", restarts, state.store_restarts)
        if state.last_applied_at is not None:
            at = state.last_applied_at.timestamp()
            yield GaugeMetricFamily("matterlog_last_applied_timestamp_seconds", "When a batch was last applied.", at)
        if (by := self._backup_due()) is not None:
            yield GaugeMetricFamily("matterlog_backup_due_timestamp_seconds", "The next backup is due.", by.timestamp())
        yield from self._of_the_log(state)

    def _of_the_log(self, state: PipelineState) -> Iterable[Metric]:
        try:
            with self._log.reader() as connection:
                held, stored = rows_of(connection, "counts")[0], read_positions(connection)
                held["purges_overdue"] = read_page(connection, overdue_within=state.erase_within, limit=0).total
        except LogUnavailable:
            yield GaugeMetricFamily("matterlog_store_up", "1 while the database answers.", 0)
            return
        yield GaugeMetricFamily("matterlog_store_up", "1 while the database answers.", 1)
        for name, text in _HELD.items():
            yield GaugeMetricFamily(f"matterlog_{name}", text, held[name])
        if held["oldest_removal_at"] is not None:
            says = "By when the oldest removal has to be out of the database file."
            at, now = held["oldest_removal_at"].replace(tzinfo=UTC), utc_now()
            by = now if is_ahead(at, now) else at + state.erase_within
            yield GaugeMetricFamily("matterlog_erasure_deadline_timestamp_seconds", says, by.timestamp())
        lags = GaugeMetricFamily("matterlog_lag_records", "Offsets still to be read.", labels=["topic", "partition"])
        for each in state.with_ends(stored):
            if each.lag is not None:
                lags.add_metric([each.topic, str(each.partition)], each.lag)
        yield lags
