"""docs/guide.md and its pictures show the site as it is."""

import re
import shlex
import struct
from pathlib import Path
from typing import Final

import pytest
from playwright.sync_api import Browser
from typer.testing import CliRunner

from matterlog.app.commands import app
from tests.consoles import consoles
from tests.report.web.guide.__main__ import PICTURES, ROOT, put, words_in
from tests.report.web.guide.camera import DARK, Camera
from tests.report.web.guide.tour import IN_DARK_TOO, take_pictures

GUIDE: Final = (ROOT / "docs" / "guide.md").read_text(encoding="utf-8")
README: Final = (ROOT / "README.md").read_text(encoding="utf-8")
SECTIONS: Final = re.split(r"^### ", GUIDE, flags=re.MULTILINE)[1:]
MOST_BYTES: Final = 700_000
PALETTE: Final = 3
VIEWS: Final = 400


def test_the_steps_of_the_guide_lead_through_the_site_and_each_page_says_what_its_picture_shows(
    chromium: Browser, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If a page has changed, ``make pictures`` takes its picture again. The file of the walk is what the guide says."""
    taken, scratch = tmp_path / "taken", tmp_path / "scratch"
    for folder in (taken, scratch):
        folder.mkdir()
    camera = take_pictures(chromium, taken, scratch, views=VIEWS, is_for_readers=False)
    assert camera.words == words_in(PICTURES), "the pages have other words now. Run: make pictures"
    assert {path.name for path in taken.iterdir()} == {path.name for path in PICTURES.glob("*.png")}
    [check] = consoles(GUIDE)
    monkeypatch.chdir(scratch)
    ended = CliRunner().invoke(app, shlex.split(check.command)[1:])
    assert (ended.exit_code, ended.output) == (0, check.output)


@pytest.mark.parametrize("section", SECTIONS, ids=lambda section: section.partition("\n")[0])
def test_the_words_in_bold_are_on_the_page_that_the_section_shows(section: str) -> None:
    words = words_in(PICTURES)
    [picture] = re.findall(r"^!\[[^]]+\]\(guide/([\w-]+)\.png\)$", section, re.MULTILINE)
    bold = {" ".join(each.split()) for each in re.findall(r"\*\*(.+?)\*\*", section, re.DOTALL)}
    assert bold
    assert bold - set(words[picture]) == set()


def test_every_picture_is_shown_and_is_there() -> None:
    """The guide's in light, the README's in light and dark."""
    in_readme = re.findall(r'(?:src|srcset)="docs/guide/([\w-]+)\.png"', README)
    assert set(in_readme) == {IN_DARK_TOO, IN_DARK_TOO + DARK}
    assert 'media="(prefers-color-scheme: dark)"' in README
    shown = {*in_readme, *re.findall(r"\(guide/([\w-]+)\.png\)", GUIDE)}
    assert shown == {path.stem for path in PICTURES.glob("*.png")}


def test_the_pictures_are_small() -> None:
    """Each has a palette, and everybody who takes the repository takes all of them."""
    pictures = [path.read_bytes() for path in PICTURES.glob("*.png")]
    assert {struct.unpack(">8s4x4s8xxB", picture[:26]) for picture in pictures} == {
        (b"\x89PNG\r\n\x1a\n", b"IHDR", PALETTE)
    }
    assert sum(map(len, pictures)) < MOST_BYTES


def test_a_picture_is_taken_again_only_if_its_page_has_changed(tmp_path: Path) -> None:
    """Fonts and browsers differ: each other picture would be another file without a reason."""
    taken, folder = tmp_path / "taken", tmp_path / "folder"
    taken.mkdir()
    for name in ("a.png", "b.png", f"b{DARK}.png"):
        (taken / name).write_bytes(b"old")
    camera = Camera(taken, is_for_readers=True, words={"a": ["A"], "b": ["B"]})
    assert put(camera, folder, anew=False) == ["a.png", f"b{DARK}.png", "b.png"]
    (folder / "gone.png").write_bytes(b"old")
    for path in taken.iterdir():
        path.write_bytes(b"new")
    camera.words["b"].append("C")
    assert put(camera, folder, anew=False) == [f"b{DARK}.png", "b.png"]
    found = {path.name: path.read_bytes() for path in folder.glob("*.png")}
    assert found == {"a.png": b"old", "b.png": b"new", f"b{DARK}.png": b"new"}
    assert words_in(folder) == camera.words
