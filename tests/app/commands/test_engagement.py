"""``matterlog engagement`` as people run it: to read and as a file, offline and while a consumer owns the database."""

import csv
import hashlib
import io
import json
from contextlib import nullcontext
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import pytest
from typer.testing import CliRunner

from matterlog.app.commands import app
from matterlog.report.handover.register import FileRegister
from matterlog.report.log.filters import Filter
from matterlog.schemas import MatterType
from matterlog.schemas.storage.database_files import DatabaseFiles
from testbed.command import done, owned, run
from tests.report.charts.planted import planted_views, seen
from tests.report.logs import a_log

WEEK: Final = ("--from", "2026-03-23", "--to", "2026-03-29", "--timezone", "Europe/London")


@pytest.fixture(scope="module")
def planted(tmp_path_factory: pytest.TempPathFactory) -> DatabaseFiles:
    return a_log(tmp_path_factory.mktemp("planted"), *planted_views())


def asked(paths: DatabaseFiles, question: str, *options: str | Path) -> str:
    """What the command writes to standard output."""
    return done("engagement", question, "--database", paths.database, *WEEK, *options).text


def test_users_read_as_a_table_with_period_ground_and_rule(planted: DatabaseFiles) -> None:
    """What it says of the week that was planted."""
    text = asked(planted, "users")
    assert text.startswith("Users, 2026-03-23 to 2026-03-29, Europe/London; previous period from 2026-03-16\n")
    assert "Based on 20 of 96 views (18 visits). Log: 2026-02-09 09:00 to 2026-04-05 10:00. 7 demo" in text
    (ann,) = [line.split() for line in text.splitlines() if "Ann New" in line]
    assert ann == ["Ann", "New", "Member", "6", "+100%", "2", "5", "2026-03-27", "returning"]
    assert "3 new, 3 returning, 1 gone quiet, 1 long quiet" in text
    assert "gone quiet: seen in the period before, but not in this one" in " ".join(text.split())


@pytest.mark.parametrize("options", [["--include-demo"], ["--matter-type", "demo"]])
def test_a_table_says_that_demo_views_count(planted: DatabaseFiles, options: list[str]) -> None:
    """Where they do."""
    text = asked(planted, "users", *options)
    assert ("Demo views count." in text, "left out" in text) == (True, False)


def test_activity_reads_as_days_and_as_a_week(planted: DatabaseFiles) -> None:
    """Sunday has 23 hours; the week's grid is whole however few rows are asked for."""
    text = asked(planted, "activity", "--rows", "1")
    (sunday,) = [line for line in text.splitlines() if line.strip().startswith("Sun 2026-03-29")]
    assert sunday.split()[2:8] == ["23", "3", "0", "3", "2", "1"]
    assert "1 of 7 rows. --rows 0 shows all." in text
    assert "\nSun ▒▒ " in text


@pytest.mark.parametrize("question", ["users", "matters", "clients", "activity"])
@pytest.mark.parametrize("columns", [60, 80, 200])
def test_tables_fit_the_terminal(planted: DatabaseFiles, question: str, columns: int) -> None:
    """Spare columns and names give way, figures and days do not."""
    asked_for = ["engagement", question, "--database", str(planted.database), *WEEK]
    ended = CliRunner().invoke(app, asked_for, env={"COLUMNS": str(columns)})
    lines = ended.output.splitlines()
    assert ended.exit_code == 0, ended.output
    assert max(len(line) for line in lines) <= columns
    assert not [line for line in lines if "…" in line[30:]]
    assert question != "activity" or any(line.split()[-2:] == ["20", "22"] for line in lines)


def test_who_was_not_seen_in_so_many_days(planted: DatabaseFiles) -> None:
    """The table says what it looked for, and in what."""
    text = asked(planted, "users", "--quiet-for", "9")
    assert "Not seen in the last 9 days. Based on 96 views. Log:" in text
    assert ("Gus" in text, "Fay" in text) == (True, False)


def test_a_log_too_young_for_its_comparison_says_so(tmp_path: Path) -> None:
    """It begins after the period before does."""
    text = asked(a_log(tmp_path, *seen("bob", "m-1", "03-24 10:00")), "users")
    assert "The log starts after the start of the previous period" in text


def test_an_owner_answers_as_the_file_does(tmp_path: Path) -> None:
    """To the byte, in each analysis."""
    paths = a_log(tmp_path, *planted_views())
    questions = ("users", "matters", "clients", "activity")
    offline = [asked(paths, question, "--format", "json") for question in questions]
    with owned(paths):
        assert [asked(paths, question, "--format", "json") for question in questions] == offline
    assert [len(json.loads(text)) for text in offline] == [8, 5, 5, 7]


def test_a_question_that_the_owner_refuses_is_wrong_use(tmp_path: Path) -> None:
    """As it is without an owner."""
    paths = a_log(tmp_path)
    asked_for = ("engagement", "users", "--database", paths.database, "--from", "2999-01-01")
    alone = run(*asked_for)
    with owned(paths):
        through_owner = run(*asked_for)
    assert alone == through_owner
    assert alone.code == 2
    assert "the period begins at 2999-01-01T00:00:00+00:00, which is not before its end" in alone.err


