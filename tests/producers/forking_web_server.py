"""A pre-forking web server in small; run with a broker's address, a topic prefix and the way its children end.

The parent emits all the time, also at the moments when it forks. A child emits views, then a deletion, whose
acknowledgement it waits for. Whoever emits writes the event's ID to standard output, a line each. Children end by
``sys.exit``, or flush and end by ``os._exit``; nobody calls ``close``. A child that hangs is ended by an alarm.
"""

import os
import signal
import sys
import threading

from matterlog.producers import KafkaProducer, MatterDeletionProducer, MatterViewProducer, kafka
from testbed.events import a_deletion, a_view

CHILDREN = 3
EVENTS_OF_A_CHILD = 20
# Far beyond what a child needs, and soon enough for who waits for the test.
CHILD_HANGS_SECONDS = 120
# A busy machine's broker may take longer than the product waits for it.
kafka._EXIT_FLUSH_SECONDS = 30.0  # type: ignore[misc]


def emit(producer: MatterViewProducer) -> None:
    os.write(1, f"{producer.emit_event(a_view())}\n".encode())


def emit_until(stop: threading.Event, producer: MatterViewProducer) -> None:
    while not stop.wait(0.0005):
        emit(producer)


def serve(views: MatterViewProducer, deletions: MatterDeletionProducer, ending: str) -> None:
    signal.alarm(CHILD_HANGS_SECONDS)
    for _ in range(EVENTS_OF_A_CHILD):
        emit(views)
    deletions.emit_event(a_deletion(matter_id=f"m-{os.getpid()}"))
    if ending == "os._exit":
        os._exit(views.flush())
    sys.exit(0)


def main(servers: str, prefix: str, ending: str) -> None:
    transport = KafkaProducer(servers)
    views = MatterViewProducer(transport, topic_prefix=prefix)
    deletions = MatterDeletionProducer(transport, topic_prefix=prefix)
    emit(views)
    stop = threading.Event()
    thread = threading.Thread(target=emit_until, args=[stop, views])
    thread.start()
    children = []
    for _ in range(CHILDREN):
        with transport._sending:  # as when the other thread emits at the very moment of the fork
            if not (child := os.fork()):
                serve(views, deletions, ending)
        children.append(child)
    codes = [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children]
    stop.set()
    thread.join()
    sys.exit(any(codes) and f"the children ended with {codes}")


if __name__ == "__main__":
    main(*sys.argv[1:])
