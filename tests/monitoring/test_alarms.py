"""Each alarm fires in its case, alone, and not before its time; a healthy service is silent. promtool says so."""

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pytest

from tests.monitoring.queries import ROOT, RULES, alarms
from tests.test_documents import OPERATIONS

PROMTOOL: Final = shutil.which("promtool")
needs_promtool = pytest.mark.skipif(PROMTOOL is None, reason="no promtool: `apt-get install prometheus`")
ALARMS: Final = {alarm.name: alarm for alarm in alarms()}
# For how many minutes everything works before a case begins, and how long after the alarm's time it is looked for.
HEALTHY_MINUTES: Final = 20
LOOKED_AT_MINUTES: Final = 17
LAG: Final = 'matterlog_lag_records{partition="0",topic="matter-views"}'
FAILED: Final = 'matterlog_exports_total{format="csv",outcome="failed"}'
DEADLINE: Final = "matterlog_erasure_deadline_timestamp_seconds"
PHASES: Final = ("off", "starting", "consuming", "views-waiting", "views-stopped", "waiting", "stopped")
# What promtool repeats: "0+10" begins at 0 and rises by 10 a minute, "_" is a scrape without this metric.
HEALTHY: Final = {
    "up": "1+0",
    "matterlog_store_up": "1+0",
    "matterlog_store_restarts_total": "0+0",
    LAG: "0+0",
    "matterlog_applied_batches_total": "0+60",
    "matterlog_purges_overdue": "0+0",
    DEADLINE: "100000+0",
    "matterlog_tombstones": "0+0",
    "matterlog_dead_letters": "0+0",
    "matterlog_gaps": "0+0",
    "matterlog_backup_due_timestamp_seconds": "86400+0",
    FAILED: "0+0",
    "matterlog_sign_ins_refused_total": "0+0",
    **{f'matterlog_pipeline_phase{{phase="{phase}"}}': f"{int(phase == 'consuming')}+0" for phase in PHASES},
}


def phase(name: str) -> dict[str, str]:
    """The series while the consumer is in another phase."""
    return {f'matterlog_pipeline_phase{{phase="{each}"}}': f"{int(each == name)}+0" for each in ("consuming", name)}


# Records wait, and no batch is applied.
STANDING_STILL: Final = {LAG: "5+5", "matterlog_applied_batches_total": "1200+0"}


@dataclass(frozen=True, slots=True)
class Case:
    """What happens, the alarm that it sets off (None if it sets off none), and for how many minutes it does not yet."""

    what: str
    alarm: str | None
    series: dict[str, str]
    silent_minutes: int = 0


CASES: Final = (
    Case("everything works", None, {}),
    Case("nobody uses the platform", None, {"matterlog_applied_batches_total": "1200+0"}),
    Case("a site without a consumer", None, phase("off") | {LAG: "_"}),
    Case("a little lag while batches are applied", None, {LAG: "5+0"}),
    Case("a deletion that waits for its rewrite", None, {DEADLINE: "100000+0", "matterlog_removals": "1+0"}),
    Case("two people forgot their passwords", None, {"matterlog_sign_ins_refused_total": "0+1"}),
    Case("the process is gone", "MatterlogDown", dict.fromkeys(HEALTHY, "_") | {"up": "0+0"}, 5),
    Case("it restarts every five minutes", "MatterlogRestarts", {"up": "0 1 1 1 1 " * 100}),
    Case("the database is away", "MatterlogDatabaseDown", {"matterlog_store_up": "0+0", LAG: "_"}, 5),
    Case("the disk fails", "MatterlogDatabaseReopened", {"matterlog_store_restarts_total": "0+1"}),
    Case("a damaged database", "MatterlogConsumerStopped", phase("stopped") | STANDING_STILL, 2),
    Case("the consumer waits", "MatterlogConsumerWaits", phase("waiting") | STANDING_STILL, 15),
    Case(
        "it reads for a moment between waits",
        "MatterlogConsumerWaits",
        {'matterlog_pipeline_phase{phase="waiting"}': "1 0 " * 200},
    ),
    Case("an expired position, a cut topic", "MatterlogViewsStopped", phase("views-stopped") | STANDING_STILL, 2),
    Case("a schema registry that is away", "MatterlogViewsWait", phase("views-waiting") | STANDING_STILL, 30),
    Case("a broker that is away while views wait", "MatterlogKafkaAway", phase("views-waiting") | {LAG: "_"}, 10),
    Case("a broker that went away", "MatterlogKafkaAway", {LAG: "_"}, 10),
    Case("a broker that was never there", "MatterlogKafkaAway", phase("starting") | {LAG: "_"}, 10),
    Case("two partitions lag together", "MatterlogLag", {LAG: "60000+0", LAG.replace('"0"', '"1"'): "60000+0"}, 15),
    Case("the consumer hangs", "MatterlogNoProgress", STANDING_STILL, 20),
    Case("a stage of a purge is late", "MatterlogErasureOverdue", {"matterlog_purges_overdue": "1+0"}, 5),
    Case("the file was not rewritten", "MatterlogErasureOverdue", {DEADLINE: "1200+0"}, 5),
    Case("rewrites fail", "MatterlogErasureDueSoon", {DEADLINE: "20000+0"}, 15),
    Case("no right to write tombstones", "MatterlogTombstonesWait", {"matterlog_tombstones": "3+0"}, 60),
    Case("a message that cannot be read", "MatterlogDeadLetters", {"matterlog_dead_letters": "1+0"}, 15),
    Case("records expired", "MatterlogMissingRecords", {"matterlog_gaps": "1+0"}),
    Case("backups fail", "MatterlogBackupOverdue", {"matterlog_backup_due_timestamp_seconds": "-20000+0"}, 15),
    Case("extracts fail", "MatterlogExportsFail", {FAILED: "0+1"}),
    Case("somebody guesses passwords", "MatterlogSignInsRefused", {"matterlog_sign_ins_refused_total": "0+10"}),
)


