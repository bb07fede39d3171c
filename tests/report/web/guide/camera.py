"""Takes pictures of pages, and notes the words on them."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from playwright.sync_api import Page, expect

from testbed.command import PATIENCE_SECONDS
from tests.report.web.guide.palette import shrink

# Answers the words that a reader of the page works with.
ASK_FOR_WORDS: Final = (Path(__file__).parent / "words.js").read_text(encoding="utf-8")
_SCROLL_TO: Final = "heading => { heading.scrollIntoView(); scrollBy(0, -32); }"
WIDTH: Final = 1200
DARK: Final = "-dark"


@dataclass(frozen=True, slots=True)
class Camera:
    """Puts pictures into a folder.

    Args:
        folder: where the pictures go.
        is_for_readers: whether charts are drawn first, and the files made small. Without it only the words are right.
        words: what the pages of each picture said, by the picture's name.
    """

    folder: Path
    is_for_readers: bool
    words: dict[str, list[str]] = field(default_factory=dict)

    def take(self, name: str, page: Page, *, height: int, width: int = WIDTH, at: str | None = None) -> None:
        """Take a picture of the window, and note the words of the page.

        Args:
            name: of the picture.
            page: the open page.
            height: of the picture, in pixels.
            width: likewise.
            at: the heading at the top of the window; None: the page's beginning.
        """
        self.note(name, page)
        self._take(name, page, (width, height), at)

    def take_dark(self, name: str, page: Page, *, height: int) -> None:
        """Take a picture in dark colours."""
        page.emulate_media(color_scheme="dark")
        if self.is_for_readers:
            page.reload()  # so that the chart is drawn in dark colours
        self._take(name + DARK, page, (WIDTH, height), None)
        page.emulate_media(color_scheme="light")

    def note(self, name: str, page: Page) -> None:
        """Note the words of a page without a picture of its own, for a picture that is explained together with it."""
        page.wait_for_load_state("load")  # without its stylesheet a page shows what is hidden
        known = self.words.setdefault(name, [])
        known += [words for words in page.evaluate(ASK_FOR_WORDS) if words not in known]

    def _take(self, name: str, page: Page, size: tuple[int, int], at: str | None) -> None:
        page.set_viewport_size({"width": size[0], "height": size[1]})
        if self.is_for_readers and page.locator("figure.picture").count():
            expect(page.locator(".chart svg")).to_be_visible(timeout=PATIENCE_SECONDS * 1000)
        if at is not None:
            page.get_by_role("heading", name=at).evaluate(_SCROLL_TO)
        page.evaluate("document.activeElement.blur()")
        path = self.folder / f"{name}.png"
        page.screenshot(path=path, animations="disabled", caret="hide")
        if self.is_for_readers:
            shrink(path, page)
