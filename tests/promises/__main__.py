"""``python -m tests.promises`` writes docs/promises.md."""

from tests.promises.document import DOCUMENT, document

DOCUMENT.write_text(document(), encoding="utf-8")
