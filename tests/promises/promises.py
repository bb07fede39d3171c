"""What matterlog promises, what holds each promise, and what is not shown: the table behind docs/promises.md.

A file of tests belongs to the promise that names it, or else its folder. A planted fault belongs to the promise of its
test.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[2]
FAULTS: Final = "tests/faults"


@dataclass(frozen=True, slots=True, kw_only=True)
class Promise:
    """A promise.

    Args:
        title: in a few words.
        says: in a sentence or two.
        tests: the folders and files of tests that hold it, below tests/.
        beside: what else holds it.
        not_shown: what is assumed, or was not tried.
    """

    title: str
    says: str
    tests: tuple[str, ...]
    beside: tuple[str, ...] = ()
    not_shown: tuple[str, ...]


PROMISES: Final = (
    Promise(
        title="Nothing lost, nothing doubled, nothing resurrected",
        says="The log holds all valid views ever sent but those of deleted matters, whatever crashes, and however "
        "messages are repeated, reordered or replayed.",
        tests=(
            "producers",
            "schemas",
            "consumers/contract",
            "consumers/database",
            "consumers/reading",
            "consumers/recovery",
            "consumers/test_consumer_kafka.py",
            "consumers/test_cut_topics_kafka.py",
            "consumers/test_expired_rereads_kafka.py",
            "app/commands/test_backups.py",
            "app/commands/test_emit.py",
            "app/commands/test_round_trip.py",
            "app/files/test_import_records.py",
            "test_table_versions.py",
            "faults/simulator",
            "faults/cluster",
            "faults/test_kill.py",
            "faults/test_kill_recovery.py",
            "faults/test_kill_upgrade.py",
        ),
        not_shown=(
            "Kafka keeps what it acknowledged until it is read. Records that a cluster lost unread are nowhere.",
            "A disk keeps what it was told to keep. Processes are killed here, but no machine loses its power.",
            "A topic is cut where the last record that was read goes too. Where that one stays, nothing tells.",
            "The platform never gives the ID of a deleted matter to another matter.",
            "Folders are on a local disk of Linux. Network file systems and other systems were not tried.",
        ),
    ),
    Promise(
        title="A purge reaches the bytes",
        says="A deletion reaches the table, the database file, the write-ahead log, backups, dead letters, kept "
        "extracts and the topic by the deadline. A receipt says when each was done. A search that can fail looks for "
        "the bytes.",
        tests=(
            "consumers/erasure",
            "consumers/contract/test_removals.py",
            "consumers/database/test_late_views.py",
            "report/purges/test_receipts.py",
            "app/commands/test_erase.py",
            "app/commands/test_purges.py",
            "app/commands/test_verify_purge.py",
            "app/service/test_tombstone_sending.py",
            "app/topics/test_topics_check.py",
            "app/topics/test_topics_check_kafka.py",
            "faults/test_erase_kills.py",
        ),
        not_shown=(
            "Places that no program reaches: docs/erasure.md lists them under *What is not covered*.",
            "The broker's log cleaner removes what is compacted. A test reads a real broker's files, of one version.",
        ),
    ),
    Promise(
        title="An extract is complete or it is an error",
        says="No cap, no half-written file, no row outside the filter, UTC on any host. It always ends, also while "
        "matters are deleted. A later deletion names it in its recall list.",
        tests=(
            "report/extracts",
            "report/handover",
            "report/log/test_filters.py",
            "report/purges/test_recall.py",
            "report/web/extracts",
            "report/web/pages/test_activity_report.py",
            "report/web/pages/test_activity_browser.py",
            "report/web/test_api.py",
            "report/web/test_api_extracts.py",
            "schemas/test_durable.py",
            "schemas/test_formula_guard.py",
            "app/commands/test_diff.py",
            "app/commands/test_export.py",
            "app/commands/test_series.py",
            "app/files",
            "faults/test_extracts_under_deletions.py",
        ),
        not_shown=(
            "Excel and Power BI are not run. LibreOffice opens the files where it is installed, as do other libraries.",
            "Files that left matterlog otherwise than by its commands and its site are in no recall list.",
        ),
    ),
    Promise(
        title="Readers are never locked out",
        says="Reports can be read while the pipeline writes, and show a committed state.",
        tests=(
            "report/log",
            "app/owner",
            "app/service/test_connections.py",
            "report/web/extracts/test_turns.py",
            "report/web/http/test_empty_and_away.py",
            "consumers/database/test_ownership.py",
            "schemas/test_database_files.py",
            "schemas/test_scratch_folders.py",
        ),
        not_shown=(
            "While a database is recovered, and for a moment at the end of a rewrite, readers wait.",
            "On a lake, a reader that takes longer than an erasure waits is ended, and told so.",
        ),
    ),
    Promise(
        title="A bad message costs only itself",
        says="It is kept whole, counted, shown, and retried or discarded. The batch around it goes on.",
        tests=(
            "consumers/contract/test_dead_letters.py",
            "faults/fuzzing",
            "consumers/reading/test_decode.py",
            "consumers/reading/test_fast_decode.py",
            "consumers/reading/test_schema_registry.py",
            "consumers/test_hostile_records_kafka.py",
            "consumers/test_large_messages_kafka.py",
            "consumers/test_waiting_views_kafka.py",
            "schemas/test_codec.py",
            "app/commands/test_dead_letters.py",
            "app/commands/test_waiting_views.py",
        ),
        not_shown=(
            "Too many bad messages in a row stop the reading of their topic on purpose (`max_dead_letters`).",
            "The libraries that decode do not end the process for bytes that no test has tried.",
        ),
    ),
    Promise(
        title="Fast",
        says="Reading costs close to what it costs to read the messages, an export what DuckDB's own writer takes, and "
        "figures come within a second at ten million views.",
        tests=(),
        beside=("benchmarks/results.md has each figure beside its goal, and those that miss it.",),
        not_shown=(
            "No test measures speed. It is measured by hand, with `make bench`, on one kind of machine.",
            "More than ten million views in one file are in no result.",
        ),
    ),
    Promise(
        title="The same on one machine or many",
        says="The log on a lake keeps every promise above. Each test of tests/consumers/contract runs on both stores.",
        tests=(
            "consumers/lake",
            "schemas/test_lake.py",
            "app/commands/test_lake.py",
            "test_embedded_postgresql.py",
            "faults/test_lake_faults.py",
        ),
        not_shown=(
            "Storage is a folder, or moto's server for S3. Amazon's own S3 and other storages were not tried.",
            "PostgreSQL is real, on the same machine. Its standbys and a failover were not tried.",
            "All processes ran on one machine. A clock that differs is simulated.",
        ),
    ),
    Promise(
        title="Nothing fails silently",
        says="All that is lost, late, refused or not looked at is told to somebody who can act, in plain words.",
        tests=(
            "monitoring",
            "app/service",
            "app/terminal",
            "app/topics",
            "app/test_main.py",
            "app/test_settings.py",
            "app/commands/test_broker_away.py",
            "app/commands/test_ending.py",
            "app/commands/test_status.py",
            "app/commands/test_use.py",
            "consumers/test_worker.py",
            "report/web/pages/test_operations_pages.py",
            "report/web/pages/test_overview.py",
            "test_messages_documented.py",
            "test_systemd_units.py",
            "test_words.py",
        ),
        not_shown=(
            "Somebody reads what is told. Alarms need a Prometheus, and a way to the people who act.",
            "Grafana does not run here. A real Prometheus answers the dashboard's queries.",
            "A command alone (`consume`, a lake) has no metrics. Exit codes, the log and `status` tell.",
        ),
    ),
    Promise(
        title="Engagement follows its written rules",
        says="Each figure, mark and picture is what docs/engagement.md says, in the reader's own time zone.",
        tests=(
            "report/engagement",
            "report/charts",
            "report/web/figures",
            "report/web/pages",
            "app/commands/test_engagement.py",
            "app/commands/test_plot.py",
        ),
        not_shown=("People open matters in the web app alone. Work in other programs is in no figure.",),
    ),
    Promise(
        title="Only those who may see or change something can",
        says="Accounts, roles, tokens, the owner's socket and files let in those whom they should. The audit log says "
        "who did what.",
        tests=(
            "report/web/identity",
            "report/web/http",
            "app/owner/test_rights.py",
            "app/commands/test_accounts.py",
            "app/commands/test_private_files.py",
            "app/topics/test_kafka_rights.py",
        ),
        beside=("docs/security.md goes through OWASP's ASVS section by section.",),
        not_shown=(
            "Root and the user of the service can change every file, and the audit log with them.",
            "Identity providers are played by a server of the tests. Entra, Okta and others were not tried.",
            "No test by somebody from outside, who tries to break in, is part of the project.",
        ),
    ),
)
# What belongs to no promise: how the project is built and kept.
KEPT: Final = (
    "app/commands",
    "app/demo",
    "app/test_new_format.py",
    "report/web/guide",
    "report/web/pages/test_toy_analysis.py",
    "report/test_sqlite_tables.py",
    "test_apache_kafka.py",
    "test_architecture.py",
    "test_changing_a_column.py",
    "test_consoles.py",
    "test_distribution.py",
    "test_documents.py",
    "test_mutants.py",
    "test_promises.py",
)


def files_of_tests() -> list[str]:
    """Return every file of tests, as its path in the project."""
    return sorted(path.relative_to(ROOT).as_posix() for path in (ROOT / "tests").rglob("test_*.py"))


def promise_of(file: str) -> Promise | None:
    """Return the promise to which a file of tests belongs; None for those of how the project is kept.

    Raises:
        KeyError: nobody names it, or its folder.
    """
    named = {place: promise for promise in PROMISES for place in promise.tests} | dict.fromkeys(KEPT)
    parts = file.removeprefix("tests/").split("/")
    for length in range(len(parts), 0, -1):
        if (place := "/".join(parts[:length])) in named:
            return named[place]
    raise KeyError(file)
