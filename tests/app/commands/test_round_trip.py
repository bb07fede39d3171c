"""The extract's own file into an empty pipeline gives the same extract, on a real Kafka."""

import json
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Final

import pytest

from matterlog.schemas import MatterViewed
from matterlog.schemas.storage.database_files import DatabaseFiles
from testbed.command import Ended, done
from testbed.events import NOON, a_view
from tests.report.logs import a_log, extract_of

pytestmark = pytest.mark.broker

TEXTS: Final = (
    *("=1+1", "+1", "-1", "@A1", "＝1", "'=1", "''=1", "'twas", "'", "x", "=", '"', '""', ",", ";", "0012", "NULL"),  # noqa: RUF001
    *("李", "שלום", "\U0001f469\U0001f3fd\u200d⚖️", "e\u0308", "\u202eRTL\u202c", "\\", "\\N", "=" + "x" * 120),
)
NAMES: Final = (
    *TEXTS,
    "",
    "a\nb",
    "a\r\nb",
    "a\rb",
    "\r",
    "\n",
    "\t=1",
    "\r=1",
    "\n=1",
    "a,b\n",
    '"\r\n"',
    "=" + "x" * 299,
)


def views() -> Iterator[MatterViewed]:
    """Views that break careless software; seven stand at each instant."""
    for number in range(20 * len(NAMES)):
        yield a_view(
            user_id=TEXTS[number % len(TEXTS)],
            user_name=NAMES[number % len(NAMES)],
            user_email=f"=u{number % 3}@example.com",
            user_type=("Guest", "Member")[number % 2],
            matter_viewed_at=NOON + timedelta(microseconds=number // 7),
            matter_id=TEXTS[(number * 5) % len(TEXTS)],
            matter_name=NAMES[(number * 11) % len(NAMES)],
            matter_type=("demo", "live")[number % 3 % 2],
        )


@pytest.fixture
def settings(kafka: str, topic_prefix: str, tmp_path: Path) -> dict[str, str]:
    """A pipeline of the test's own, its topics made."""
    found = {
        "MATTERLOG_BOOTSTRAP_SERVERS": kafka,
        "MATTERLOG_TOPIC_PREFIX": topic_prefix,
        "MATTERLOG_DATABASE": str(tmp_path / "again" / "log.duckdb"),
    }
    (tmp_path / "again").mkdir()
    ended = done("topics", "create", "--partitions", "3", settings=found)
    assert ended.text == f"{topic_prefix}matter-views: created\n{topic_prefix}matter-deletions: created\n"
    return found


def test_an_extract_sent_into_an_empty_pipeline_gives_the_same_extract(
    tmp_path: Path, settings: dict[str, str]
) -> None:
    """To the byte, in both formats; sent again, in either format, it adds nothing."""
    source = a_log(tmp_path, *views())
    csv, array = extract_of(source, format="csv"), extract_of(source, format="json")
    lines = "".join(json.dumps(row) + "\n" for row in json.loads(array)).encode()
    count = 20 * len(NAMES)

    assert _emit(csv, settings).text.startswith(f"{count} events sent, 0 bad lines")
    first = done("consume", "--until-caught-up", settings=settings)
    assert first.text.startswith(f"{count} records: {count} views stored, 0 duplicates")
    assert _exported("csv", settings) == csv
    assert _exported("json", settings) == array

    assert _emit(csv, settings).text == _emit(lines, settings).text
    second = done("consume", "--until-caught-up", settings=settings)
    assert second.text.startswith(f"{2 * count:,} records: 0 views stored, {2 * count:,} duplicates")
    assert _exported("csv", settings) == csv


def _emit(data: bytes, settings: dict[str, str]) -> Ended:
    return done("emit", "views", "-", given=data, settings=settings)


def _exported(kind: str, settings: dict[str, str]) -> bytes:
    return done("export", "--format", kind, "--output", "-", settings=settings).out


def test_the_full_extract_with_event_ids_gives_the_same_full_extract(tmp_path: Path, settings: dict[str, str]) -> None:
    """Company, office and the events' own IDs travel along."""
    offices = [
        a_view(
            user_company_id=f"=c{number}",
            user_company_name=NAMES[number] or None,
            user_member_office_id="+o",
            user_member_office_name="@Quay",
            user_member_office_location_name="Zürich\n",
            user_member_office_location_iso2="CH",
        )
        for number in range(20)
    ]
    source = a_log(tmp_path, *offices, a_view())
    whole = extract_of(source, format="csv", columns="full", with_event_id=True)
    _emit(whole, settings)
    done("consume", "--until-caught-up", settings=settings)
    again = DatabaseFiles(Path(settings["MATTERLOG_DATABASE"]))
    assert extract_of(again, format="csv", columns="full", with_event_id=True) == whole


def test_topics_that_exist_are_left_as_they_are(settings: dict[str, str]) -> None:
    """Whatever is asked for the second time."""
    prefix = settings["MATTERLOG_TOPIC_PREFIX"]
    ended = done("topics", "create", "--partitions", "5", settings=settings)
    assert ended.text == "".join(
        f"{prefix}{name}: exists already, left unchanged\n" for name in ("matter-views", "matter-deletions")
    )
