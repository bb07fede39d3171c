"""The whole pipeline with a simulated firm: emit, consume, purge and extract, with counts that must add up."""

import itertools
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, closing
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import ClassVar, Final

from matterlog.app.demo.embedded_broker import embedded_broker
from matterlog.app.demo.firm import Firm, Matter
from matterlog.app.files.exporting import Ends, LogExtracts, export_to_file
from matterlog.app.owner.owned_store import lake_store
from matterlog.app.owner.question import LogReader
from matterlog.app.owner.registered_extracts import register_of, registered_extracts
from matterlog.consumers.database.batch import BatchResult
from matterlog.consumers.database.log_store import LogStore
from matterlog.consumers.database.store import Store
from matterlog.consumers.materialise import Materialiser, decoder
from matterlog.consumers.reading.kafka import KafkaSource
from matterlog.consumers.reading.schema_registry import RegisteredSchemas
from matterlog.producers import KafkaProducer, MatterDeletionProducer, MatterViewProducer, Message
from matterlog.report.extracts.formats import FORMATS, names
from matterlog.report.extracts.requests import ExtractRequest
from matterlog.report.handover.manifest import KnownEnds, manifest_path
from matterlog.report.handover.register import Register
from matterlog.report.log.reader import LogStatus, read_status
from matterlog.schemas import MatterlogError, MatterViewed, Topics, new_event_id
from matterlog.schemas.storage.database_files import DatabaseFiles
from matterlog.schemas.storage.lake import Lake

EXTRACT_NAME: Final = "activity-report"
# The embedded broker keeps only the newest 5 MB of a partition, so views are consumed after each slice of this size.
_SLICE_VIEWS: Final = 20_000
_REPEATED_VIEWS: Final = 50
_LATE_VIEWS: Final = 25
_DELETED_MATTERS: Final = 3


class DemoFailed(MatterlogError):
    """A demo whose counts do not add up."""


