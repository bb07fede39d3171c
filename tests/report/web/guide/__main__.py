"""``python -m tests.report.web.guide`` takes the pictures of docs/guide.md again whose pages have other words now.

``--all`` takes every picture again. What the pages say stands beside the pictures in ``words.json``.
"""

import argparse
import json
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Final

from tests.report.web.guide.camera import DARK, Camera
from tests.report.web.guide.tour import take_pictures
from tests.report.web.visits import chromium_here, started_chromium

ROOT: Final = Path(__file__).parents[4]
PICTURES: Final = ROOT / "docs" / "guide"
WORDS: Final = "words.json"
VIEWS: Final = 20_000


def main() -> None:
    """Take the pictures."""
    parser = argparse.ArgumentParser(prog="python -m tests.report.web.guide", description=__doc__)
    parser.add_argument("--all", action="store_true", help="every picture, not only those whose pages have changed")
    anew = parser.parse_args().all
    if (program := chromium_here()) is None:
        sys.exit("no Chromium: apt-get install chromium-headless-shell")
    with tempfile.TemporaryDirectory() as taken, tempfile.TemporaryDirectory() as scratch:
        with started_chromium(program) as chromium:
            camera = take_pictures(chromium, Path(taken), Path(scratch), views=VIEWS, is_for_readers=True)
        for name in put(camera, PICTURES, anew=anew):
            print(f"took {name}")  # noqa: T201 - a command prints


def words_in(folder: Path) -> dict[str, list[str]]:
    """Return what the pages said when their pictures were taken, by the picture's name."""
    path = folder / WORDS
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}


def put(camera: Camera, folder: Path, *, anew: bool) -> list[str]:
    """Put the pictures into the folder whose pages have changed, remove those that are taken no more.

    Returns:
        the file names of the pictures that are new there.
    """
    folder.mkdir(exist_ok=True)
    known, taken = words_in(folder), sorted(camera.folder.glob("*.png"))
    for old in set(folder.glob("*.png")) - {folder / path.name for path in taken}:
        old.unlink()
    changed = []
    for path in taken:
        name = path.stem.removesuffix(DARK)
        if anew or not (folder / path.name).exists() or known.get(name) != camera.words[name]:
            shutil.copyfile(path, folder / path.name)
            changed.append(path.name)
    (folder / WORDS).write_text(json.dumps(camera.words, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
    return changed


if __name__ == "__main__":
    main()
