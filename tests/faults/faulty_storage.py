"""An S3 storage that fails on request: moto's server, and a proxy in front of it."""

import random
import socket
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from moto.server import ThreadedMotoServer

BUCKET: Final = "log"
_METHODS: Final = (b"GET ", b"PUT ", b"HEAD ", b"POST ", b"DELETE ")
_REFUSAL: Final = b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
_PIECE: Final = 65_536
_SLOW_SECONDS: Final = 0.5


class Mood(StrEnum):
    """What the storage does with requests."""

    WELL = "well"
    AWAY = "away"
    SLOW = "slow"
    FAILING = "failing half of its answers"


@dataclass(slots=True)
class FaultyStorage:
    """The proxy. ``mood`` may be changed at any time."""

    behind: tuple[str, int]
    dice: random.Random
    mood: Mood = Mood.WELL
    refused: int = field(default=0, init=False)
    _listening: socket.socket = field(init=False)

    def __post_init__(self) -> None:
        """Listen on a free port."""
        self._listening = socket.create_server(("127.0.0.1", 0))

    @property
    def address(self) -> str:
        """Where clients find it."""
        return f"127.0.0.1:{self._listening.getsockname()[1]}"

    def serve(self) -> None:
        """Serve until the socket is closed."""
        with suppress(OSError):
            while True:
                client, _ = self._listening.accept()
                threading.Thread(target=self._serve_one, args=(client,), daemon=True).start()

    def close(self) -> None:
        """Listen no more."""
        with suppress(OSError):
            self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()

    def _serve_one(self, client: socket.socket) -> None:
        with suppress(OSError), closing(client), socket.create_connection(self.behind) as server:
            back = threading.Thread(target=self._pump, args=(server, client, lambda _: True), daemon=True)
            back.start()
            self._pump(client, server, lambda piece: self._lets(piece, client))
            back.join()

    def _pump(self, source: socket.socket, target: socket.socket, lets: Callable[[bytes], bool]) -> None:
        with suppress(OSError):
            while (piece := source.recv(_PIECE)) and self.mood is not Mood.AWAY and lets(piece):
                target.sendall(piece)
        for end in (source, target):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def _lets(self, piece: bytes, client: socket.socket) -> bool:
        """Whether a piece of a request goes on to the server."""
        if self.mood is Mood.SLOW:
            time.sleep(_SLOW_SECONDS)
        if self.mood is Mood.FAILING and piece.startswith(_METHODS) and self.dice.random() < 1 / 2:
            self.refused += 1
            client.sendall(_REFUSAL)
            return False
        return True


@contextmanager
def faulty_storage(dice: random.Random) -> Iterator[FaultyStorage]:
    """A storage with one bucket."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    storage = FaultyStorage((host, port), dice)
    serving = threading.Thread(target=storage.serve, daemon=True)
    serving.start()
    try:
        put = urllib.request.Request(f"http://{host}:{port}/{BUCKET}", method="PUT")
        urllib.request.urlopen(put).close()  # noqa: S310 - as above
        yield storage
    finally:
        storage.close()
        serving.join()
        server.stop()