def test_each_alarm_has_a_case() -> None:
    """And no case is for an alarm that is gone."""
    assert {case.alarm for case in CASES} - {None} == set(ALARMS)


@needs_promtool
def test_each_alarm_fires_in_its_case_alone_and_not_before_its_time(tmp_path: Path) -> None:
    """Each case is an instance of its own beside the others, but the one in which Prometheus knows none."""
    instances = {f"case-{number}": case for number, case in enumerate(CASES)}
    tests = [
        {
            "interval": "1m",
            "input_series": [each for name, case in instances.items() for each in _series_of(name, case)],
            "promql_expr_test": [each for name, case in instances.items() for each in _questions(name, case)],
        },
        {"interval": "1m", "promql_expr_test": [_question("", 5, "MatterlogDown")]},
    ]
    shutil.copy(RULES, tmp_path)
    (tmp_path / "cases.yml").write_text(json.dumps({"rule_files": [RULES.name], "tests": tests}), encoding="utf-8")
    command = [str(PROMTOOL), "test", "rules", str(tmp_path / "cases.yml")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, (list(enumerate(CASES)), done.stdout + done.stderr)


def _series_of(instance: str, case: Case) -> Iterator[dict[str, str]]:
    """Write the metrics of a case: everything works at first."""
    for name in HEALTHY | case.series:
        usual = HEALTHY.get(name, "_")
        before, since = _repeated(usual, HEALTHY_MINUTES), _repeated(case.series.get(name, _going_on(usual)), 90)
        metric, _, labels = name.partition("{")
        where = f'job="matterlog",instance="{instance}"'
        yield {"series": f"{metric}{{{where},{labels or '}'}", "values": f"{before} {since}"}


def _repeated(values: str, minutes: int) -> str:
    """Write values in promtool's way, in which the first of rising ones is not counted."""
    return values if " " in values else f"{values}x{minutes - ('+' in values)}"


def _going_on(values: str) -> str:
    """Return how a healthy metric goes on."""
    begins, _, rises = values.partition("+")
    return f"{int(begins) + HEALTHY_MINUTES * int(rises)}+{rises}" if rises else values


def _questions(instance: str, case: Case) -> Iterator[dict[str, Any]]:
    """Ask for all alarms of a case: none before, none until the alarm's time is over, and then this one."""
    yield _question(instance, HEALTHY_MINUTES - 1, None)
    if case.silent_minutes:
        yield _question(instance, HEALTHY_MINUTES + case.silent_minutes - 1, None)
    yield _question(instance, HEALTHY_MINUTES + case.silent_minutes + LOOKED_AT_MINUTES, case.alarm)


def _question(instance: str, minute: int, alarm: str | None) -> dict[str, Any]:
    return {
        "expr": f'count by (alertname) (ALERTS{{alertstate="firing",instance="{instance}"}})',
        "eval_time": f"{minute}m",
        "exp_samples": [{"labels": f'{{alertname="{alarm}"}}', "value": 1}] if alarm else [],
    }


@pytest.mark.parametrize("alarm", ALARMS.values(), ids=lambda alarm: alarm.name)
def test_each_alarm_says_what_is_wrong_how_urgent_it_is_and_where_to_read_on(alarm: Any) -> None:
    """In sentences, with a link to its part of the operators' document."""
    assert alarm.severity in {"page", "ticket"}
    assert set(alarm.texts) == {"summary", "description", "runbook_url"}
    assert re.fullmatch(r"[A-Z][^.]{10,60}", alarm.texts["summary"])
    assert re.fullmatch(r"(?:[A-Z{][^;]*\.)", alarm.texts["description"])
    assert alarm.texts["runbook_url"] == f"docs/operations.md#{alarm.name.lower()}"


def test_each_alarm_has_its_part_in_operations_and_each_part_its_alarm() -> None:
    """In the order of the file, with its severity."""
    parts = re.findall(r"^### (Matterlog\w+)\n\nSeverity: (\w+)\. ", OPERATIONS, re.MULTILINE)
    assert parts == [(alarm.name, alarm.severity) for alarm in ALARMS.values()]
    assert len(re.findall(r"^### Matterlog", OPERATIONS, re.MULTILINE)) == len(parts)
    assert (ROOT / "docs" / "monitoring" / RULES.name).is_file()
