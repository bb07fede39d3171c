"""Lines of a file -> events: what is bad costs only itself, and what is sent twice is counted once."""

import csv
import io
import json
import re
import tracemalloc
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any, Final
from uuid import UUID

import pytest

from matterlog.app.errors import BadRecord
from matterlog.app.files.import_records import (
    BadFile,
    DeletionRecords,
    Line,
    RecordFormat,
    Records,
    ViewRecords,
    read_lines,
)
from matterlog.schemas import Event, MatterViewed, UserType
from matterlog.schemas.columns import FULL_COLUMNS, REPORT_COLUMNS

NOW: Final = datetime(2026, 11, 22, 14, 5, 9, tzinfo=UTC)
SECRET: Final = "Geheimnis-4711"  # noqa: S105 - a value that no error may quote
GOOD: Final = {
    "user_ID": "u-1",
    "user_name": "Zoë",
    "user_email": "zoe@example.com",
    "user_type": "Guest",
    "matter_viewed_at": "2026-11-22T14:05:09.123456Z",
    "matter_ID": "m-1",
    "matter_name": "Heron",
    "matter_type": "live",
}
OFFICE: Final = {
    "user_company_ID": "c-1",
    "user_company_name": "Fennimore",
    "user_member_office_ID": "o-1",
    "user_member_office_name": "Quay",
    "user_member_office_location_name": "Zürich",
    "user_member_office_location_iso2": "CH",
}
HEADER: Final = ",".join(REPORT_COLUMNS) + "\r\n"
ROW: Final = ",".join(GOOD.values()) + "\r\n"


def views(written: str) -> ViewRecords:
    return ViewRecords(guarded=written == "csv")


def deletions(written: str) -> DeletionRecords:
    return DeletionRecords(guarded=written == "csv", now=NOW)


def outcomes(data: str | bytes, written: str, records: Records) -> Iterator[Event | BadRecord]:
    """What becomes of each record of a file, in order, read as the command line reads it."""
    binary = io.BytesIO(data.encode() if isinstance(data, str) else data)
    text = io.TextIOWrapper(binary, encoding="utf-8-sig", errors="surrogateescape", newline="")
    for line in read_lines(text, RecordFormat(written), records):
        try:
            yield records.event(line) if isinstance(line, Line) else line
        except BadRecord as error:
            yield error


def events(data: str | bytes, written: str, records: Records | None = None) -> list[Any]:
    """The events of a file without a bad record."""
    found = list(outcomes(data, written, records or views(written)))
    assert not [each for each in found if isinstance(each, BadRecord)]
    return found


def bad(data: str | bytes, written: str, records: Records | None = None) -> dict[int, str]:
    """The bad records' reasons by line."""
    found = outcomes(data, written, records or views(written))
    return {each.line: each.reason for each in found if isinstance(each, BadRecord)}


def a_csv(*rows: dict[str, str]) -> str:
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, list(rows[0]))
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def an_ndjson(*rows: object) -> str:
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)


def written_as(kind: str, *rows: dict[str, str]) -> str:
    return a_csv(*rows) if kind == "csv" else an_ndjson(*rows)


both = pytest.mark.parametrize("kind", ["csv", "ndjson"])


@both
def test_a_good_record_is_a_view_with_these_fields(kind: str) -> None:
    """By the extract's column names, in any order."""
    shuffled = dict(sorted((GOOD | OFFICE).items()))
    (view,) = events(written_as(kind, shuffled), kind)
    assert isinstance(view, MatterViewed)
    assert view.matter_viewed_at == datetime(2026, 11, 22, 14, 5, 9, 123456, tzinfo=UTC)
    assert (view.user_id, view.user_type, view.matter_name) == ("u-1", UserType.GUEST, "Heron")
    assert (view.user_company_id, view.user_member_office_location_iso2) == ("c-1", "CH")


def test_an_empty_optional_value_of_csv_is_none() -> None:
    """CSV cannot say more; the name of a user stays the empty text that it is."""
    (view,) = events(a_csv(GOOD | dict.fromkeys(OFFICE, "") | {"user_name": ""}), "csv")
    assert {getattr(view, name) for name in MatterViewed.model_fields if "company" in name or "office" in name} == {
        None
    }
    assert view.user_name == ""


