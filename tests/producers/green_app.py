"""An app of greenlets; run with a broker's address and a topic prefix. It writes the IDs of what it emitted.

A greenlet that is switched to every hundredth of a second shows that the others do not stop it.
"""

import gevent.monkey

gevent.monkey.patch_all()

import os  # noqa: E402 - gevent comes first
import signal  # noqa: E402
import sys  # noqa: E402
import time  # noqa: E402
from itertools import pairwise  # noqa: E402

import gevent  # noqa: E402

from matterlog.producers import Failure, KafkaProducer, MatterDeletionProducer, MatterViewProducer  # noqa: E402
from testbed.events import a_deletion, a_view  # noqa: E402

# Far more than a flush takes between two looks, far less than it waits.
STOPPED_SECONDS = 1.0
# One that hangs is ended by an alarm, far beyond what it needs.
HANGS_SECONDS = 120


def ticking(ticks: list[float]) -> None:
    while True:
        ticks.append(time.monotonic())
        gevent.sleep(0.01)


def emit_many(views: MatterViewProducer) -> None:
    for _ in range(100):
        os.write(1, f"{views.emit_event(a_view())}\n".encode())
        gevent.sleep(0)


def wait_for_a_failure() -> None:
    """Where nobody listens, a flush waits in vain, and the callback is told from a thread."""
    told = list[Failure]()
    transport = KafkaProducer("127.0.0.1:1", settings={"delivery.timeout.ms": "3000"}, on_failure=told.append)
    MatterViewProducer(transport).emit_event(a_view())
    transport.flush(2)
    while not told:
        gevent.sleep(0.01)


def main(servers: str, prefix: str) -> None:
    signal.alarm(HANGS_SECONDS)
    transport = KafkaProducer(servers)
    views = MatterViewProducer(transport, topic_prefix=prefix)
    deletions = MatterDeletionProducer(transport, topic_prefix=prefix)
    ticks = list[float]()
    gevent.spawn(ticking, ticks)
    jobs = [gevent.spawn(emit_many, views) for _ in range(5)]
    jobs += [gevent.spawn(deletions.emit_event, a_deletion(matter_id=f"m-{number}")) for number in range(5)]
    gevent.joinall([*jobs, gevent.spawn(wait_for_a_failure)], raise_error=True)
    gaps = [later - earlier for earlier, later in pairwise(ticks)]
    if max(gaps) > STOPPED_SECONDS:
        sys.exit(f"other greenlets stood still for {max(gaps):.1f} s")


if __name__ == "__main__":
    main(*sys.argv[1:])
