"""A new column: the walk in docs/changing.md, taken in a copy of the code; and every place agrees on the columns.

Each place where a column stands by hand is held against the one declaration in ``schemas/columns.py``.
"""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from importlib.resources import files
from inspect import Parameter, signature
from pathlib import Path
from typing import Any, Final, get_args, get_type_hints

import duckdb
import pytest

from matterlog.consumers.database.store import Store
from matterlog.producers import MatterViewProducer
from matterlog.schemas import MatterViewed, events
from matterlog.schemas.columns import (
    COLUMNS,
    EVENT_ORDER,
    NEWEST_VERSION,
    OPTIONAL_FIELDS,
    VIEW_FIELDS,
    ColumnKind,
    ViewColumn,
)
from matterlog.schemas.storage.table_versions import LOG_TABLES
from testbed.events import a_view
from testbed.feed import Feed, files_in
from tests.versions.copies import copy_of

ROOT: Final = Path(__file__).parents[1]
PACKAGES: Final = ("schemas", "producers", "consumers", "report", "app")
MOST_FILES: Final = 7
NEW: Final = "user_team_name"
# The columns of a row that are none of the event's.
OF_THE_ROW: Final = {"kafka_partition", "kafka_offset", "arrival"}
AVRO_TYPES: Final[Mapping[ColumnKind, Any]] = {
    ColumnKind.EVENT_ID: {"type": "string", "logicalType": "uuid"},
    ColumnKind.INSTANT: {"type": "long", "logicalType": "timestamp-micros"},
}
MODEL_TYPES: Final[Mapping[ColumnKind, Any]] = {
    ColumnKind.EVENT_ID: events.EventId,
    ColumnKind.IDENTIFIER: events.Identifier,
    ColumnKind.NAME: events.Name,
    ColumnKind.EMAIL: events.Email,
    ColumnKind.COUNTRY_CODE: events.CountryCode,
    ColumnKind.INSTANT: events.Instant,
}
each_column: Final = pytest.mark.parametrize("column", COLUMNS, ids=lambda column: column.field)


def avro_fields(version: int) -> dict[str, Any]:
    """The fields of a version of the schema, and the type of each; none where there is no such version."""
    schema = files("matterlog.schemas").joinpath("avro", f"matter-viewed.v{version}.avsc")
    if not schema.is_file():
        return {}
    return {field["name"]: field["type"] for field in json.loads(schema.read_text())["fields"]}


def table_columns(*scripts: str) -> dict[str, tuple[str, bool]]:
    """The columns of the activity table that these statements make, and of each the type and whether it may be NULL."""
    with duckdb.connect(":memory:") as connection:
        for script in scripts:
            connection.execute(script)
        described = connection.execute('SELECT column_name, column_type, "null" FROM (DESCRIBE activity)').fetchall()
    return {name: (kind, null == "YES") for name, kind, null in described}


def emit_parameters() -> dict[str, Parameter]:
    """The parameters of ``emit()``."""
    return {name: each for name, each in signature(MatterViewProducer.emit).parameters.items() if name != "self"}


def disagreements() -> list[str]:
    """Each place that has other columns than the declared ones, and which."""
    before = max(1, LOG_TABLES.version - 1)
    places = {
        f"schemas/avro/matter-viewed.v{NEWEST_VERSION}.avsc": set(
            avro_fields(NEWEST_VERSION) or avro_fields(NEWEST_VERSION - 1)
        ),
        "schemas/events.py": set(MatterViewed.model_fields),
        "producers/matter_views.py": set(emit_parameters()),
        "schemas/storage/tables.sql": set(table_columns(LOG_TABLES.script())) - OF_THE_ROW,
        "schemas/storage/migrations": set(table_columns(copy_of("log", before), *LOG_TABLES.way_from(before) or ()))
        - OF_THE_ROW,
    }
    declared = {column.field for column in COLUMNS}
    lacking = {f"{place} lacks {name}" for place, found in places.items() for name in declared - found}
    undeclared = {f"schemas/columns.py lacks {name}" for found in places.values() for name in found - declared}
    return sorted(lacking | undeclared)


def test_every_place_has_the_declared_columns() -> None:
    assert disagreements() == []


def test_event_and_emit_have_the_declared_order() -> None:
    """``emit()`` hands its values on by place; whoever reads a schema finds what came later at its end."""
    assert tuple(MatterViewed.model_fields) == tuple(column.field for column in EVENT_ORDER)
    assert tuple(emit_parameters()) == (*VIEW_FIELDS, "event_id")


