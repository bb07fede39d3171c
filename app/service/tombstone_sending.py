"""The assembly of the tombstone sender: the log's tombstones, a producer, and the topic's compaction lag."""

import logging
from typing import Final

from matterlog.app.settings import Settings
from matterlog.app.topics.topics_admin import COMPACTION_LAG, TopicAdmin
from matterlog.consumers.database.log_store import LogStore
from matterlog.consumers.erasure.tombstones import ReadingOfViews, TombstoneSender
from matterlog.consumers.errors import BrokerUnavailable, TopicMissing
from matterlog.producers.tombstone_producer import TombstoneProducer
from matterlog.schemas.topics import MAX_COMPACTION_LAG_MS

logger = logging.getLogger(__name__)

# How much the broker's clock may differ from ours.
CLOCKS_APART_SECONDS: Final = 60.0


def tombstone_sender(settings: Settings, store: LogStore, reading: ReadingOfViews) -> TombstoneSender:
    """Return a sender of the store's tombstones to the topic of views. It starts when it is entered.

    Raises:
        WrongUse: no broker is set.
        InvalidSettings: librdkafka refuses the settings.
        RightMissing: the broker does not let this user see the topic's settings.
    """
    topics = settings.topics()
    lag_ms = _compaction_lag_ms(settings, topics.matter_views.name)
    return TombstoneSender(
        store,
        topics,
        TombstoneProducer(settings.broker(), settings.kafka).write,
        closes_after_seconds=lag_ms / 1000 + CLOCKS_APART_SECONDS,
        reading=reading,
    )


def _compaction_lag_ms(settings: Settings, topic: str) -> int:
    """Return after how long the broker closes a file of the topic; our default while the broker is away.

    Reading does not begin then. A user who may not see the setting would read on: receipts would rest on a guess.
    """
    try:
        admin = TopicAdmin(settings.broker(), settings.kafka, settings.broker_timeout_seconds)
        return MAX_COMPACTION_LAG_MS if admin.is_embedded else int(admin.configuration_of(topic)[COMPACTION_LAG])
    except (BrokerUnavailable, TopicMissing) as error:
        logger.warning("%s. Assuming that %s of %s is %d", error, COMPACTION_LAG, topic, MAX_COMPACTION_LAG_MS)
        return MAX_COMPACTION_LAG_MS
