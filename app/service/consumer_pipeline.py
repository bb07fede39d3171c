"""The consumer inside the service: it runs in a thread, restarts after transient failures, and reports its state.

1. A failure of the consumer ends nothing else. The state says in words why the consumer waits or has stopped.
2. Transient failures (an unavailable broker, missing topics, a failed database) are retried, each time after a longer
   pause. Failures that need a person's decision (an expired position, a new topic under the old name, a producer that
   sends unreadable messages, a damaged database that alone holds something) are not.
3. Where views alone fail, the consumer goes on without them, also after it was started again; see ``materialise``.
4. A second thread asks Kafka for the ends of the partitions, so that reading the state never waits for Kafka.
"""

import logging
import threading
import traceback
from collections import Counter
from contextlib import closing
from dataclasses import asdict, fields, replace
from typing import Any, Final, Literal, Self

from matterlog.app.owner.question import Owner
from matterlog.app.owner.questions import DiscardQuestion, RetryQuestion
from matterlog.app.service.tombstone_sending import tombstone_sender
from matterlog.app.settings import Settings
from matterlog.app.terminal.memory_shortage import with_shortage
from matterlog.consumers.database.batch import BatchResult, Decode
from matterlog.consumers.database.log_store import LogStore
from matterlog.consumers.erasure.erase_schedule import EraseByDeadline
from matterlog.consumers.erasure.tombstones import TombstoneSender
from matterlog.consumers.errors import ConsumerError, DamagedAgain, DecisionNeeded, StoreFailed, WouldLose
from matterlog.consumers.materialise import Materialiser
from matterlog.consumers.reading.kafka import KafkaSource
from matterlog.consumers.recovery.recovery import reopen_or_recover
from matterlog.consumers.waits import FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS, Wait, WaitKeeper
from matterlog.report.web.figures.ports import READING, Phase, PipelineState
from matterlog.schemas import MatterlogError
from matterlog.schemas.instants import utc_now

logger = logging.getLogger(__name__)

ASK_FOR_ENDS_SECONDS: Final = 10.0
_FINISH_SECONDS: Final = 20.0
_FOR_A_PERSON: Final = (DecisionNeeded, WouldLose, DamagedAgain)
_COUNTED: Final = tuple(each.name for each in fields(BatchResult) if each.name != "matters_deleted")


