"""The parts that every broker needs: free ports, and the wait until it answers."""

import contextlib
import secrets
import socket
import time
from collections.abc import Callable
from typing import Final

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

LOOPBACK: Final = "127.0.0.1"
START_TIMEOUT_SECONDS: Final = 60.0
PROBE_TIMEOUT_SECONDS: Final = 0.5
# Below those that Linux gives to clients.
_PORTS: Final = range(20_000, 32_000)


class BrokerFailed(Exception):
    """The broker died or did not answer."""


def free_ports(count: int) -> list[int]:
    """Return different free ports that no client gets: while a broker is down, no connection takes its port."""
    free: list[int] = []
    while len(free) < count:
        port = secrets.choice(_PORTS)
        with contextlib.suppress(BrokerFailed):
            require_free(port)
            free += [port] * (port not in free)
    return free


def require_free(port: int) -> None:
    """Raise BrokerFailed if the port is in use: another broker would answer instead of ours."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
        except OSError as error:
            raise BrokerFailed(f"port {port} of {LOOPBACK} is in use") from error


def wait_until_it_answers(bootstrap_servers: str, *, between_tries: Callable[[], None] | None = None) -> None:
    """Wait until the cluster lists a broker. `between_tries` may raise to stop early."""
    client = AdminClient(
        {
            "bootstrap.servers": bootstrap_servers,
            "reconnect.backoff.ms": 50,
            "reconnect.backoff.max.ms": 100,
            "log_level": 0,  # refused connections are expected here, and librdkafka would log each one
        }
    )
    deadline = time.monotonic() + START_TIMEOUT_SECONDS
    while time.monotonic() < deadline:
        if between_tries is not None:
            between_tries()
        with contextlib.suppress(KafkaException):
            if client.list_topics(timeout=PROBE_TIMEOUT_SECONDS).brokers:
                return
    raise BrokerFailed(f"{bootstrap_servers} did not answer within {START_TIMEOUT_SECONDS:.0f} s")
