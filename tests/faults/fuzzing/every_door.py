"""Every door, with its trials in ``make test``: together more than 200,000 cases for about 25 seconds of a processor.

A message and a question get MAX_SECONDS. A file or a batch of messages gets more, and so does a door behind which a
server or a database works: its clock is the whole process's.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from pathlib import Path
from random import Random
from typing import Final

from matterlog.app.files.import_records import RecordFormat
from tests.faults.fuzzing import choices, handover, imports, messages, questions, requests
from tests.faults.fuzzing.doors import Door, Try

_OF_A_FILE: Final = 0.5
_OF_A_BATCH: Final = 1.0
_OF_A_SERVER: Final = 5.0


def _plain(try_once: Try) -> Callable[[Path], AbstractContextManager[Try]]:
    """Return what opens a door that needs nothing."""

    @contextmanager
    def opened(_folder: Path) -> Iterator[Try]:
        yield try_once

    return opened


@contextmanager
def _settings(folder: Path) -> Iterator[Try]:
    def try_once(dice: Random) -> int:
        return choices.settings(folder, dice)

    yield try_once


def _serving(name: str, trials: int, opened: Callable[[Path], AbstractContextManager[Try]], cases: int = 1) -> Door:
    return Door(name=name, trials=trials, cases=cases, opened=opened, max_seconds=_OF_A_SERVER, clock=time.process_time)


DOORS: Final = {
    door.name: door
    for door in (
        Door(
            name="decoder",
            trials=300,
            cases=messages.DECODER_BATCH,
            opened=_plain(messages.decode_batch),
            max_seconds=_OF_A_BATCH,
        ),
        Door(name="message", trials=45_000, opened=_plain(messages.decode_one)),
        _serving("store", 25, messages.store, messages.STORE_BATCH),
        *(
            Door(name=kind.value, trials=4_000, opened=_plain(partial(imports.read, kind)), max_seconds=_OF_A_FILE)
            for kind in RecordFormat
        ),
        Door(name="filter", trials=12_000, opened=_plain(choices.filters)),
        Door(name="page", trials=8_000, opened=_plain(choices.page)),
        Door(name="place", trials=10_000, opened=_plain(choices.place)),
        Door(name="settings", trials=1_000, opened=_settings, max_seconds=_OF_A_FILE),
        Door(name="question", trials=8_000, opened=_plain(questions.read_question)),
        _serving("socket", 300, questions.opened),
        _serving("requests", 300, requests.opened),
        Door(name="manifest", trials=3_000, opened=handover.manifests, max_seconds=_OF_A_FILE),
        Door(name="verification", trials=1_000, opened=handover.verified, max_seconds=_OF_A_FILE),
        _serving("comparison", 30, handover.compared),
        Door(name="backup", trials=1_000, opened=handover.described, max_seconds=_OF_A_FILE),
        _serving("restore", 15, handover.restored),
    )
}
