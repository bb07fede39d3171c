"""Makes pictures small: a PNG of at most 256 colours, a third of the size of what a browser writes."""

import base64
import struct
import zlib
from pathlib import Path
from typing import Any, Final

from playwright.sync_api import Page

_COUNT_COLOURS: Final = (Path(__file__).parent / "palette.js").read_text(encoding="utf-8")
_MOST_COLOURS: Final = 256
_SIGNATURE: Final = b"\x89PNG\r\n\x1a\n"
_EIGHT_BITS_OF_A_PALETTE: Final = (8, 3, 0, 0, 0)


def shrink(picture: Path, page: Page) -> None:
    """Write a PNG again with few colours.

    Args:
        picture: the file.
        page: a page of a browser, which reads the picture. It may be empty.
    """
    asked = [base64.b64encode(picture.read_bytes()).decode(), _MOST_COLOURS]
    found: dict[str, Any] = page.evaluate(_COUNT_COLOURS, asked)
    width, height, pixels = found["width"], found["height"], base64.b64decode(found["pixels"])
    lines = b"".join(b"\0" + pixels[line * width : (line + 1) * width] for line in range(height))
    chunks = (
        (b"IHDR", struct.pack(">IIBBBBB", width, height, *_EIGHT_BITS_OF_A_PALETTE)),
        (b"PLTE", bytes(part for colour in found["palette"] for part in colour)),
        (b"IDAT", zlib.compress(lines, 9)),
        (b"IEND", b""),
    )
    picture.write_bytes(_SIGNATURE + b"".join(_chunk(kind, data) for kind, data in chunks))


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