def test_a_csv_file_holds_the_columns_and_no_formula(tmp_path: Path) -> None:
    """A name of 300 characters with all that breaks careless software comes back whole."""
    name = ('=1+1,"é"\r\n' * 40)[:300]
    paths = a_log(tmp_path, *seen("bob", "m-1", "03-24 10:00", user_name=name))
    out = tmp_path / "users.csv"
    done("engagement", "users", "--database", paths.database, *WEEK, "--output", out)
    (row,) = csv.DictReader(io.StringIO(out.read_bytes().decode(), newline=""))
    # A spreadsheet with another separator, or after a line break, would begin a cell there too.
    assert row["user_name"] == "'" + name.replace("\n=", "\n'=")
    assert (row["user_ID"], row["visits"], row["first_view_at"]) == ("bob", "1", "2026-03-24T10:00:00.000000Z")


def test_a_json_file_holds_names_as_they_are(tmp_path: Path) -> None:
    """And what is not known as null."""
    paths = a_log(tmp_path, *seen("bob", "m-1", "03-24 10:00", user_name="=1+1"))
    (row,) = json.loads(asked(paths, "users", "--format", "json"))
    assert (row["user_name"], row["trend"], row["status"]) == ("=1+1", None, "new")


def test_hours_of_the_week_are_a_file_of_168_rows(planted: DatabaseFiles) -> None:
    """One an hour."""
    rows = json.loads(asked(planted, "activity", "--by", "weekday-hour", "--format", "json"))
    assert len(rows) == 168
    assert sum(row["visits"] for row in rows) == 18


def test_who_was_expected_and_never_came(planted: DatabaseFiles, tmp_path: Path) -> None:
    """Out of a file as a spreadsheet saves it: with a byte-order mark, empty lines and the domains' @."""
    (tmp_path / "invited.txt").write_bytes("\ufeffAcme\r\n\r\n@delta.example\r\n@nobody.example \r\n".encode())
    text = asked(planted, "clients", "--expected", tmp_path / "invited.txt")
    (nobody,) = [line.split() for line in text.splitlines() if "nobody.example" in line]
    assert nobody[-2:] == ["never", "came"]
    assert "1 never came" in text


def test_the_last_thirty_whole_days_are_the_default(planted: DatabaseFiles) -> None:
    """Today included, whatever today is."""
    rows = json.loads(done("engagement", "activity", "--database", planted.database, "--format", "json").text)
    assert len(rows) == 30


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["users", "--by", "week"], "--by works only with engagement activity"),
        (["matters", "--quiet-for", "3"], "--quiet-for works only with engagement users"),
        (["users", "--expected", "x"], "--expected works only with engagement clients"),
        (["clients", "--expected", "missing.txt"], "missing.txt cannot be read"),
        (["users", "--all", "--last", "30d"], "--all cannot be combined with --last, --from or --to"),
        (["users", "--timezone", "Europe/Londres"], "'Europe/Londres' is not a time zone"),
        (["people"], "'people' is not one of 'users', 'matters', 'clients', 'activity'"),
    ],
)
def test_wrong_use_says_what_is_wrong(arguments: list[str], told: str, tmp_path: Path) -> None:
    """With the exit code of wrong use."""
    ended = run("engagement", *arguments, cwd=tmp_path)
    assert (ended.code, ended.out) == (2, b"")
    assert told in " ".join(ended.err.replace("│", " ").split())


@pytest.mark.parametrize("owner", [False, True])
def test_a_file_is_recorded_with_a_manifest_that_holds(tmp_path: Path, owner: bool) -> None:  # noqa: FBT001
    """By this process or by the owner; the register says on which views it rests."""
    paths = a_log(tmp_path, *planted_views())
    out = tmp_path / "users.csv"
    with owned(paths) if owner else nullcontext():
        done("engagement", "users", "--database", paths.database, *WEEK, "--output", out)
        asked(paths, "matters", "--format", "json")
    assert done("verify-extract", out).text.startswith(f"{out} matches")
    file, standard_output = FileRegister(paths.extracts).extracts()
    assert (file.analysis, file.how, file.name, file.rows) == ("users", "export", str(out), 8)
    assert file.sha256 == hashlib.sha256(out.read_bytes()).hexdigest()
    assert file.filter == Filter(until=datetime(2026, 3, 29, 23, tzinfo=UTC), matter_types=(MatterType.LIVE,))
    assert (standard_output.analysis, standard_output.name) == ("matters", "-")


def test_a_file_for_excel_begins_with_a_byte_order_mark(planted: DatabaseFiles, tmp_path: Path) -> None:
    """As that of an extract does, and in CSV alone."""
    out = tmp_path / "users.csv"
    done("engagement", "users", "--database", planted.database, *WEEK, "--output", out, "--excel")
    assert out.read_bytes().startswith(b"\xef\xbb\xbfuser_ID,")
    refused = run("engagement", "users", "--database", planted.database, "--output", tmp_path / "users.json", "--excel")
    assert (refused.code, "--excel is for CSV only" in refused.err) == (2, True)


def test_a_table_to_read_is_no_file(planted: DatabaseFiles) -> None:
    """Nothing is recorded of it."""
    before = FileRegister(planted.extracts).extracts()
    asked(planted, "users")
    assert FileRegister(planted.extracts).extracts() == before