@dataclass(slots=True)
class Demo:
    """One run of the demo, on a database or an empty lake, with its extracts in ``folder``.

    ``views``, ``matters`` and ``users`` are how many there will be. ``tell`` is called with the line of each step.
    """

    place: DatabaseFiles | Lake
    folder: Path
    views: int
    matters: int
    users: int
    seed: int
    tell: Callable[[str], None]
    topics: ClassVar[Topics] = Topics()
    _applied: BatchResult = field(default=BatchResult(), init=False)
    # How many rows the extracts have.
    _extracted: set[int] = field(default_factory=set, init=False)

    def run(self) -> None:
        """Run every step.

        Raises:
            DemoFailed: the counts do not add up.
        """
        self._clean_folder()
        firm = Firm.make(seed=self.seed, matters=self.matters, users=self.users)
        with (
            embedded_broker(self.topics) as address,
            KafkaProducer(address) as transport,
            closing(KafkaSource(address, self.topics)) as source,
            self._opened() as store,
        ):
            self.tell(f"Broker     Kafka in memory at {address}, topics {', '.join(t.name for t in self.topics.both)}")
            materialiser = Materialiser(
                source=source, store=store, decode=decoder(self.topics, RegisteredSchemas(None))
            )
            counts = self._play(firm, transport, materialiser)
            # Emitting has ended. A source that also reads would answer each question half a second late.
            with closing(KafkaSource(address, self.topics)) as asking:
                known = KnownEnds(asked_at=datetime.now(UTC), ends=asking.ends())
            self._extract(store, register_of(self.place), lambda: known)
            with store.reader() as connection:
                self._check_counts(counts, read_status(connection))

    def _opened(self) -> AbstractContextManager[LogStore]:
        if isinstance(self.place, Lake):
            return lake_store(self.place)
        return Store(self.place, extracts=registered_extracts(self.place))

    def _clean_folder(self) -> None:
        """Remove the files of an earlier run, and nothing else."""
        self.folder.mkdir(parents=True, exist_ok=True)
        if isinstance(self.place, DatabaseFiles):
            with self.place.owned():  # raises while another process owns the database
                for old in (self.place.database, self.place.wal, self.place.extracts):
                    old.unlink(missing_ok=True)
        extracts = [self.folder / f"{EXTRACT_NAME}.{spec.ending}" for spec in FORMATS.values()]
        for old in (*extracts, *map(manifest_path, extracts)):
            old.unlink(missing_ok=True)

    def _play(self, firm: Firm, transport: KafkaProducer, materialiser: Materialiser) -> Counter[str]:
        """Emit and consume everything; return the number of emitted messages of each kind."""
        web_app = MatterViewProducer(transport, source="demo/web-app")
        emitted: Counter[str] = Counter()
        until = datetime.now(UTC)
        repeated: list[MatterViewed] = []
        views = firm.views(self.views, until=until)
        while slice_ := list(itertools.islice(views, _SLICE_VIEWS)):
            repeated = slice_[:_REPEATED_VIEWS]
            emitted["views"] += self._emit(web_app, slice_)
            self._consume(materialiser)
        self.tell(f"Emitted    {emitted['views']:,} views of {len(firm.matters)} matters by {len(firm.people)} users")
        self.tell(f"Consumed   {self._applied.views:,} rows in the activity table, one per view")

        deleted = _matters_to_delete(firm)
        deletion_service = MatterDeletionProducer(transport, source="demo/deletion-service")
        for matter in deleted:
            deletion_service.emit(matter_id=matter.matter_id)
        emitted["deletions"] += len(deleted)
        self._consume(materialiser)
        self.tell(f"Deleted    {len(deleted)} matters: {self._applied.views_purged:,} of their views purged")

        emitted["repeated"] += self._emit(web_app, repeated)
        emitted["late"] += self._emit(web_app, _late_views(firm, deleted, until))
        poison = new_event_id()
        topic = self.topics.matter_views.name
        transport.send(Message(event_id=poison, topic=topic, key=str(poison), value=b"not an event", headers=()))
        transport.flush(30)
        emitted["poison"] += 1
        self._consume(materialiser)
        applied = self._applied
        self.tell(
            f"Troubled   {emitted['repeated']} views emitted twice, {emitted['late']} views of deleted matters emitted "
            f"late, {emitted['poison']} poison message:\n"
            f"           {applied.duplicates} duplicates dropped, {applied.refused} views refused "
            f"({applied.refused - emitted['late']} of them among the repeated ones), "
            f"{applied.dead_letters} dead letter kept"
        )
        return emitted

    @staticmethod
    def _emit(web_app: MatterViewProducer, views: Iterable[MatterViewed]) -> int:
        count = 0
        for count, view in enumerate(views, 1):  # noqa: B007 - counted
            web_app.emit_event(view)
        web_app.flush()
        return count

    def _consume(self, materialiser: Materialiser) -> None:
        self._applied += materialiser.run(threading.Event(), until_caught_up=True)

    def _extract(self, store: LogStore, register: Register, ends: Ends) -> None:
        for kind in names():
            path = self.folder / f"{EXTRACT_NAME}.{FORMATS[kind].ending}"
            with store.reader() as connection:
                log = LogExtracts(LogReader(connection, register))
                extract = export_to_file(path, log, ExtractRequest(format=kind), ends, None)
            self.tell(f"Extracted  {path}: {extract.rows:,} rows, {extract.bytes:,} bytes")
            self._extracted.add(extract.rows)

    def _check_counts(self, emitted: Counter[str], status: LogStatus) -> None:
        applied = self._applied
        accounted = applied.views + applied.duplicates + applied.refused + applied.deletions + applied.dead_letters
        rows = applied.views - applied.views_purged
        self.tell(
            f"Adds up    {emitted.total():,} messages emitted = {applied.views:,} stored "
            f"+ {applied.duplicates:,} duplicates + {applied.refused:,} refused + {applied.deletions:,} "
            f"deletions + {applied.dead_letters:,} dead letter\n"
            f"           {applied.views:,} stored - {applied.views_purged:,} purged = {rows:,} rows = "
            f"rows of each extract"
        )
        if not (
            emitted.total() == applied.records == accounted
            and self._extracted == {rows} == {status.rows}
            and applied.refused + applied.duplicates == emitted["late"] + emitted["repeated"]
            and status.dead_letters == emitted["poison"]
        ):
            raise DemoFailed


def _matters_to_delete(firm: Firm) -> list[Matter]:
    """Return a busy, an average and a quiet matter."""
    by_weight = sorted(firm.matters, key=lambda matter: matter.weight)
    step = len(by_weight) / (_DELETED_MATTERS + 1)
    chosen = {int(step * number): by_weight[int(step * number)] for number in range(1, _DELETED_MATTERS + 1)}
    return list(chosen.values())


def _late_views(firm: Firm, deleted: list[Matter], until: datetime) -> Iterator[MatterViewed]:
    pairs = zip(itertools.cycle(firm.people), itertools.cycle(deleted), strict=False)
    for person, matter in itertools.islice(pairs, _LATE_VIEWS):
        yield firm.view_of(person, matter, until, new_event_id())
