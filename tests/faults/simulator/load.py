"""What is written to the topics: views, deletions, and everything that goes wrong with them."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any, Final
from uuid import UUID

from matterlog.consumers.reading.records import Record
from matterlog.schemas import Event, MatterType, MatterViewed, UserType, encode
from testbed.events import NOON, a_deletion, a_view, record_of
from testbed.feed import DELETIONS, VIEWS
from tests.consumers.histories import Message
from tests.faults.simulator.broker import Broker, tombstone
from tests.faults.simulator.schedule import Action, Options

_OTHER: Final[tuple[dict[str, Any], ...]] = (
    {"user_name": "Somebody Else"},
    {"user_type": UserType.GUEST},
    {"matter_viewed_at": NOON + timedelta(days=40)},
    {"user_company_id": "c-1"},
)
_JUNK: Final = (
    ("unknown-framing", b"no event"),
    ("truncated", encode(a_view())[:40]),
    ("trailing-bytes", encode(a_view()) + b"\0"),
    ("unknown-schema", b"\xc3\x01" + bytes(8)),
)
_JUNK_MESSAGES: Final = 40
_BURST: Final = 15
_VIEWS_LAST_DAYS: Final = 20


class Load:
    """Writes what the schedule says. Everything follows from an action's number: another action changes nothing."""

    def __init__(self, broker: Broker, options: Options) -> None:
        """Begin with nothing written."""
        self._broker = broker
        self._options = options
        self._views: list[Message] = []
        self.written: list[Message] = []
        self.kinds: dict[str, Callable[[Action], None]] = {
            "view": lambda action: self._write(self._view(action.which)),
            "deletion": self._delete,
            "duplicate": lambda action: self._write(self._known(action.which)),
            "conflict": lambda action: self._write(
                self._known(action.which).model_copy(update=_OTHER[action.which % len(_OTHER)])
            ),
            "moved": self._move,
            "replay": self._replay,
            "burst": self._write_burst,
            "wrong key": lambda action: self._write(self._view(action.which), "wrong-key", key=b"another key"),
            "wrong event": self._write_deletion_among_views,
            "no value": self._write_tombstone,
        }

    def write(self, message: Message, partition: int | None = None) -> None:
        """Write a message."""
        if (written := self._broker.write(message, partition)) is not None:
            self.written.append(written)
            if isinstance(written.event, MatterViewed) and written.flaw is None:
                self._views.append(written)

    def write_view(self, which: int, partition: int) -> None:
        """Write a view to a partition."""
        view = self._view(which)
        self.write(Message(record_of(view, 0, 0), view, None), partition)

    def _write(self, event: Event, flaw: str | None = None, **changes: Any) -> None:
        self.write(Message(record_of(event, 0, 0)._replace(**changes), event, flaw))

    def _view(self, which: int, **changes: Any) -> MatterViewed:
        user, matter = which // 7 % self._options.users, which // 64 % self._options.matters
        fields: dict[str, Any] = {
            "event_id": UUID(int=(which << 84) | (7 << 76) | (0b10 << 62) | which),
            "user_id": f"u-{user}",
            "user_type": UserType.GUEST if user % 2 else UserType.MEMBER,
            "matter_id": f"m-{matter}",
            "matter_type": MatterType.DEMO if matter % 3 == 2 else MatterType.LIVE,
            # Many are less than a minute from another one.
            "matter_viewed_at": NOON + timedelta(days=which % _VIEWS_LAST_DAYS // 7, seconds=which % 11 * 30),
        }
        return a_view(**fields | changes)

    def _known(self, which: int) -> MatterViewed:
        """Return a view that was written before; where there is none, a new one."""
        found = self._views[which % len(self._views)].event if self._views else None
        return found if isinstance(found, MatterViewed) else self._view(which)

    def _move(self, action: Action) -> None:
        """Write a known view of another matter, as a faulty producer does."""
        known = self._known(action.which)
        self._write(self._view(action.which, event_id=known.event_id))

    def _delete(self, action: Action) -> None:
        self._write(self._deletion(action.which))

    def _deletion(self, which: int) -> Event:
        event_id = UUID(int=(1 << 127) | (which << 84) | (4 << 76) | (0b10 << 62) | which)
        return a_deletion(event_id=event_id, matter_id=f"m-{which % self._options.matters}")

    def _write_deletion_among_views(self, action: Action) -> None:
        self._write(self._deletion(action.which), "wrong-event", topic=VIEWS)

    def _replay(self, action: Action) -> None:
        """Write what was written before once more, as a producer does that starts anew."""
        if self.written:
            begins = action.which % len(self.written)
            for message in self.written[begins : begins + 6]:
                self.write(message)

    def _write_burst(self, action: Action) -> None:
        for number in range(_BURST):
            self._write(self._view(action.which * _BURST + number))

    def _write_flood(self, action: Action) -> None:
        """Write what a bad deployment does: more junk than events."""
        for number in range(_JUNK_MESSAGES):
            self._write_junk(action.which + number)

    def _write_junk(self, which: int) -> None:
        flaw, value = _JUNK[which % len(_JUNK)]
        topic = DELETIONS if which % 9 == 0 else VIEWS
        self.write(Message(Record(topic, 0, 0, None, (None, b"", b"\xff\0")[which % 3], (), value), None, flaw))

    def _write_tombstone(self, action: Action) -> None:
        if self._views:
            self.write(tombstone(VIEWS, self._views[action.which % len(self._views)].record.key or b""))