@pytest.mark.parametrize("version", range(1, NEWEST_VERSION + 1))
def test_each_version_of_the_schema_has_the_columns_that_there_were(version: int) -> None:
    assert list(avro_fields(version)) == [column.field for column in EVENT_ORDER if column.since <= version]


@each_column
def test_the_schema_has_a_columns_type(column: ViewColumn) -> None:
    found = avro_fields(NEWEST_VERSION)[column.field]
    if column.kind is ColumnKind.WORD:
        assert found["type"] == "enum"
    else:
        expected = AVRO_TYPES.get(column.kind, "string")
        assert found == (["null", expected] if column.is_optional else expected)


@each_column
def test_the_event_has_a_columns_type_and_says_its_rule(column: ViewColumn) -> None:
    found = get_type_hints(MatterViewed, include_extras=True)[column.field]
    if column.kind is ColumnKind.WORD:
        assert issubclass(get_args(found)[0], StrEnum)
    else:
        expected = MODEL_TYPES[column.kind]
        assert found == (expected | None if column.is_optional else expected)
    assert MatterViewed.model_fields[column.field].description
    assert emit_parameters()[column.field].default is (
        None if column.is_optional or column.kind is ColumnKind.EVENT_ID else Parameter.empty
    )


@each_column
def test_the_table_has_a_columns_type(column: ViewColumn) -> None:
    words = get_args(get_type_hints(MatterViewed, include_extras=True)[column.field])[0]
    types = {ColumnKind.EVENT_ID: "UUID", ColumnKind.INSTANT: "TIMESTAMP"}
    if column.kind is ColumnKind.WORD:
        types[ColumnKind.WORD] = f"ENUM({', '.join(repr(str(word)) for word in words)})"
    assert table_columns(LOG_TABLES.script())[column.field] == (types.get(column.kind, "VARCHAR"), column.is_optional)


@dataclass(frozen=True, slots=True)
class Step:
    """A step of the walk: the file, and what comes into it."""

    path: str
    added: str

    def take(self, tree: Path) -> None:
        """Do it in a copy of the code."""
        file = tree / self.path
        if self.path.endswith(".avsc"):
            schema = json.loads((file.with_name(f"matter-viewed.v{NEWEST_VERSION}.avsc")).read_text())
            changed = json.dumps(schema | {"fields": [*schema["fields"], json.loads(self.added)]})
        elif "/migrations/" in self.path:
            file.parent.mkdir(exist_ok=True)
            changed = self.added
        elif self.path.endswith("tables.sql"):
            version = rf"\g<1>{LOG_TABLES.version + 1}"
            text = re.sub(r"(INSERT INTO schema_version VALUES \()\d+", version, file.read_text())
            changed = re.sub(
                r"CREATE TABLE activity \(.*?(?=\n\);)", rf"\g<0>,\n    {self.added}", text, flags=re.DOTALL
            )
        elif self.added.startswith("LOG_TABLES"):
            changed = re.sub("^LOG_TABLES.*$", self.added, file.read_text(), flags=re.MULTILINE)
        else:
            changed = self._behind_the_last_optional_field(file.read_text())
        file.write_text(changed)

    def _behind_the_last_optional_field(self, text: str) -> str:
        last = OPTIONAL_FIELDS[-1]
        line = rf'^( +)(?:ViewColumn\("{last}"|{last}:).*?(,?)\n'
        text, lines = re.subn(line, rf"\g<0>\1{self.added}\2\n", text, flags=re.MULTILINE)
        assert lines == 1, self.path
        return re.sub(rf"^( +.*\b{last},)$", rf"\1 {NEW},", text, flags=re.MULTILINE)


def steps() -> list[Step]:
    """The steps that docs/changing.md names; N and M are the versions that come next."""
    document = (ROOT / "docs" / "changing.md").read_text(encoding="utf-8")
    section = re.split(r"^## ", document.partition("\n## A column\n")[2], flags=re.MULTILINE)[0]
    for letter, version in (("N", NEWEST_VERSION + 1), ("M", LOG_TABLES.version + 1)):
        section = re.sub(rf"\b(v|since=|version=|migrations/){letter}\b", rf"\g<1>{version}", section)
    found = re.findall(r"^\d\. `([^`]+)`.*?```\w+\n +(.*?)\n +```$", section, flags=re.MULTILINE | re.DOTALL)
    return [Step(*each) for each in found]


STEPS: Final = steps()