def test_a_null_in_ndjson_is_none() -> None:
    """As JSON extracts write it."""
    (view,) = events(an_ndjson(GOOD | {"user_company_ID": None, "event_ID": None}), "ndjson")
    assert view.user_company_id is None


@pytest.mark.parametrize(
    ("text", "instant"),
    [
        ("2026-11-22T14:05:09.123456Z", NOW + timedelta(microseconds=123456)),
        ("2026-11-22T14:05:09Z", NOW),
        ("2026-11-22 14:05:09.5+00:00", NOW + timedelta(milliseconds=500)),
        ("2026-11-22T19:50:09+0545", NOW),
        ("2026-11-21T23:05:09-15:00", NOW),
    ],
)
def test_an_instant_of_any_zone_is_read(text: str, instant: datetime) -> None:
    """What the extract writes, and what other tools make of it."""
    (view,) = events(a_csv(GOOD | {"matter_viewed_at": text}), "csv")
    assert view.matter_viewed_at == instant


@pytest.mark.parametrize(
    "value",
    [
        *("2026-11-22T14:05:09", "2026-11-22", "22.11.2026 14:05", "2026-13-22T14:05:09Z", "2026-11-22T24:61:00Z"),
        *("0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00", "2026-11-22T14:05:09.1234567Z", "now", "٢٠٢٦"),
        *(1_700_000_000, [], {}, True, 1.5),
    ],
)
def test_what_is_no_instant_with_a_zone_is_a_bad_record(value: object) -> None:
    """A naive time could be hours off, and nobody would see it."""
    assert bad(an_ndjson(GOOD | {"matter_viewed_at": value}), "ndjson") == {
        1: "matter_viewed_at must be an instant with its time zone, such as 2026-11-22T14:05:09.123456Z"
    }


@both
def test_an_instant_that_is_missing_is_told_as_such(kind: str) -> None:
    """Whether the value is empty or not there."""
    number = 2 if kind == "csv" else 1
    assert bad(written_as(kind, GOOD | {"matter_viewed_at": ""}), kind) == {number: "matter_viewed_at is missing"}


@both
def test_every_bad_record_is_named_and_only_itself_lost(kind: str) -> None:
    """All the good ones around it become events."""
    rows = [GOOD | {"user_ID": f"u-{number}"} for number in range(100)]
    for number in range(0, 100, 7):
        rows[number] |= {"user_type": "Admin"}
    found = list(outcomes(written_as(kind, *rows), kind, views(kind)))
    first = 2 if kind == "csv" else 1
    assert [each.line for each in found if isinstance(each, BadRecord)] == [n + first for n in range(0, 100, 7)]
    good = [each.user_id for each in found if isinstance(each, MatterViewed)]
    assert good == [f"u-{number}" for number in range(100) if number % 7]


def test_a_bad_record_names_every_field_that_breaks_its_rule() -> None:
    """One look is enough to mend it."""
    (reason,) = bad(a_csv(GOOD | {"user_ID": " u", "matter_type": "Live"}), "csv").values()
    assert re.findall(r"(\w+) must be", reason) == ["user_ID", "matter_type"]


@pytest.mark.parametrize("line_break", ["\n", "\r\n", "\r"])
def test_a_record_is_named_by_the_line_where_it_begins(line_break: str) -> None:
    """Line breaks inside of values are lines of the file, not records."""
    broken = f"a{line_break}b{line_break}c"
    rows = [GOOD | {"user_name": broken}, GOOD | {"matter_type": "x", "matter_name": broken}, GOOD | {"user_ID": ""}]
    assert list(bad(a_csv(*rows), "csv")) == [5, 8]


