"""What ``lake check`` measures of a real PostgreSQL."""

import re

import pytest

from matterlog.consumers.lake import lake_check
from matterlog.schemas.storage.lake import Lake

pytestmark = pytest.mark.postgresql


@pytest.mark.parametrize(
    ("ahead", "seconds", "is_found"), [("-0.02 s", 0, False), ("-10 min", 600, True), ("10 min", 600, True)]
)
def test_clocks_differ_by_as_much_whichever_is_ahead(
    lake: Lake, monkeypatch: pytest.MonkeyPatch, ahead: str, seconds: float, *, is_found: bool
) -> None:
    """By -0.0 seconds they do not."""
    statements = {**lake_check.SQL, "clock": f"SELECT clock_timestamp() + INTERVAL '{ahead}'"}
    monkeypatch.setattr(lake_check, "SQL", statements)
    checked = lake_check.check_lake(lake)
    (differ,) = re.findall(r"Clocks differ by (\S+) s", "\n".join(checked.facts))
    assert not differ.startswith("-")
    assert float(differ) == pytest.approx(seconds, abs=5)
    assert any("PostgreSQL's clock" in each for each in checked.found) == is_found
