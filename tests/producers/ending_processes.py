"""Processes that emit and end without ``close``; run with a broker's address, a topic prefix and one of WAYS.

Whoever emits writes the event's ID to standard output, a line each. A process that hangs is ended by an alarm.
"""

import ctypes
import multiprocessing
import os
import signal
import sys
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from typing import Final

from matterlog.producers import KafkaProducer, MatterDeletionProducer, MatterViewProducer
from testbed.events import a_deletion, a_view

CHILDREN: Final = 3
EVENTS: Final = 100
HANGS_SECONDS: Final = 120
# Holds the interpreter's lock, as uWSGI does, and runs none of the interpreter's hooks.
bare_fork = ctypes.PyDLL(None).fork
made_in_parent: MatterViewProducer | None = None


def emit_many(make: Callable[[], MatterViewProducer]) -> None:
    signal.alarm(HANGS_SECONDS)
    producer = made_in_parent or make()
    for _ in range(EVENTS):
        os.write(1, f"{producer.emit_event(a_view())}\n".encode())


def forked_bare(servers: str, make: Callable[[], MatterViewProducer]) -> None:
    """Two children emit, the third one has no use for what it inherits."""
    deletions = MatterDeletionProducer(KafkaProducer(servers), topic_prefix=sys.argv[2])
    emit_many(make)
    children = []
    for number in range(CHILDREN):
        if not (child := bare_fork()):
            signal.alarm(HANGS_SECONDS)
            if number:
                emit_many(make)
                deletions.emit_event(a_deletion(matter_id=f"m-{number}"))
            sys.exit(0)
        children.append(child)
    codes = [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children]
    sys.exit(any(codes) and f"the children ended with {codes}")


def forked_by_multiprocessing(_servers: str, make: Callable[[], MatterViewProducer]) -> None:
    children = [multiprocessing.get_context("fork").Process(target=emit_many, args=[make]) for _ in range(CHILDREN)]
    for child in children:
        child.start()
    for child in children:
        child.join()
    codes = [child.exitcode for child in children]
    sys.exit(any(codes) and f"the children ended with {codes}")


def forked_by_an_executor(_servers: str, make: Callable[[], MatterViewProducer]) -> None:
    with ProcessPoolExecutor(CHILDREN, multiprocessing.get_context("fork")) as executor:
        for done in [executor.submit(emit_many, make) for _ in range(CHILDREN)]:
            done.result()


def forked_by_a_pool(_servers: str, make: Callable[[], MatterViewProducer]) -> None:
    pool = multiprocessing.get_context("fork").Pool(CHILDREN)
    pool.map(emit_many, [make] * CHILDREN)
    pool.close()
    pool.join()


WAYS: Final = {
    "bare": forked_bare,
    "multiprocessing": forked_by_multiprocessing,
    "executor": forked_by_an_executor,
    "pool": forked_by_a_pool,
}


def a_producer(servers: str, prefix: str) -> MatterViewProducer:
    return MatterViewProducer(KafkaProducer(servers, settings={"linger.ms": "1000"}), topic_prefix=prefix)


def main(servers: str, prefix: str, way: str, where: str) -> None:
    global made_in_parent  # noqa: PLW0603 - children inherit it, as they do a web app's
    make = partial(a_producer, servers, prefix)
    if where == "parent":
        made_in_parent = make()
    WAYS[way](servers, make)


if __name__ == "__main__":
    main(*sys.argv[1:])
