"""What can go wrong on the way to Kafka, split by who must act.

MatterlogError
└── ProducerError         the web app catches this one to serve its page all the same
    ├── InvalidSettings   whoever configured it: at construction, never later
    ├── BufferFull        the operator: more events wait than the buffer holds; nothing was taken
    ├── ProducerClosed    the caller: emitted after close()
    └── NotDelivered      the operator: the broker did not acknowledge in time, or refused
"""

from matterlog.schemas import MatterlogError


class ProducerError(MatterlogError):
    """The event was not handed to Kafka."""


class InvalidSettings(ProducerError):
    """The producer's settings are not valid."""


class BufferFull(ProducerError):
    """The buffer of unsent events is full; this event was not taken. Is the broker down?"""


class ProducerClosed(ProducerError):
    """The producer is closed; this event was not taken."""


class NotDelivered(ProducerError):
    """The broker has not acknowledged; ``undelivered`` events may or may not have arrived.

    Emitting them again with the same event IDs is safe: the consumer counts an event ID once.
    """

    def __init__(self, message: str, *, undelivered: int) -> None:
        self.undelivered = undelivered
        super().__init__(message)
