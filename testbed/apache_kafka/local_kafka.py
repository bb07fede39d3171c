"""A Kafka broker as a process of this machine.

Rules:

1. The broker listens on 127.0.0.1 alone.
2. Everything that it writes lies below one directory; a restart on that directory finds the data again.
3. The ports stay the same as long as the object lives, so clients find a restarted broker.
4. The broker never outlives the process that started it, however that process ends: a watchdog holds the
   read end of a pipe whose write end only the starter has, and kills the broker when the pipe closes.
5. Signals go to the broker's own process id, never to a name or a group.
"""

import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Final, Self

from testbed.apache_kafka.broker import LOOPBACK, BrokerFailed, free_ports, require_free, wait_until_it_answers
from testbed.apache_kafka.jars import HERE, fetch_jars, java_command
from testbed.apache_kafka.settings import server_properties

LOG4J_CONFIG: Final = HERE / "log4j2.properties"
CLUSTER_ID: Final = "bWF0dGVybG9nLXRlc3RzLg"  # any 16 bytes, URL-safe base64
JVM_OPTIONS: Final = (
    "-Xmx512m",
    # Start fast rather than run fast: one compiler tier, the simplest collector, no checking of trusted jars.
    "-XX:TieredStopAtLevel=1",
    "-XX:+UseSerialGC",
    "-XX:+UnlockDiagnosticVMOptions",
    "-XX:-BytecodeVerificationRemote",
)
STOP_TIMEOUT_SECONDS: Final = 20.0
FORMAT_TIMEOUT_SECONDS: Final = 60.0
TAIL_LINES: Final = 20
NONE: Final[Mapping[str, str]] = MappingProxyType({})
# Reads one byte: it comes when the broker has been ended on purpose; the end of the pipe comes first when
# the starter died.
WATCHDOG: Final = "import os, sys; sys.stdin.buffer.read(1) or os.kill(int(sys.argv[1]), 9)"


class LocalKafka:
    """One node, broker and controller at once, that runs between `start` and `stop` or `kill`."""

    def __init__(self, directory: Path, *, port: int | None = None, properties: Mapping[str, str] = NONE) -> None:
        """Prepare a broker that keeps its data below `directory`; the operating system picks the port.

        `properties` go beside those of every test's broker.
        """
        self._more_properties = properties
        picked_port, self._controller_port = free_ports(2)
        self._port = port or picked_port
        self._directory = directory.resolve()
        self._broker: subprocess.Popen[bytes] | None = None
        self._watchdog: subprocess.Popen[bytes] | None = None

    @property
    def bootstrap_servers(self) -> str:
        """The address for clients."""
        return f"{LOOPBACK}:{self._port}"

    @property
    def log_dir(self) -> Path:
        """The folder of partition folders, `<topic>-<partition>/`, which hold the segment files."""
        return self._directory / "data"

    @property
    def log_file(self) -> Path:
        """All that the broker printed, over all its starts."""
        return self._directory / "kafka.log"

    @property
    def pid(self) -> int | None:
        """The broker's process id while it runs."""
        return None if self._broker is None else self._broker.pid

    def __enter__(self) -> Self:
        """Start the broker."""
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Stop the broker."""
        self.stop()

    def start(self) -> None:
        """Start the broker on whatever data its directory holds; return once it answers."""
        if self._broker is not None:
            raise BrokerFailed(f"{self.bootstrap_servers} runs already")
        java = [java_command(), *JVM_OPTIONS, "-cp", f"{fetch_jars()}/*", f"-Dlog4j2.configurationFile={LOG4J_CONFIG}"]
        require_free(self._port)
        self._write_properties()
        self._format(java)
        try:
            self._launch(java)
            wait_until_it_answers(self.bootstrap_servers, between_tries=self._require_alive)
        except BaseException:
            self.kill()
            raise

    def stop(self) -> None:
        """Let the broker shut down in order; kill it when it takes too long."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """End the broker without any chance to clean up, as a power cut would."""
        self._end(signal.SIGKILL)

    def wait(self) -> int:
        """Block until the broker ends by itself; give its exit code."""
        return 0 if self._broker is None else self._broker.wait()

    def tail(self) -> str:
        """The last lines of the broker's log, without the frames of Java's stack traces."""
        lines = self.log_file.read_text("utf-8", errors="replace").splitlines()
        return "\n".join([each for each in lines if not each.startswith("\tat ")][-TAIL_LINES:])

    def _write_properties(self) -> None:
        self._directory.mkdir(parents=True, exist_ok=True)
        properties = server_properties(
            bind=LOOPBACK, advertised=LOOPBACK, port=self._port, controller_port=self._controller_port
        )
        # Relative to the broker's working directory, for a properties file can't hold every path there is.
        properties |= {"log.dirs": self.log_dir.name, **self._more_properties}
        lines = [f"{name}={value}\n" for name, value in properties.items()]
        (self._directory / "server.properties").write_text("".join(lines), "ascii")

    def _format(self, java: list[str]) -> None:
        if (self.log_dir / "meta.properties").exists():
            return
        tool = ["kafka.tools.StorageTool", "format", "--ignore-formatted", "--cluster-id", CLUSTER_ID]
        with self.log_file.open("ab") as log:
            code = subprocess.run(
                [*java, *tool, "--config", "server.properties"],
                cwd=self._directory,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                timeout=FORMAT_TIMEOUT_SECONDS,
                check=False,
            ).returncode
        if code != 0:
            raise BrokerFailed(f"the data directory could not be formatted:\n{self.tail()}")

    def _launch(self, java: list[str]) -> None:
        # Sessions of their own: Ctrl-C in a terminal reaches the starter alone, who then stops the broker.
        with self.log_file.open("ab") as log:
            self._broker = subprocess.Popen(
                [*java, "kafka.Kafka", "server.properties"],
                cwd=self._directory,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self._watchdog = subprocess.Popen(
            [sys.executable, "-I", "-S", "-c", WATCHDOG, str(self._broker.pid)],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )

    def _require_alive(self) -> None:
        if self._broker is not None and self._broker.poll() is not None:
            raise BrokerFailed(f"Kafka ended with code {self._broker.returncode}:\n{self.tail()}")

    def _end(self, how: signal.Signals) -> None:
        if self._broker is not None:
            self._broker.send_signal(how)
            try:
                self._broker.wait(STOP_TIMEOUT_SECONDS)
            except subprocess.TimeoutExpired:
                self._broker.kill()
                self._broker.wait()
            self._broker = None
        if self._watchdog is not None:
            self._watchdog.communicate(b".")
            self._watchdog = None
