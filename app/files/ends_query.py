"""The topics' ends, asked of Kafka beside other work: an extract tells how far behind it is, and waits for nobody."""

import threading
from contextlib import closing
from datetime import UTC, datetime
from typing import Final

from matterlog.app.settings import Settings
from matterlog.consumers.errors import ConsumerError
from matterlog.report.handover.manifest import KnownEnds

# How long is waited for Kafka when everything else is done.
_PATIENCE_SECONDS: Final = 3.0


class EndsQuery:
    """Asks from the moment that it is made; in a daemon thread, for a broker that is away answers very late."""

    def __init__(self, settings: Settings) -> None:
        """Ask the broker that the settings name, if they do."""
        self._settings = settings
        self._known = KnownEnds(not_known_because="Kafka did not answer in time")
        self._thread = threading.Thread(target=self._ask, name="matterlog-ends", daemon=True)
        if settings.bootstrap_servers:
            self._thread.start()
        else:
            self._known = KnownEnds(not_known_because="no broker is set, so nobody asked Kafka")

    def answer(self) -> KnownEnds:
        """Return what Kafka has told, or why it has told nothing."""
        if self._settings.bootstrap_servers:
            self._thread.join(_PATIENCE_SECONDS)
        return self._known

    def _ask(self) -> None:
        asked_at = datetime.now(UTC)
        try:
            with closing(self._settings.kafka_source()) as source:
                self._known = KnownEnds(asked_at=asked_at, ends=source.ends())
        except ConsumerError as error:
            self._known = KnownEnds(not_known_because=f"Kafka was asked in vain ({type(error).__name__})")