@pytest.mark.parametrize("ending", ["\n", "\r\n"])
def test_blank_lines_are_no_records_and_are_counted_as_lines(ending: str) -> None:
    """At the end of a file they are common."""
    lines = [HEADER.strip(), "", ROW.strip(), "", "nonsense", ""]
    assert list(bad(ending.join(lines), "csv")) == [5]
    lines = ["", json.dumps(GOOD), "  ", "nonsense", ""]
    assert list(bad(ending.join(lines), "ndjson")) == [4]


def test_a_last_line_without_its_end_is_a_record() -> None:
    """Editors leave it out."""
    assert len(events((HEADER + ROW + ROW).rstrip(), "csv")) == 2
    assert len(events(an_ndjson(GOOD, GOOD).rstrip(), "ndjson")) == 2


@pytest.mark.parametrize(("row", "count"), [("a,b,c\r\n", 3), (ROW.strip() + ",x\r\n", 9), ("x\r\n", 1)])
def test_too_few_or_too_many_values_are_a_bad_record(row: str, count: int) -> None:
    """Nothing is shifted into another column."""
    assert bad(HEADER + ROW + row + ROW, "csv") == {3: f"{count} values for 8 columns"}


@pytest.mark.parametrize("kind", ["csv", "ndjson"])
def test_bytes_that_are_no_utf8_cost_their_own_line_alone(kind: str) -> None:
    """As an old export in Latin-1 has them."""
    rows = [GOOD | {"user_ID": f"u-{number}"} for number in range(3)]
    data = written_as(kind, *rows).encode().replace(b"u-1", b"u-\xe9")
    found = list(outcomes(data, kind, views(kind)))
    assert [type(each) for each in found] == [MatterViewed, BadRecord, MatterViewed]


def test_a_lone_surrogate_in_json_is_a_bad_record() -> None:
    """JSON can write what no text may hold."""
    assert list(bad(json.dumps(GOOD | {"user_name": "\ud800"}), "ndjson")) == [1]


@both
def test_a_byte_order_mark_is_accepted(kind: str) -> None:
    """Excel writes it."""
    assert len(events(b"\xef\xbb\xbf" + written_as(kind, GOOD).encode(), kind)) == 1


def test_a_csv_file_without_a_column_is_refused_as_a_whole_and_names_what_is_missing() -> None:
    """Nothing of it is sent."""
    rows = {name: value for name, value in GOOD.items() if name not in {"user_ID", "matter_name"}}
    with pytest.raises(BadFile, match="line 1: column user_ID, matter_name is missing"):
        events(a_csv(rows), "csv")


def test_a_csv_file_with_an_unknown_column_is_refused_by_its_place() -> None:
    """Its name may be a value, where a header was forgotten."""
    with pytest.raises(
        BadFile, match=r"line 1: unknown column number 2, 10\. Known columns: user_ID, user_name"
    ) as error:
        events(a_csv({"user_ID": "u", SECRET: "x"} | GOOD | {"x": ""}), "csv")
    assert SECRET not in str(error.value)


def test_a_csv_file_with_a_column_twice_is_refused() -> None:
    """Which of the two would count?"""
    with pytest.raises(BadFile, match="line 1: a column appears twice"):
        events(HEADER.strip() + ",user_ID\r\n" + ROW.strip() + ",u-2\r\n", "csv")


@pytest.mark.parametrize("data", ["", "\r\n", '"user_ID', 'a"b"c\r\n"x"y\r\n', ROW, "[\n"])
def test_a_csv_file_without_a_header_is_refused(data: str) -> None:
    """Empty, broken, or the first row of data."""
    with pytest.raises(BadFile, match="line 1: "):
        events(data, "csv")


def test_an_unclosed_quote_says_how_far_it_reached() -> None:
    """It may have taken good records with it; nobody can tell."""
    data = HEADER + ROW + '"u-1,' + ROW * 3
    assert bad(data, "csv") == {3: "invalid CSV: unexpected end of data, skipped up to line 5"}


def test_text_behind_a_closing_quote_is_a_bad_record_alone() -> None:
    """The next line begins afresh."""
    assert bad(HEADER + '"u"x,1\r\n' + ROW, "csv") == {2: "invalid CSV: ',' expected after '\"'"}
    assert len(list(outcomes(HEADER + '"u"x,1\r\n' + ROW, "csv", views("csv")))) == 2


