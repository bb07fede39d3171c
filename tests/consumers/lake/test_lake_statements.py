"""What a batch asks of PostgreSQL: each statement is a round trip, and costs time of the consumer's processor."""

import psycopg
import pytest

from matterlog.consumers.lake.lake_store import LakeStore
from matterlog.consumers.reading.records import Position
from matterlog.schemas.storage.lake import Lake
from testbed.events import a_view, record_of
from testbed.feed import VIEWS, decode, moves_of
from tests.consumers.contract.stores import Lakes

pytestmark = pytest.mark.postgresql

LOGGED = ("LOG:  statement: ", "LOG:  execute ")


def test_a_batch_takes_37_statements_of_postgresql(lakes: Lakes, lake: Lake) -> None:
    """It does not read what the batch before it left."""
    log = lakes.folder / "postgresql" / "server.log"
    with psycopg.connect(lake.catalogue, autocommit=True) as session:
        session.execute(f"ALTER DATABASE {session.info.dbname} SET log_statement = 'all'".encode())
    with LakeStore(lake) as store:
        for offset in range(3):
            batch = [record_of(a_view(), 0, offset)]
            moves = moves_of(batch, {(VIEWS, 0): Position(next_offset=offset)} if offset else {})
            before = len(log.read_text(errors="replace"))
            store.apply(decode(batch), moves)
        logged = log.read_text(errors="replace")[before:]
    assert sum(map(logged.count, LOGGED)) == 37
