"""A query for the topics' ends that runs beside other work: an extract states its lag without waiting for Kafka."""

import threading
from contextlib import closing
from datetime import UTC, datetime
from typing import Final

from matterlog.app.settings import Settings
from matterlog.consumers.errors import ConsumerError
from matterlog.report.handover.manifest import KnownEnds

# How long to wait for Kafka when everything else is done.
_PATIENCE_SECONDS: Final = 3.0


class EndsQuery:
    """A query that starts when it is made. In a daemon thread, because an unavailable broker answers very late."""

    def __init__(self, settings: Settings) -> None:
        """Ask the broker if the settings name one."""
        self._settings = settings
        self._known = KnownEnds(not_known_because="Kafka did not answer in time")
        self._thread = threading.Thread(target=self._ask, name="matterlog-ends", daemon=True)
        if settings.bootstrap_servers:
            self._thread.start()
        else:
            self._known = KnownEnds(not_known_because="no broker is set")

    def answer(self) -> KnownEnds:
        """Return the ends that Kafka reported, or why they are unknown."""
        if self._settings.bootstrap_servers:
            self._thread.join(_PATIENCE_SECONDS)
        return self._known

    def _ask(self) -> None:
        asked_at = datetime.now(UTC)
        try:
            with closing(self._settings.kafka_source()) as source:
                self._known = KnownEnds(asked_at=asked_at, ends=source.ends())
        except ConsumerError as error:
            self._known = KnownEnds(not_known_because=f"Kafka did not report the ends ({type(error).__name__})")