def test_a_value_that_is_far_too_long_is_a_bad_record() -> None:
    """Beyond what the reader takes at all."""
    assert list(bad(HEADER + "x" * 200_000 + ROW + ROW, "csv")) == [2]
    assert list(bad(HEADER + "x" * 100_000 + ROW + ROW, "csv")) == [2]


@pytest.mark.parametrize("length", [1024 * 1024 - 1, 1024 * 1024, 1024 * 1024 + 1, 3 * 1024 * 1024])
def test_an_endless_line_of_ndjson_is_one_bad_record(length: int) -> None:
    """The lines behind it keep their numbers."""
    assert list(bad("x" * length + "\n" + an_ndjson(GOOD, 1), "ndjson")) == [1, 3]


@pytest.mark.parametrize(
    "line",
    [
        *("[", "null", "1", '"text"', "[]", json.dumps([GOOD]), "[" * 100_000, '{"a":' * 100_000, "NaN"),
        *('{"user_ID": ' + "9" * 5000 + "}", json.dumps(GOOD) + ",", "\t" + json.dumps(GOOD) + ",", "]"),
    ],
)
def test_a_line_that_is_no_object_costs_only_itself(line: str) -> None:
    """An array is read as one where the input begins with it."""
    assert bad(line + "\n" + json.dumps(GOOD), "ndjson") == {1: "not a JSON object on one line"}


def test_an_object_on_several_lines_is_one_bad_record() -> None:
    """The lines around it are read; a line that may be an object is looked at."""
    laid_out, good = json.dumps(GOOD, indent=2) + "\n", json.dumps(GOOD) + "\n"
    reason = "an object must be on one line, or in an array"
    assert bad(good + laid_out + good + "x\n", "ndjson") == {2: reason, 13: "not a JSON object on one line"}
    assert len(list(outcomes("{\n" + good, "ndjson", views("ndjson")))) == 2


@pytest.mark.parametrize("written", ["ndjson", "json"])
def test_a_name_that_appears_twice_is_a_bad_record(written: str) -> None:
    """Which of two matters would be deleted?"""
    twice, once = '{"matter_ID":"D1","matter_ID":"A3"}', '{"matter_ID":"m-1"}'
    data = f"[{twice},\n{once}]" if written == "json" else f"{twice}\n{once}"
    found = list(outcomes(data, written, deletions(written)))
    assert [str(each) for each in found[:1]] == ["1: a name appears twice"]
    assert [each.matter_id for each in found[1:] if not isinstance(each, BadRecord)] == ["m-1"]


@pytest.mark.parametrize("value", [0, 1, False, [], {}, ["Guest"], "x\0"])
@pytest.mark.parametrize("name", ["user_ID", "event_ID", "user_type", "matter_viewed_at"])
def test_a_value_of_another_type_is_a_bad_record(name: str, value: object) -> None:
    """Nothing is guessed."""
    assert list(bad(an_ndjson(GOOD | {name: value}), "ndjson")) == [1]


def test_an_unknown_name_in_ndjson_is_a_bad_record_by_its_place() -> None:
    """The name itself may hold anything."""
    found = bad(an_ndjson(GOOD, GOOD | {SECRET: 1}), "ndjson")
    assert found == {2: "value number 9 has an unknown name"}


def test_no_value_stands_in_an_error() -> None:
    """A record is personal data, and errors end up in logs."""
    changes = [{name: f" {SECRET}\x01"} for name in FULL_COLUMNS]
    rows = [GOOD | OFFICE | change for change in changes]
    found = [*bad(a_csv(*rows), "csv").values(), *bad(an_ndjson(*rows), "ndjson").values()]
    found += bad(HEADER + f'"{SECRET}"{SECRET}\r\n{SECRET},{SECRET}\r\n', "csv").values()
    found += bad(f"{SECRET}\n" + json.dumps({SECRET: SECRET}), "ndjson").values()
    assert len(found) == 2 * len(FULL_COLUMNS) + 4
    assert SECRET not in "".join(found)