def changed_code(tree: Path, taken: list[Step]) -> Path:
    """A copy of the code in which these steps are taken."""
    for name in PACKAGES:
        shutil.copytree(ROOT / name, tree / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copytree(ROOT / "src", tree / "src", symlinks=True)
    for step in taken:
        step.take(tree)
    return tree


def run(script: str, tree: Path) -> Any:
    """What a script prints as JSON when it is run with a copy of the code."""
    paths = {"PYTHONPATH": os.pathsep.join((str(tree / "src"), str(ROOT)))}
    command = [sys.executable, "-c", script, str(tree)]
    done = subprocess.run(command, env=os.environ | paths, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


FROM_EMIT_TO_EXTRACT: Final = """
import io, json, sys
from pathlib import Path
from matterlog.app.files.import_records import RecordFormat, ViewRecords, read_lines
from matterlog.consumers.database.store import Store
from matterlog.consumers.reading.decode import decode_records
from matterlog.consumers.reading.fast_decode import decode_views
from matterlog.consumers.reading.records import Record
from matterlog.consumers.recovery.upgrade import open_upgraded
from matterlog.producers import MatterViewProducer, MemoryProducer
from matterlog.schemas import Topics
from testbed.events import a_view
from testbed.feed import Feed, files_in, letters, moves_of, rows
from tests.report.logs import a_big_log, extract_of

sent = MemoryProducer()
emit = MatterViewProducer(sent).emit
fields = a_view(user_company_id="c-1").model_dump(exclude={"event_id", "user_team_name"})
known = emit(**fields, user_team_name="Deals")
emit(**fields, user_team_name="Deals\\n(north)")
emit(**fields)
emit(**fields, user_team_name="Disputes", event_id=known)
records = [
    Record("matter-views", 0, offset, offset, message.key.encode(), (), message.value)
    for offset, message in enumerate(sent.messages, 1)
]
decoded = [decode_records(records, Topics(), views_at_once=decoder) for decoder in (decode_views, None)]
files = files_in(Path(sys.argv[1]))
with open_upgraded(lambda: Store(files), files) as store:
    store.apply(decoded[0], moves_of(records, store.positions()))
    Feed(store, begins=5).apply(a_view(**fields, event_id=known, user_team_name="Pensions"))
    kept, conflicts = rows(store, "SELECT user_team_name FROM activity ORDER BY kafka_offset"), len(letters(store))
csv = extract_of(files, format="csv", columns="full").decode()
lines = read_lines(io.StringIO(csv, newline=""), RecordFormat.CSV, views := ViewRecords(guarded=True))
print(json.dumps({
    "decoded": [part.views["user_team_name"].to_pylist() for part in decoded],
    "kept": [name for (name,) in kept],
    "conflicts": conflicts,
    "header": csv.splitlines()[0].split(","),
    "default": extract_of(files, format="csv").decode().splitlines()[0],
    "imported": sorted(str(views.event(line).user_team_name) for line in lines),
}))
"""


def test_the_walk_touches_few_files() -> None:
    """Product files, the schema's and the explicit parameter of ``emit()`` counted."""
    assert {step.path.partition("/")[0] for step in STEPS} == {"schemas", "producers"}
    assert 5 <= len({step.path for step in STEPS}) <= MOST_FILES


def test_whoever_takes_the_walk_has_the_column_from_emit_to_the_extract(tmp_path: Path) -> None:
    """By both ways to emit and to decode, into a database of before; other content under a known ID is a conflict."""
    with Store(files_in(tmp_path)) as store:
        Feed(store).apply(a_view())
    found = run(FROM_EMIT_TO_EXTRACT, changed_code(tmp_path, STEPS))
    teams = ["Deals", "Deals\n(north)", None]
    assert [sorted(map(str, decoded)) for decoded in found["decoded"]] == [sorted(map(str, [*teams, "Disputes"]))] * 2
    assert found["kept"] == [None, *teams]
    assert found["conflicts"] == 2
    names = [column.name for column in COLUMNS if column.column_set is not None]
    behind = names.index("user_member_office_location_iso2") + 1
    assert found["header"] == [*names[:behind], NEW, *names[behind:]]
    assert found["default"] == ",".join(column.name for column in COLUMNS if column.column_set == "report")
    assert found["imported"] == sorted(map(str, [None, *teams]))


@pytest.mark.parametrize("left_out", STEPS, ids=lambda step: step.path)
def test_a_step_that_was_left_out_is_named(left_out: Step, tmp_path: Path) -> None:
    tree = changed_code(tmp_path, [step for step in STEPS if step is not left_out])
    script = "import json; from tests.test_changing_a_column import disagreements; print(json.dumps(disagreements()))"
    (found,) = run(script, tree)
    # Without its version, a migration that is there is not run.
    place = "schemas/storage/migrations" if left_out.path == "schemas/storage/table_versions.py" else left_out.path
    assert place.startswith(found.removesuffix(f" lacks {NEW}"))
