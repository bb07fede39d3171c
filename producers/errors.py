"""Errors on the way to Kafka, grouped by who must act.

MatterlogError
└── ProducerError         caught by the web app, so that it can still serve its page
    ├── InvalidSettings   for whoever configured the producer. Raised at construction, never later
    ├── BufferFull        for the operator: the buffer of unsent events is full, and the event was not accepted
    ├── ProducerClosed    for the caller: it emitted an event after close()
    └── NotDelivered      for the operator: the broker refused the event or did not acknowledge it in time
"""

from matterlog.schemas import MatterlogError


class ProducerError(MatterlogError):
    """The event was not sent to Kafka."""


class InvalidSettings(ProducerError):
    """The producer's settings are not valid."""


class BufferFull(ProducerError):
    """The buffer of unsent events is full and did not accept this event. Check that the broker is running."""


class ProducerClosed(ProducerError):
    """The producer is closed and did not accept this event."""


class NotDelivered(ProducerError):
    """The broker did not acknowledge ``undelivered`` events. They may or may not have arrived.

    It is safe to emit them again with the same event IDs: the consumer counts each event ID once.
    """

    def __init__(self, message: str, *, undelivered: int) -> None:
        self.undelivered = undelivered
        super().__init__(message)