class ConsumerPipeline:
    """A consumer in a background thread, with a state to read. Use as a context manager.

    Args:
        store: the log; the caller closes it afterwards.
        erasure: the schedule that rewrites the database file; the state includes its trouble.
        accept_gaps: record which records expired unread, and continue after them.
        consumes: False to read nothing from Kafka.
    """

    def __init__(
        self,
        settings: Settings,
        store: LogStore,
        decode: Decode,
        erasure: EraseByDeadline,
        *,
        accept_gaps: bool = False,
        consumes: bool = True,
    ) -> None:
        self._settings = settings
        self._store = store
        self._decode = decode
        self._erasure = erasure
        self._accept_gaps = accept_gaps
        self._stop = threading.Event()
        self._changing = threading.Lock()
        self._state = PipelineState(phase=Phase.STARTING if consumes else Phase.OFF, since=utc_now())
        self._applied: Counter[str] = Counter()
        self._sender: TombstoneSender | None = None
        self._views = WaitKeeper(views_alone=True)
        # Daemons, so that no thread keeps a stopped process alive.
        self._threads = [
            threading.Thread(target=target, name=name, daemon=True)
            for name, target in (("matterlog-consume", self._run), ("matterlog-lag", self._watch_ends))
            if consumes
        ]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Finish the current batch and stop."""
        self._stop.set()
        # The other thread only asks Kafka, which may answer late: do not wait for it.
        for thread in self._threads[:1]:
            thread.join(_FINISH_SECONDS)

    def state(self) -> PipelineState:
        """Return the current state, without waiting for anything."""
        trouble = None if self._sender is None else self._sender.trouble
        with self._changing:
            return replace(
                self._state,
                store_restarts=self._store.restarts,
                applied=dict(self._applied),
                tombstones_trouble=trouble,
                erasure_trouble=self._erasure.trouble,
                erase_within=self._settings.deadline(),
            )

    def change_dead_letters(
        self, ask: Literal["retry", "discard"], addresses: tuple[str, ...] | None
    ) -> dict[str, Any]:
        """Retry or discard dead letters; return the counts."""
        owner = Owner(self._store, self._decode)
        if ask == "discard":
            return DiscardQuestion(places=addresses).carry_out(owner)
        return asdict(RetryQuestion(places=addresses).carry_out(owner))

    def _change(self, **values: Any) -> None:
        with self._changing:
            self._state = replace(self._state, **values)

    def reading_trouble(self) -> str | None:
        """Return what is not read for now and why; None if everything is read, or nothing is meant to be."""
        state = self.state()
        if (wait := self._views.wait) is not None and state.phase in READING:
            return str(wait)
        return None if state.reason is None else f"{state.in_words} {state.reason}"

    def _enter(self, phase: Phase, reason: str | None = None) -> None:
        self._change(phase=phase, reason=reason, since=utc_now())

    def _enter_reading(self, wait: Wait | None) -> None:
        if wait is None:
            self._enter(Phase.CONSUMING)
        else:
            of_views = Phase.VIEWS_STOPPED if wait.lasts else Phase.VIEWS_WAITING
            phase = of_views if wait.views_alone else Phase.WAITING
            self._change(phase=phase, reason=str(wait.error), since=wait.since)

    def _run(self) -> None:
        pause = FIRST_PAUSE_SECONDS
        while not self._stop.is_set():
            began = utc_now()
            failure = self._consume()
            if self._stop.is_set() or failure is None:
                return
            if isinstance(failure, _FOR_A_PERSON):
                logger.error("the consumer has stopped: %s", failure)
                self._enter(Phase.STOPPED, str(failure))
                return
            if (utc_now() - began).total_seconds() > LONGEST_PAUSE_SECONDS:
                pause = FIRST_PAUSE_SECONDS
            self._enter(Phase.WAITING, _in_words(failure))
            logger.error("the consumer failed: %s. Retrying in %.0f s", _in_words(failure), pause)
            self._stop.wait(pause)
            pause = min(2 * pause, LONGEST_PAUSE_SECONDS)

    def _consume(self) -> Exception | None:
        """Consume until stopped; return the error that ended it earlier, if any."""
        try:
            with closing(self._settings.kafka_source()) as source:
                self._reopen_if_failed(source)
                self._settings.await_kafka(self._stop.is_set)
                materialiser = Materialiser(
                    source=source,
                    store=self._store,
                    decode=self._decode,
                    batch_records=self._settings.batch_records,
                    max_dead_letters=self._settings.max_dead_letters,
                    accept_gaps=self._accept_gaps,
                    on_reading=self._enter_reading,
                    on_applied=self._count,
                    views=self._views,
                )
                with tombstone_sender(self._settings, self._store, materialiser) as self._sender:
                    materialiser.run(self._stop)
        except Exception as error:  # noqa: BLE001 - the site continues, and the state shows the failure
            return error
        return None

    def _reopen_if_failed(self, source: KafkaSource) -> None:
        try:
            self._store.positions()
        except StoreFailed:
            reopen_or_recover(self._store, source)

    def _count(self, applied: BatchResult) -> None:
        with self._changing:
            self._applied.update({name: getattr(applied, name) for name in _COUNTED}, batches=1)
            if applied.records:
                self._state = replace(self._state, last_applied_at=utc_now())

    def _watch_ends(self) -> None:
        while not self._stop.is_set():
            try:
                with closing(self._settings.kafka_source()) as source:
                    while not self._stop.is_set():
                        self._change(ends=source.ends(), ends_asked_at=utc_now(), broker_problem=None)
                        self._stop.wait(ASK_FOR_ENDS_SECONDS)
            except ConsumerError as error:
                self._change(ends=None, ends_asked_at=None, broker_problem=_in_words(error))
                self._stop.wait(ASK_FOR_ENDS_SECONDS)


def _in_words(error: Exception) -> str:
    """Describe an error. Of an unexpected one log only the place, because its text may hold personal data."""
    if isinstance(error, MatterlogError):
        return with_shortage(error)
    logger.error("unexpected error at:\n%s", "".join(traceback.format_tb(error.__traceback__)))
    return f"the consumer failed ({type(error).__name__})"
