"""What is built from a checkout: the same files on every way, each once, and nothing that only tools need."""

import shutil
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Final

import pytest

ROOT: Final = Path(__file__).parents[1]
PACKAGES: Final = ("schemas", "producers", "consumers", "report", "app")
NOT_OURS: Final = shutil.ignore_patterns("__pycache__")


def build(kind: str, tree: Path, out: Path) -> Path:
    """Build a wheel or an sdist of a tree as pip does, without a network."""
    command = [sys.executable, "-m", "hatchling", "build", "--target", kind, "--directory", str(out)]
    ran = subprocess.run(command, cwd=tree, check=False, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr
    (built,) = out.iterdir()
    return built


def files_of(wheel: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(wheel) as archive:
        assert len(archive.namelist()) == len(set(archive.namelist()))
        return {name: archive.read(name) for name in archive.namelist()}


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkout without what git ignores."""
    tree = tmp_path_factory.mktemp("checkout")
    for name in (*PACKAGES, "src"):
        shutil.copytree(ROOT / name, tree / name, symlinks=True, ignore=NOT_OURS)
    for name in ("pyproject.toml", "README.md", ".gitignore"):
        shutil.copy(ROOT / name, tree / name)
    return tree


@pytest.fixture(scope="module")
def wheel(checkout: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """The files of the wheel that is built from the checkout."""
    return files_of(build("wheel", checkout, tmp_path_factory.mktemp("wheel")))


def test_the_wheel_holds_every_file_of_the_five_folders_under_its_import_name(
    wheel: dict[str, bytes], checkout: Path
) -> None:
    ours = [path for folder in PACKAGES for path in (checkout / folder).rglob("*") if path.is_file()]
    expected = {f"matterlog/{path.relative_to(checkout).as_posix()}": path.read_bytes() for path in ours}
    assert {name: data for name, data in wheel.items() if ".dist-info/" not in name} == expected


def test_a_wheel_that_is_built_from_the_sdist_is_the_same(
    wheel: dict[str, bytes], checkout: Path, tmp_path: Path
) -> None:
    # Python's own tarfile asks for a filter from 3.12 on, and has none before 3.11.4.
    (tmp_path / "unpacked").mkdir()
    subprocess.run(
        ["tar", "-xf", build("sdist", checkout, tmp_path / "sdist"), "-C", tmp_path / "unpacked"], check=True
    )
    (tree,) = (tmp_path / "unpacked").iterdir()
    assert files_of(build("wheel", tree, tmp_path / "again")) == wheel


def test_a_checkout_whose_links_became_text_files_builds_the_same_wheel(
    wheel: dict[str, bytes], checkout: Path, tmp_path: Path
) -> None:
    """As git makes it where a file system has no links."""
    tree = tmp_path / "checkout"
    shutil.copytree(checkout, tree, symlinks=True)
    for package in PACKAGES:
        (tree / "src" / "matterlog" / package).unlink()
        (tree / "src" / "matterlog" / package).write_text(f"../../{package}")
    assert files_of(build("wheel", tree, tmp_path / "wheel")) == wheel
