"""A picture's page in a real Chromium, without a network."""

from pathlib import Path
from typing import Final

import pytest
from playwright.sync_api import Browser, expect

from matterlog.report.charts import PictureFormat, draw, render
from tests.report.engagement.answers import REQUEST, asking, everything

HOSTILE: Final = "</script><script>document.title='broken'</script><img src=x onerror=alert(1)>"


@pytest.fixture(scope="module")
def page_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page of three matters with a hostile name."""
    path = tmp_path_factory.mktemp("page") / "matters.html"
    path.write_bytes(render(draw("matters", REQUEST, asking(everything(HOSTILE))), PictureFormat.HTML))
    return path


def test_a_page_draws_itself_and_asks_nobody(chromium: Browser, page_file: Path) -> None:
    """Its policy is kept without a word of the browser's, and the name runs nowhere."""
    with chromium.new_context(offline=True) as context:
        page, said, asked = context.new_page(), [], []
        page.on("console", lambda message: said.append(message.text))
        page.on("pageerror", lambda error: said.append(str(error)))
        page.on("request", lambda request: asked.append(request.url))
        page.goto(page_file.as_uri())
        expect(page.locator("#picture.vega-embed svg")).to_be_visible()
        expect(page).to_have_title("The busiest 2 of 3 matters have 71% of 24 visits")
        assert (said, asked) == ([], [page_file.as_uri()])


def test_a_mark_has_a_tip_that_is_text(chromium: Browser, page_file: Path) -> None:
    """With the name as it is."""
    with chromium.new_context(offline=True) as context:
        page = context.new_page()
        page.goto(page_file.as_uri())
        page.locator("#picture.vega-embed .mark-rect.role-mark path").first.hover(force=True)
        tip = page.locator("#vg-tooltip-element")
        expect(tip).to_contain_text("Members")
        expect(tip).to_contain_text("</script><script>")
        expect(tip.locator("img, script")).to_have_count(0)


def test_without_scripts_a_page_shows_its_picture_and_its_tables(chromium: Browser, page_file: Path) -> None:
    with chromium.new_context(offline=True, java_script_enabled=False) as context:
        page = context.new_page()
        page.goto(page_file.as_uri())
        expect(page.locator("#picture svg[role=img]")).to_be_visible()
        page.get_by_text("The same figures as tables").click()
        expect(page.get_by_role("cell", name=HOSTILE).first).to_be_visible()
