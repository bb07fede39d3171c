"""A format that is declared in the registry is there everywhere: files, diff, series, API, pages, records."""

import re
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any, Final

import pytest
from typer.testing import CliRunner

from matterlog.app.commands import app
from matterlog.app.errors import WrongUse
from matterlog.report.errors import InvalidFilter
from matterlog.report.extracts.copying import copy_text
from matterlog.report.extracts.formats import FORMATS, FormatSpec, Label
from matterlog.report.handover.manifest import Manifest, manifest_path, read_manifest
from matterlog.report.handover.register import FileRegister
from matterlog.report.web import api
from matterlog.report.web.identity.accounts import Role
from matterlog.report.web.identity.api_tokens import Scope
from matterlog.report.web.identity.audit_log import Actor
from matterlog.report.web.reports import handing_over
from matterlog.schemas.storage.database_files import DatabaseFiles
from testbed.command import PATIENCE_SECONDS
from testbed.events import a_view
from tests.report.logs import a_log
from tests.report.web.sites import NAME, RunningSite, running_site

TOY: Final = FormatSpec(
    name="toy",
    media_type="text/x-toy",
    endings=("toy", "toys"),
    label=Label("Toy file", "For a test"),
    rows_are_lines=True,
    write=partial(copy_text, options="FORMAT csv, DELIMITER '|', USE_TMP_FILE false"),
    count_rows=lambda file: sum(1 for _ in file) - 1,
)
EXTRACT: Final = "/api/v1/extracts/activity"


@pytest.fixture(autouse=True)
def _toy(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The one place that a new format is declared in. The API describes itself once for a process."""
    monkeypatch.setitem(FORMATS, TOY.name, TOY)
    api._description.cache_clear()
    yield
    api._description.cache_clear()


@pytest.fixture
def paths(tmp_path: Path) -> DatabaseFiles:
    """A log of two views."""
    return a_log(tmp_path, a_view(user_name="=1+1"), a_view(user_name="Ann", matter_id="m-2"))


@pytest.fixture
def site(tmp_path: Path) -> Iterator[RunningSite]:
    """A site over a view."""
    with running_site(tmp_path, a_view()) as running:
        yield running


def command(*arguments: str | Path) -> Any:
    """Run a command in this process, which knows the format."""
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def ask(site: RunningSite, path: str) -> Any:
    """Ask the API."""
    key = site.parts.api_tokens.make(site.parts.accounts.named(NAME), "A test", frozenset(Scope), 7, Actor())
    return site.client().get(path, headers={"Authorization": f"Bearer {key}"})


@pytest.mark.parametrize("options", [("x.out", "--format", "toy"), ("x.toys",)])
def test_the_command_line_writes_it_with_a_manifest_that_is_verified(
    paths: DatabaseFiles, tmp_path: Path, options: tuple[str, ...]
) -> None:
    """By its name or by the file's; a row less is found."""
    target = tmp_path / options[0]
    written = command("export", "--database", paths.database, "--output", target, *options[1:])
    assert written.exit_code == 0, written.output
    header, *rows = target.read_text().splitlines()
    assert (header.count("|"), [row.split("|")[1] for row in rows]) == (7, ["=1+1", "Ann"])
    assert read_manifest(manifest_path(target)).format == "toy"
    assert command("verify-extract", target).exit_code == 0
    target.write_text("\n".join((header, rows[0], "")))
    cut = command("verify-extract", target)
    assert (cut.exit_code, "the file has 1 rows, the manifest says 2" in cut.output) == (1, True)


def test_a_series_and_an_engagement_table_have_it_too(paths: DatabaseFiles, tmp_path: Path) -> None:
    """Their files end as its files do."""
    series = ("--series", "s", "--directory", tmp_path, "--format", "toy")
    for _ in range(2):
        assert command("export", "--database", paths.database, *series).exit_code == 0
    assert (tmp_path / "s.0002.toy").is_file()
    assert command("series", "show", "s", "--directory", tmp_path).exit_code == 0
    table = tmp_path / "users.toy"
    assert command("engagement", "users", "--all", "--database", paths.database, "--output", table).exit_code == 0
    assert table.read_text().startswith("user_ID|")
    assert command("verify-extract", table).exit_code == 0


def test_what_it_cannot_do_is_told(paths: DatabaseFiles, tmp_path: Path) -> None:
    """It is not compared, and goes without a byte-order mark."""
    target = tmp_path / "x.toy"
    assert command("export", "--database", paths.database, "--output", target).exit_code == 0
    refused = command("diff", target, target, "--database", paths.database).exception
    assert isinstance(refused, WrongUse)
    assert str(refused).endswith("is toy, which cannot be compared. Export one of: csv, json, ndjson, parquet")
    marked = command("export", "--database", paths.database, "--output", target, "--excel").exception
    assert isinstance(marked, InvalidFilter)


def test_the_api_gives_it(site: RunningSite) -> None:
    """With its type, a manifest, and an act of its own; an engagement table too."""
    site.account()
    answer = ask(site, f"{EXTRACT}?format=toy")
    assert (answer.status_code, answer.headers["content-type"]) == (200, "text/x-toy; charset=utf-8")
    manifest = ask(site, answer.headers["link"].partition(">")[0].removeprefix("<")).json()
    assert (manifest["format"], manifest["rows"]) == ("toy", 1)
    assert ask(site, "/api/v1/engagement/matters?format=toy").text.startswith("matter_ID|")
    downloads = [act for act in site.acts() if "DOWNLOADED" in act]
    assert downloads == ["REPORTS_ACTIVITY_DOWNLOADED_TOY", "REPORTS_MATTER_ENGAGEMENT_DOWNLOADED_TOY"]
    described = site.client().get("/api/v1/openapi.json").json()["paths"][EXTRACT]["get"]["parameters"]
    (parameter,) = [each for each in described if each["name"] == "format"]
    assert parameter["schema"]["enum"] == ["csv", "json", "ndjson", "parquet", "toy", "xlsx"]


@pytest.mark.parametrize(("page", "name"), [("activity", "activity-report"), ("users", "user-engagement")])
def test_the_pages_offer_and_give_it(site: RunningSite, page: str, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Under its label; registered, recorded, and listed among the earlier downloads."""
    monkeypatch.setattr(handing_over, "ANSWERED_AT_ONCE_SECONDS", PATIENCE_SECONDS)
    client = site.signed_in()
    assert "Toy file" in client.get(f"/reports/{page}").text
    answer = client.post(f"/reports/{page}/download", f"/reports/{page}", last="all", format="toy")
    assert re.fullmatch(rf'attachment; filename="{name}-[0-9TZ]+\.toy"', answer.headers["content-disposition"])
    (entry,) = FileRegister(DatabaseFiles(site.folder / "log.duckdb").extracts).extracts()
    assert entry.format == "toy"
    assert "<td>TOY</td>" in client.get("/reports/activity").text
    shown = site.signed_in("j.okafor", role=Role.ADMINISTRATOR).get("/record").text
    assert f"REPORTS_{'ACTIVITY' if page == 'activity' else 'USER_ENGAGEMENT'}_DOWNLOADED_TOY" in shown


def test_the_manifests_schema_lists_it() -> None:
    """So the schema that is shipped fails its test until it is written anew."""
    schema = Manifest.model_json_schema(mode="serialization")
    assert "toy" in schema["properties"]["format"]["enum"]