@both
def test_an_event_id_of_the_file_is_honoured(kind: str) -> None:
    """Also in capitals, as some tools write it."""
    identity = "018f0000-0000-7000-8000-00000000000A"
    (view,) = events(written_as(kind, GOOD | {"event_ID": identity}), kind)
    assert view.event_id == UUID(identity)


@both
def test_the_same_file_gives_the_same_ids_again(kind: str) -> None:
    """So that sending it again counts nothing twice."""
    rows = [GOOD | {"user_ID": f"u-{number % 3}"} for number in range(9)]
    data = written_as(kind, *rows)
    assert [view.event_id for view in events(data, kind)] == [view.event_id for view in events(data, kind)]


def test_csv_and_ndjson_of_one_extract_give_the_same_ids() -> None:
    """And so do another zone and the columns of the full report."""
    other = GOOD | OFFICE | {"matter_viewed_at": "2026-11-22T15:05:09.123456+01:00"}
    made = {events(data, kind)[0].event_id for data, kind in ((a_csv(GOOD), "csv"), (an_ndjson(other), "ndjson"))}
    assert len(made) == 1


def test_extracts_whose_times_overlap_give_the_same_ids() -> None:
    """The views of both files are each counted once."""
    instants = [f"2026-11-{day:02}T14:05:09.{tie:06}Z" for day in range(1, 11) for tie in (0, 1)]
    rows = [GOOD | {"matter_viewed_at": at, "user_ID": user} for at in instants for user in ("u-2", "u-1")]
    one = [view.event_id for view in events(a_csv(*rows[:24]), "csv")]
    other = [view.event_id for view in events(a_csv(*rows[16:]), "csv")]
    assert one[16:] == other[:8]
    assert len({*one, *other}) == len(rows)


def test_identical_lines_are_views_of_their_own() -> None:
    """Somebody may look twice within a microsecond, in a test at least."""
    made = [view.event_id for view in events(a_csv(*[GOOD] * 5), "csv")]
    assert len(set(made)) == 5
    assert made == sorted(made)


def test_every_value_of_the_report_makes_another_id() -> None:
    """Two different views of one instant, each the first in its file."""
    changes = {
        "user_ID": "u-2",
        "user_name": "Zoé",
        "user_email": "z@example.com",
        "user_type": "Member",
        "matter_viewed_at": "2026-11-22T14:05:09.123457Z",
        "matter_ID": "m-2",
        "matter_name": "heron",
        "matter_type": "demo",
    }
    assert changes.keys() == GOOD.keys()
    made = {events(a_csv(GOOD | {name: value}), "csv")[0].event_id for name, value in changes.items()}
    assert len(made | {events(a_csv(GOOD), "csv")[0].event_id}) == 9


def test_values_do_not_run_into_each_other() -> None:
    """What stands at the end of one value and what at the beginning of the next makes a difference."""
    one = events(a_csv(GOOD | {"user_ID": "ab", "user_name": "c"}), "csv")
    other = events(a_csv(GOOD | {"user_ID": "a", "user_name": "bc"}), "csv")
    assert one[0].event_id != other[0].event_id


def test_derived_ids_are_of_version_8_and_rfc_9562s_variant() -> None:
    """Whatever the instant's figures are."""
    instants = [f"{year}-01-01T00:00:00.{micros:06}Z" for year in (1970, 2026, 9999) for micros in (0, 1, 999, 999_999)]
    made = [view.event_id for view in events(a_csv(*(GOOD | {"matter_viewed_at": at} for at in instants)), "csv")]
    assert {(each.version, each.variant) for each in made} == {(8, "specified in RFC 4122")}
    assert made == sorted(made)
    assert [each.int >> 80 for each in made[4:6]] == [1_767_225_600_000] * 2


def test_views_of_one_instant_sort_in_the_files_order() -> None:
    """Three thousand of them, so that an extract made of an extract is the same one."""
    rows = [GOOD | {"user_ID": f"u-{number * 7919 % 3000}"} for number in range(3000)]
    made = [view.event_id for view in events(a_csv(*rows), "csv")]
    assert all(before < after for before, after in pairwise(made))


