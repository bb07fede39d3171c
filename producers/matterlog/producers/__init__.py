"""What a web app or the deletion service installs: emit one event, and go on."""

from .errors import BufferFull, InvalidSettings, NotDelivered, ProducerClosed, ProducerError
from .kafka import KafkaProducer
from .matter_deletions import MatterDeletionProducer
from .matter_views import MatterViewProducer
from .memory import MemoryProducer
from .transport import Counts, Failure, Message, Transport

__all__ = [
    "BufferFull",
    "Counts",
    "Failure",
    "InvalidSettings",
    "KafkaProducer",
    "MatterDeletionProducer",
    "MatterViewProducer",
    "MemoryProducer",
    "Message",
    "NotDelivered",
    "ProducerClosed",
    "ProducerError",
    "Transport",
]
