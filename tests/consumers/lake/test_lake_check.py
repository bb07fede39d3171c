"""What ``lake check`` measures of a real PostgreSQL."""

import pytest

from matterlog.consumers.lake import lake_check
from matterlog.schemas.storage.lake import Lake

pytestmark = pytest.mark.postgresql


@pytest.mark.parametrize(
    ("ahead", "differ", "is_found"), [("-0.02 s", "0.0", False), ("-10 min", "600.0", True), ("10 min", "600.0", True)]
)
def test_clocks_differ_by_as_much_whichever_is_ahead(
    lake: Lake, monkeypatch: pytest.MonkeyPatch, ahead: str, differ: str, *, is_found: bool
) -> None:
    """By -0.0 seconds they do not."""
    statements = {**lake_check.SQL, "clock": f"SELECT clock_timestamp() + INTERVAL '{ahead}'"}
    monkeypatch.setattr(lake_check, "SQL", statements)
    checked = lake_check.check_lake(lake)
    (fact,) = [each for each in checked.facts if "Clocks differ" in each]
    assert fact.endswith(f"Clocks differ by {differ} s")
    assert any("PostgreSQL's clock" in each for each in checked.found) == is_found
