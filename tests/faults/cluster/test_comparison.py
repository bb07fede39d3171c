"""The comparison of what was emitted with the table finds each kind of wrong."""

from typing import Final
from uuid import UUID, uuid4

import pytest

from tests.faults.cluster.emitting import Emitted

KEPT, FAILED, OF_DELETED, DELETION, UNKNOWN = (uuid4() for _ in range(5))
ROW: Final = (KEPT, "u-1", "m-kept")


@pytest.fixture
def emitted() -> Emitted:
    """A view of a living matter, one that was told as a failure, one of a deleted matter, and its deletion."""
    return Emitted(
        views={KEPT: ("u-1", "m-kept"), FAILED: ("u-2", "m-kept"), OF_DELETED: ("u-3", "m-deleted")},
        deletions={DELETION: "m-deleted"},
        failed={FAILED: "timed out"},
    )


@pytest.mark.parametrize("rows", [[ROW], [ROW, (FAILED, "u-2", "m-kept")]])
def test_nothing_is_wrong_with_all_views_and_perhaps_those_that_failed(
    emitted: Emitted, rows: list[tuple[UUID, str, str]]
) -> None:
    assert emitted.problems(rows, ["m-deleted"]) == []


@pytest.mark.parametrize(
    ("rows", "purged", "wrong"),
    [
        ([], ["m-deleted"], "1 lost"),
        ([ROW, ROW], ["m-deleted"], "1 doubled"),
        ([ROW, (OF_DELETED, "u-3", "m-deleted")], ["m-deleted"], "1 of a purged matter"),
        ([ROW, (UNKNOWN, "u-4", "m-kept")], ["m-deleted"], "1 other content, or never emitted"),
        ([(KEPT, "u-9", "m-kept")], ["m-deleted"], "1 other content, or never emitted"),
        ([ROW, (OF_DELETED, "u-3", "m-deleted")], [], "1 deletions lost"),
        ([], ["m-deleted", "m-kept"], "1 deletions never emitted"),
    ],
)
def test_each_kind_of_wrong_is_found(
    emitted: Emitted, rows: list[tuple[UUID, str, str]], purged: list[str], wrong: str
) -> None:
    [problem] = emitted.problems(rows, purged)
    assert problem.startswith(f"{wrong}: ")
