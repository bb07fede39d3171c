"""The producers that a web app or the deletion service installs to emit its events."""

from matterlog.producers.errors import BufferFull, InvalidSettings, NotDelivered, ProducerClosed, ProducerError
from matterlog.producers.kafka import KafkaProducer
from matterlog.producers.matter_deletions import MatterDeletionProducer
from matterlog.producers.matter_views import MatterViewProducer
from matterlog.producers.memory import MemoryProducer
from matterlog.producers.transport import Counts, Failure, Message, Transport

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
