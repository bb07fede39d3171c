"""Event IDs: RFC 9562 version 7, rising, and never made twice."""

import copy
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from itertools import pairwise
from typing import Final
from unittest.mock import Mock
from uuid import RFC_4122, UUID

import pytest

from matterlog.schemas import event_ids, new_event_id

THREADS: Final = 4
IDS_A_THREAD: Final = 20_000
# 2026-01-02T03:04:05.678Z, half a millisecond in.
FROZEN_NS: Final = 1_767_323_045_678_500_000

# The clock stands still, so that parent and child have the same milliseconds and counters: nothing but
# their random bits tells their IDs apart.
FORK_WITH_A_FROZEN_CLOCK: Final = """
import ctypes, os, time
time.time_ns = lambda: 1_767_323_045_678_500_000
from matterlog.schemas import new_event_id
new_event_id()
reader, writer = os.pipe()
if child := FORK():
    os.close(writer)
    with os.fdopen(reader) as lines:
        theirs = lines.read().split()
    assert os.waitpid(child, 0)[1] == 0
    mine = [str(new_event_id()) for _ in range(5_000)]
    assert [one[:18] for one in mine] == [one[:18] for one in theirs], "the clocks differ"
    print(len({*mine, *theirs}))
else:
    with os.fdopen(writer, "w") as lines:
        lines.writelines(f"{new_event_id()}\\n" for _ in range(5_000))
    os._exit(0)
"""
FORK_WHILE_THE_LOCK_IS_HELD: Final = """
import ctypes, os, signal
from matterlog.schemas import event_ids
with event_ids._clock.lock:
    child = FORK()
    if not child:
        signal.alarm(60)
        event_ids.new_event_id()
        os._exit(0)
    print(os.waitpid(child, 0)[1])
"""


@pytest.fixture
def frozen_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """Stop time at FROZEN_NS, and let no ID have been made before."""
    monkeypatch.setattr(event_ids, "_clock", event_ids._Clock())
    monkeypatch.setattr(time, "time_ns", lambda: FROZEN_NS)


def printed_by(program: str) -> str:
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=120, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout.strip()


def test_an_id_has_the_version_and_variant_bits_of_a_version_7_uuid() -> None:
    made = [new_event_id() for _ in range(1_000)]
    assert {(one.version, one.variant) for one in made} == {(7, RFC_4122)}
    assert {str(one)[14] for one in made} == {"7"}
    assert {str(one)[19] for one in made} == set("89ab")


def test_an_id_begins_with_the_millisecond_of_now(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(event_ids, "_clock", event_ids._Clock())
    before = time.time_ns() // 1_000_000
    made = new_event_id()
    assert before <= made.int >> 80 <= time.time_ns() // 1_000_000


@pytest.mark.usefixtures("frozen_clock")
def test_ids_of_one_millisecond_are_counted_from_zero() -> None:
    assert [str(new_event_id())[:18] for _ in range(3)] == [
        "019b7ca9-8f2e-7000",
        "019b7ca9-8f2e-7001",
        "019b7ca9-8f2e-7002",
    ]


@pytest.mark.usefixtures("frozen_clock")
def test_the_counter_borrows_the_next_millisecond_when_it_is_used_up() -> None:
    made = [new_event_id() for _ in range(4_097)]
    assert [one.int >> 80 for one in (made[0], made[4_095], made[4_096])] == [
        FROZEN_NS // 1_000_000,
        FROZEN_NS // 1_000_000,
        FROZEN_NS // 1_000_000 + 1,
    ]
    assert all(one < other for one, other in pairwise(made))


@pytest.mark.usefixtures("frozen_clock")
def test_ids_rise_when_the_clock_is_set_back(monkeypatch: pytest.MonkeyPatch) -> None:
    before = new_event_id()
    monkeypatch.setattr(time, "time_ns", lambda: FROZEN_NS - 3_600_000_000_000)
    assert new_event_id() > before


@pytest.fixture
def hurried_threads() -> Iterator[None]:
    """Let threads interrupt one another as often as the interpreter can, so that a missing lock shows."""
    usual = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(usual)


@pytest.mark.usefixtures("hurried_threads")
def test_ids_of_four_threads_rise_in_each_thread_and_are_never_made_twice() -> None:
    made: list[list[UUID]] = [[] for _ in range(THREADS)]
    start = threading.Barrier(THREADS)

    def make(into: list[UUID]) -> None:
        start.wait()
        into.extend(new_event_id() for _ in range(IDS_A_THREAD))

    threads = [threading.Thread(target=make, args=(into,)) for into in made]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(one < other for ids in made for one, other in pairwise(ids))
    # The part in front of the random bits is enough: no two threads were given the same tick.
    assert len({one.int >> 64 for ids in made for one in ids}) == THREADS * IDS_A_THREAD


# The second one runs none of the interpreter's hooks, as in uWSGI.
either_fork: Final = pytest.mark.parametrize("fork", ["os.fork", "ctypes.PyDLL(None).fork"])


@either_fork
def test_a_forked_child_makes_no_id_that_its_parent_makes(fork: str) -> None:
    assert printed_by(FORK_WITH_A_FROZEN_CLOCK.replace("FORK", fork)) == "10000"


@either_fork
def test_a_child_forked_while_an_id_was_being_made_can_make_ids(fork: str) -> None:
    assert printed_by(FORK_WHILE_THE_LOCK_IS_HELD.replace("FORK", fork)) == "0"


def test_the_operating_system_is_seldom_asked_for_random_bits(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each time another thread may take the interpreter's lock, and a caller of emit() waits for it."""
    monkeypatch.setattr(event_ids, "_clock", event_ids._Clock())
    asked = Mock(side_effect=os.urandom)
    monkeypatch.setattr(os, "urandom", asked)
    made = [new_event_id() for _ in range(1_000)]
    assert asked.call_count == 2
    assert len({one.int & ((1 << 62) - 1) for one in made}) == 1_000


def test_the_text_of_an_id_is_its_string() -> None:
    made = [UUID(int=0), UUID(int=7), UUID(int=2**128 - 1), *(new_event_id() for _ in range(1_000))]
    assert [event_ids.text_of(one) for one in made] == [str(one) for one in made]


def test_an_id_is_a_uuid_as_its_own_constructor_makes_it() -> None:
    made = new_event_id()
    again = UUID(int=made.int)
    assert (made, hash(made), repr(made), made.is_safe) == (again, hash(again), repr(again), again.is_safe)
    assert copy.deepcopy(made) == made
