"""Records that Python's client refuses to write, written with the C library inside it."""

import ctypes
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import confluent_kafka

# Of rdkafka.h: what an argument of rd_kafka_producev is, and flags.
END, TOPIC, PARTITION, VALUE, KEY, FLAGS, TIMESTAMP, HEADERS = 0, 1, 3, 4, 5, 7, 8, 10
COPY_AND_WAIT: Final = 0x2 | 0x4
PRODUCER: Final = 0
FLUSH_MS: Final = 30_000


def _library() -> ctypes.CDLL:
    folder = Path(confluent_kafka.__file__).parents[1] / "confluent_kafka.libs"
    [found] = folder.glob("librdkafka-*")
    library = ctypes.CDLL(str(found))
    for name in ("rd_kafka_conf_new", "rd_kafka_new", "rd_kafka_headers_new"):
        getattr(library, name).restype = ctypes.c_void_p
    return library


def write_raw(
    servers: str,
    topic: str,
    key: bytes,
    value: bytes | None,
    *,
    headers: Sequence[tuple[bytes, bytes | None]] = (),
    timestamp_ms: int = 0,
) -> None:
    """Write one record to partition 0; a header's name and value may be any bytes. 0 is now."""
    library = _library()
    conf = ctypes.c_void_p(library.rd_kafka_conf_new())
    reason = ctypes.create_string_buffer(512)
    library.rd_kafka_conf_set(conf, b"bootstrap.servers", servers.encode(), reason, 512)
    client = ctypes.c_void_p(library.rd_kafka_new(PRODUCER, conf, reason, 512))
    assert client, reason.value
    listed = ctypes.c_void_p(library.rd_kafka_headers_new(ctypes.c_size_t(len(headers))))
    for name, content in headers:
        size = ctypes.c_ssize_t(-1 if content is None else len(content))
        library.rd_kafka_header_add(listed, name, ctypes.c_ssize_t(len(name)), content, size)
    failed = library.rd_kafka_producev(
        client,
        *(TOPIC, topic.encode(), PARTITION, ctypes.c_int32(0), FLAGS, COPY_AND_WAIT),
        *(KEY, key, ctypes.c_size_t(len(key)), VALUE, value, ctypes.c_size_t(len(value or b""))),
        *(TIMESTAMP, ctypes.c_int64(timestamp_ms), HEADERS, listed, END),
    )
    assert not failed, failed
    assert not library.rd_kafka_flush(client, FLUSH_MS)
    library.rd_kafka_destroy(client)