def test_views_of_one_instant_beyond_all_bits_are_still_views_of_their_own() -> None:
    """Order is lost there, views are not."""
    made = {view.event_id for view in events(HEADER + ROW * 17_000, "csv")}
    assert len(made) == 17_000
    assert {(each.version, each.variant) for each in made} == {(8, "specified in RFC 4122")}


def test_the_guard_is_undone_in_csv_unless_it_was_written_without() -> None:
    """One quote is taken away where the extract would have put one."""
    names = ["'=1", "''@x", "'twas", "=1", "'"]
    data = a_csv(*(GOOD | {"user_name": name, "user_ID": name} for name in names))
    undone = [(view.user_name, view.user_id) for view in events(data, "csv")]
    assert undone == [("=1", "=1"), ("'@x", "'@x"), ("'twas", "'twas"), ("=1", "=1"), ("'", "'")]
    assert [view.user_name for view in events(data, "csv", ViewRecords(guarded=False))] == names


def test_nothing_is_undone_in_ndjson() -> None:
    """JSON extracts carry no guard."""
    (view,) = events(an_ndjson(GOOD | {"user_name": "'=1"}), "ndjson")
    assert view.user_name == "'=1"


@both
def test_a_deletion_is_now_unless_the_file_says_when(kind: str) -> None:
    """Empty counts as not said."""
    rows = [{"matter_ID": "m-1", "deleted_at": ""}, {"matter_ID": "m-2", "deleted_at": "2026-01-01T00:00:00Z"}]
    found = events(written_as(kind, *rows), kind, deletions(kind))
    assert [(each.matter_id, each.deleted_at) for each in found] == [
        ("m-1", NOW),
        ("m-2", datetime(2026, 1, 1, tzinfo=UTC)),
    ]


def test_a_list_of_matter_ids_is_a_file_of_deletions() -> None:
    """One column; guarded as the extract guards it; event_ID honoured where it stands."""
    found = events("matter_ID\r\nm-1\r\n\r\n'=2\r\n", "csv", deletions("csv"))
    assert [each.matter_id for each in found] == ["m-1", "=2"]
    identity = "018f0000-0000-7000-8000-00000000000a"
    (deletion,) = events(f"matter_ID,event_ID\nm-1,{identity}\n", "csv", deletions("csv"))
    assert deletion.event_id == UUID(identity)


@both
def test_a_bad_deletion_is_named_by_its_line(kind: str) -> None:
    """A naive time, and no matter at all."""
    rows = [{"matter_ID": "m-1", "deleted_at": "2026-01-01T00:00:00"}, {"matter_ID": "", "deleted_at": ""}]
    found = bad(written_as(kind, *rows), kind, deletions(kind))
    first = 2 if kind == "csv" else 1
    assert found[first].startswith("deleted_at must be an instant with its time zone")
    assert found[first + 1].startswith("matter_ID must be text")


def test_a_file_of_views_is_no_file_of_deletions() -> None:
    """A purge by mistake could not be undone."""
    with pytest.raises(BadFile, match="Known columns: matter_ID, deleted_at, event_ID"):
        events(a_csv(GOOD), "csv", deletions("csv"))
    assert list(bad(an_ndjson(GOOD), "ndjson", deletions("ndjson"))) == [1]


@pytest.mark.parametrize("piece", ["x", ",", "\0"])
def test_a_csv_line_without_end_costs_little_memory(piece: str) -> None:
    """A file of something else may be one line. The record behind such a line is read."""
    data = io.BytesIO(HEADER.encode() + piece.encode() * 40_000_000 + b"\r\n" + ROW.encode())
    text, records = io.TextIOWrapper(data, encoding="utf-8", newline=""), views("csv")
    tracemalloc.start()
    try:
        first, second = read_lines(text, RecordFormat.CSV, records)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert isinstance(first, BadRecord)
    assert isinstance(second, Line)
    assert (second.number, records.event(second).user_id) == (3, "u-1")
    assert peak < 30_000_000
