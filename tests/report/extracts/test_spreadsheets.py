"""No text of a CSV file of ours runs in a spreadsheet, whichever separator that splits the lines at."""

import csv
import io
import re
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Final

import pyarrow as pa
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from matterlog.report.engagement.engagement_files import write_table
from matterlog.report.extracts.formats import CSV
from matterlog.report.web.identity.audit_log import Act, Actor, AuditLog
from matterlog.report.web.identity.site_database import SiteDatabase
from matterlog.schemas import MatterViewed
from matterlog.schemas.formula_guard import without_formula_guard
from testbed.command import done
from testbed.events import NOON, a_view
from tests.app.files.test_import_records import events
from tests.report.logs import a_log, extract_of

SIGNS: Final = "=+-@＝＋－＠"  # noqa: RUF001 - the full-width twins
SEPARATORS: Final = (",", ";", "\t")
BLANKS: Final = "\t\r\n"
# What a spreadsheet may take for the beginning of a formula: at the beginning of a line or behind a separator.
BEGINS_A_FORMULA: Final = re.compile(rf'(?:^|[,;\t\r\n])["\t\r\n]*[{re.escape(SIGNS)}]')
TEXTS: Final = st.text(st.sampled_from([*"=+-@＝'\",;\t\r\n ax1"]), max_size=12)  # noqa: RUF001 - as above
NASTY: Final = (
    *("A;=1+1;", 'A;"=1+1"', "A;'=1", "A;''=1", "A;\"'=1", "A\t=1", "A\n=1", "A\r\n@SUM(1;2)", "A,=1", ";-1", ";＝1"),  # noqa: RUF001
    *("=1;=1", "'=1;'=1", ";\t=1", '";""=1+1""', "A;'B", "A;\"'B", ";;=1", "a\r=1\r", '"\n"=1', "=", ";=", '";'),
)


def cells(data: bytes, separator: str) -> Iterator[str]:
    """Each cell as a lenient reader splits the lines; but for numbers, which are no text of anybody."""
    for row in csv.reader(io.StringIO(data.decode(), newline=""), delimiter=separator):
        yield from (cell for cell in row if not re.fullmatch(r"[+-]?[\d.]+", cell))


def table_of(texts: list[str]) -> bytes:
    """An engagement table whose first and last columns are these texts, as the writer of every extract writes it."""
    written: list[bytes] = []
    numbers = pa.array(range(len(texts)))
    table = pa.table({"user_name": pa.array(texts, pa.string()), "visits": numbers, "matter_name": texts[::-1]})
    write_table(table, CSV, written.append, Path(tempfile.gettempdir()))
    return b"".join(written)


@given(st.lists(TEXTS, min_size=1, max_size=8))
@example(list(NASTY))
def test_no_cell_begins_a_formula_under_any_separator(texts: list[str]) -> None:
    """As a lenient reader finds the cells, and as the bytes stand behind each separator; the value comes back whole."""
    data = table_of(texts)
    for separator in SEPARATORS:
        assert [cell for cell in cells(data, separator) if cell.lstrip(BLANKS).startswith(tuple(SIGNS))] == []
    assert BEGINS_A_FORMULA.search(data.decode()) is None
    rows = list(csv.DictReader(io.StringIO(data.decode(), newline=""), strict=True))
    assert [without_formula_guard(row["user_name"]) for row in rows] == texts
    assert [without_formula_guard(row["matter_name"]) for row in rows] == texts[::-1]


def nasty_views() -> list[MatterViewed]:
    """A view for each of the names, which stand in every column of free text."""
    ids = [re.sub(r"[\r\n\t]", "", name) for name in NASTY]
    return [
        a_view(user_id=i, user_name=n, matter_id=i, matter_name=n, matter_viewed_at=NOON + timedelta(seconds=place))
        for place, (n, i) in enumerate(zip(NASTY, ids, strict=True))
    ]


def extract(folder: Path) -> bytes:
    return extract_of(a_log(folder, *nasty_views()), format="csv", excel=True)


def engagement(folder: Path) -> bytes:
    paths = a_log(folder, *nasty_views())
    options = ("--from", f"{NOON:%Y-%m-%d}", "--to", f"{NOON:%Y-%m-%d}", "--output", folder / "users.csv")
    done("engagement", "users", *options, "--database", paths.database)
    return (folder / "users.csv").read_bytes()


def audit_log(folder: Path) -> bytes:
    log = AuditLog(SiteDatabase(folder / "x.accounts"))
    for name in NASTY:
        log.add(Act.SIGNED_IN, Actor(account=name), {"x": name})
    return b"".join(log.as_csv())


FILES: Final = (extract, engagement, audit_log)


@pytest.mark.parametrize("file", FILES)
def test_every_file_holds_no_formula_under_any_separator(tmp_path: Path, file: Callable[[Path], bytes]) -> None:
    """The Activity report, an engagement table and the audit log."""
    data = file(tmp_path)
    assert BEGINS_A_FORMULA.search(re.sub(r"(?<=,)-?\d+(\.\d+)?(?=[,\r])", "", data.decode())) is None
    for separator in SEPARATORS:
        assert [cell for cell in cells(data, separator) if cell.lstrip(BLANKS).startswith(tuple(SIGNS))] == []


@pytest.mark.parametrize("separator", SEPARATORS)
def test_libre_office_finds_no_formula_in_any_file(tmp_path: Path, separator: str) -> None:
    """It computes those that it finds, and says so in the file that it saves."""
    office = shutil.which("soffice")
    if office is None:
        pytest.skip("LibreOffice (soffice) is not installed")
    bait = tmp_path / "bait.csv"
    bait.write_text(separator.join(("x", "=1+1", "y")))
    for file in FILES:
        (tmp_path / file.__name__).mkdir()
        (tmp_path / f"{file.__name__}.csv").write_bytes(file(tmp_path / file.__name__))
    arguments = [f"-env:UserInstallation={(tmp_path / 'profile').as_uri()}", "--headless", "--convert-to", "fods"]
    arguments += [f"--infilter=Text - txt - csv (StarCalc):{ord(separator)},34,76", "--outdir", str(tmp_path)]
    files = [str(bait), *(str(tmp_path / f"{file.__name__}.csv") for file in FILES)]
    subprocess.run([office, *arguments, *files], check=True, capture_output=True, timeout=180)
    formulas = {each.stem: each.read_text("utf-8").count("table:formula=") for each in tmp_path.glob("*.fods")}
    assert formulas == {"bait": 1, "extract": 0, "engagement": 0, "audit_log": 0}


def test_every_name_comes_back_from_a_guarded_file_by_import_and_diff(tmp_path: Path) -> None:
    """Import reads what was stored, and diff finds no difference to the file without the guard."""
    paths = a_log(tmp_path, *nasty_views())
    for name, options in (("guarded.csv", ()), ("raw.csv", ("--raw-csv",)), ("x.json", ())):
        done("export", "--database", paths.database, "--output", tmp_path / name, *options)
    for other in ("raw.csv", "x.json"):
        done("diff", tmp_path / "guarded.csv", tmp_path / other, "--database", paths.database)
    read = events((tmp_path / "guarded.csv").read_bytes(), "csv")
    assert [event.user_name for event in read] == list(NASTY)
