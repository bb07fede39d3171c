"""A Kafka broker in a container, for machines that have a Docker daemon and can get the image.

The daemon and the image are checked first, with a timeout, because a pull has none.
"""

import contextlib
import socket
from collections.abc import Iterator
from typing import Any, Final

from docker.constants import DEFAULT_UNIX_SOCKET  # type: ignore[import-untyped]  # ships no types
from docker.errors import DockerException, ImageNotFound  # type: ignore[import-untyped]  # ships no types
from testcontainers.core.config import testcontainers_config
from testcontainers.core.container import DockerContainer
from testcontainers.core.docker_client import DockerClient, get_docker_host

from testbed.apache_kafka.broker import LOOPBACK, BrokerFailed, free_ports, wait_until_it_answers
from testbed.apache_kafka.jars import KAFKA_VERSION, KafkaUnavailable
from testbed.apache_kafka.settings import server_properties

IMAGE: Final = f"apache/kafka:{KAFKA_VERSION}"
# Inside the container, where no other process uses it.
CONTROLLER_PORT: Final = 9093
DAEMON_TIMEOUT_SECONDS: Final = 20


@contextlib.contextmanager
def docker_kafka() -> Iterator[str]:
    """Yield the bootstrap servers of a broker in a container, which is removed when the context closes."""
    host = _docker_host_with_image()
    [port] = free_ports(1)
    # Testcontainers' reaper would need a second image. This context removes its container itself.
    testcontainers_config.ryuk_disabled = True
    with contextlib.ExitStack() as stack:
        try:
            stack.enter_context(_container(host, port))
            wait_until_it_answers(f"{host}:{port}")
        except (BrokerFailed, DockerException, OSError) as error:
            raise KafkaUnavailable(f"the container did not run: {error}") from error
        yield f"{host}:{port}"


def _docker_host_with_image() -> str:
    """Return the host on which the daemon publishes ports."""
    try:
        _require_listener(get_docker_host() or DEFAULT_UNIX_SOCKET)
        client = DockerClient(timeout=DAEMON_TIMEOUT_SECONDS)
    except (DockerException, OSError) as error:
        raise KafkaUnavailable("no Docker daemon answers") from error
    with contextlib.closing(client.client) as docker:
        try:
            docker.ping()
            _require_image(docker)
        except (DockerException, OSError) as error:
            raise KafkaUnavailable(f"the image {IMAGE} is not available: {error}") from error
        host = client.host()
    return LOOPBACK if host == "localhost" else host


def _require_listener(docker_host: str) -> None:
    """Raise OSError if the daemon's Unix socket is closed: Docker's client would leak its own socket."""
    scheme, _, path = docker_host.partition("://")
    if scheme.endswith("unix"):
        with socket.socket(socket.AF_UNIX) as probe:
            probe.connect(path)


def _require_image(docker: Any) -> None:
    image = testcontainers_config.hub_image_name_prefix + IMAGE
    try:
        docker.images.get(image)
    except ImageNotFound:
        docker.images.get_registry_data(image)


def _container(host: str, port: int) -> DockerContainer:
    """Return a container whose broker uses the same port inside and outside, since it advertises that port."""
    container = DockerContainer(IMAGE, docker_client_kw={"timeout": DAEMON_TIMEOUT_SECONDS})
    every_address = "0.0.0.0"  # noqa: S104 - inside the container; the next line limits the outside
    container.ports[str(port)] = (LOOPBACK, port) if host == LOOPBACK else port  # type: ignore[assignment]
    properties = server_properties(
        bind=every_address, advertised=host, port=port, controller_ports={1: CONTROLLER_PORT}
    )
    for name, value in properties.items():
        container.with_env("KAFKA_" + name.upper().replace(".", "_"), value)
    return container
