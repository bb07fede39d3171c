"""Run a broker in the foreground until Ctrl-C or SIGTERM: `python -m testbed.apache_kafka`."""

import argparse
import contextlib
import signal
import sys
import tempfile
from pathlib import Path
from types import FrameType

from testbed.apache_kafka import BrokerFailed, KafkaUnavailable, LocalKafka


def main() -> int:
    """Run the broker. Return 0 if it was asked to stop, 1 if it could not run."""
    arguments = _arguments()
    signal.signal(signal.SIGTERM, _interrupt)
    try:
        with contextlib.ExitStack() as stack:
            directory = arguments.directory or Path(stack.enter_context(tempfile.TemporaryDirectory()))
            kafka = stack.enter_context(LocalKafka(directory, port=arguments.port))
            sys.stdout.write(f"bootstrap.servers={kafka.bootstrap_servers}\n")
            sys.stdout.flush()
            code = kafka.wait()
            sys.stderr.write(f"Kafka stopped unexpectedly with exit code {code}:\n{kafka.tail()}\n")
    except KeyboardInterrupt:
        return 0
    except (BrokerFailed, KafkaUnavailable) as error:
        sys.stderr.write(f"{error}\n")
    return 1


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m testbed.apache_kafka", description=__doc__)
    parser.add_argument("--port", type=int, default=9092, help="port on 127.0.0.1 (default: %(default)s)")
    parser.add_argument("--directory", type=Path, help="folder for the data (default: a temporary folder)")
    return parser.parse_args()


def _interrupt(_signal: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main())
