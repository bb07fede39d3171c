"""A site over the log of the demo's firm, at a fixed instant of a made-up morning."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final
from unittest.mock import patch

from matterlog.app.demo.demo import _matters_to_delete
from matterlog.app.demo.firm import Firm
from matterlog.report.handover import handing_out
from matterlog.report.log import snapshot
from matterlog.report.web.identity.accounts import Role
from matterlog.report.web.identity.audit_log import Actor
from matterlog.schemas import Topics
from testbed.events import a_deletion
from testbed.feed import Feed
from tests.report.logs import apply
from tests.report.web.sites import Clock, RunningSite, running_site

MORNING: Final = datetime(2026, 11, 30, 9, 30, tzinfo=UTC)
SEED: Final = 7
ANALYST: Final = "a.silva"
ADMINISTRATOR: Final = "m.lind"


@contextmanager
def firm_site(folder: Path, views: int) -> Iterator[RunningSite]:
    """A site over so many views of the demo's firm, with three deleted matters, two dead letters and some accounts."""
    clock, firm = Clock(MORNING), Firm.make(seed=SEED)
    with running_site(folder, *firm.views(views, until=MORNING), clock=clock) as site, _clock_of_extracts(clock):
        clock.now = MORNING - timedelta(hours=2)
        for matter in _matters_to_delete(firm):
            deleted_at = clock.now
            clock.advance(timedelta(seconds=4))
            apply(site.store, a_deletion(matter_id=matter.matter_id, deleted_at=deleted_at))
            clock.advance(timedelta(minutes=20))
        feed = Feed(site.store, begins=views)
        feed.apply(feed.poison(), feed.poison(b"\xc3\x01" + bytes(8)))
        _read_up_to_here(site)
        for name, role in ((ANALYST, Role.ANALYST), ("j.okafor", Role.ANALYST), (ADMINISTRATOR, Role.ADMINISTRATOR)):
            site.account(name, role)
            clock.advance(timedelta(minutes=1))
        site.parts.accounts.disable(site.parts.accounts.named("j.okafor"), Actor(account=ADMINISTRATOR))
        clock.now = MORNING
        yield site


def _read_up_to_here(site: RunningSite) -> None:
    """Have the pipeline say that it has read everything."""
    ends = {place: position.next_offset for place, position in site.store.positions().items()}
    assert {topic for topic, _ in ends} == {topic.name for topic in Topics().both}
    now = site.clock()
    site.pipeline.set(ends=ends, ends_asked_at=now, last_applied_at=now)


@contextmanager
def _clock_of_extracts(clock: Clock) -> Iterator[None]:
    """Let extracts be made at the site's instants. They ask the machine's clock, which is not theirs to choose."""

    class Instants(datetime):
        @classmethod
        def now(cls, _zone: object = None) -> datetime:  # type: ignore[override]
            return clock()

    with patch.object(handing_out, "datetime", Instants), patch.object(snapshot, "datetime", Instants):
        yield
