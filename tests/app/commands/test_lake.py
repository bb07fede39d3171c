"""`matterlog lake` as operators run it: roles with exactly their rights, and a check that finds what is not well."""

import json
from pathlib import Path
from uuid import uuid4

import psycopg
import pytest

from matterlog.consumers.errors import StoreFailed
from matterlog.consumers.lake import pooler
from matterlog.consumers.lake.lake_store import LakeStore
from matterlog.schemas.storage.lake import Lake
from testbed.command import done, run
from testbed.events import a_deletion, a_view
from testbed.feed import Feed
from tests.consumers.contract.stores import Lakes
from tests.report.logs import a_log

pytestmark = pytest.mark.postgresql

# A superuser sees to these once; matterlog cannot.
QUIET = "ALTER DATABASE {} SET log_min_error_statement = 'panic'"


class Installation:
    """A database with three roles that the operator made, before anything of matterlog is in it."""

    def __init__(self, lakes: Lakes) -> None:
        self._server = lakes.server
        self.folder = lakes.folder
        self.database = f"lake_{uuid4().hex}"
        self.roles = {kind: f"{kind}_{self.database}" for kind in ("consumer", "site", "reader")}
        for role in self.roles.values():
            self.superuser(f"CREATE ROLE {role} LOGIN", "postgres")
        self.superuser(f"CREATE DATABASE {self.database} OWNER {self.roles['consumer']}", "postgres")

    def superuser(self, statement: str, database: str | None = None) -> None:
        """Run a statement as a superuser."""
        with psycopg.connect(self._server.address(database or self.database), autocommit=True) as session:
            session.execute(statement)

    def lake(self, kind: str) -> Lake:
        """The lake as a role opens it."""
        address = self._server.address(self.database, self.roles[kind])
        return Lake(catalogue=address, data=f"{self.folder}/{self.database}/", spill=self.folder)

    def settings(self, kind: str) -> dict[str, str]:
        """The settings of a command that runs as a role."""
        lake = self.lake(kind)
        return {"MATTERLOG_LAKE_CATALOGUE": lake.catalogue, "MATTERLOG_LAKE_DATA": lake.data}


@pytest.fixture
def installation(lakes: Lakes) -> Installation:
    """A new one."""
    return Installation(lakes)


def test_each_role_can_do_what_it_is_for_and_no_more(installation: Installation, tmp_path: Path) -> None:
    """Also in tables that DuckLake makes later."""
    roles = installation.roles
    granted = ("--site-role", roles["site"], "--reader-role", roles["reader"])
    made = done("lake", "init", *granted, settings=installation.settings("consumer"))
    assert made.text.startswith("The lake is ready")
    needed = [line.strip().rstrip(";") for line in made.text.splitlines() if line.startswith("  ")]
    for statement in needed:
        installation.superuser(statement)
    with LakeStore(installation.lake("consumer")) as store:
        feed = Feed(store)
        feed.apply(a_view(matter_id="m-2"), a_view(), feed.poison(), a_deletion())
    done("erase", "--now", settings=installation.settings("consumer"))
    out = tmp_path / "report.csv"
    done("export", "--output", out, settings=installation.settings("reader"))
    assert out.read_text().count("m-2,") == 1
    done("export", "--output", tmp_path / "site.csv", settings=installation.settings("site"))
    assert done("dead-letters", "discard", "--all", settings=installation.settings("site")).text.startswith("1 ")
    with LakeStore(installation.lake("reader")) as store, pytest.raises(StoreFailed):
        Feed(store, begins=3).apply(a_view())
    refused = run("erase", "--now", settings=installation.settings("site"))
    assert refused.code == 1
    assert f"the role {roles['site']} lacks rights in PostgreSQL that erasing needs: " in refused.err
    checked = run("lake", "check", settings=installation.settings("reader"))
    assert f"role {roles['reader']} may only read the lake" in checked.text


def test_a_role_that_is_not_there_is_named(installation: Installation) -> None:
    """The operator makes it."""
    ended = run("lake", "init", "--reader-role", "nobody_there", settings=installation.settings("consumer"))
    assert ended.code == 1
    assert "PostgreSQL has no role nobody_there: run CREATE ROLE nobody_there LOGIN" in ended.err


def test_a_check_finds_what_would_let_a_purged_name_live_on(installation: Installation) -> None:
    """And what this role lacks, until it is seen to; then it finds nothing."""
    settings = installation.settings("consumer")
    made = done("lake", "init", settings=settings)
    installation.superuser(f"ALTER DATABASE {installation.database} SET log_min_duration_statement = 0")
    installation.superuser("SELECT pg_create_physical_replication_slot('standby')")
    try:
        ended = run("lake", "check", settings=settings)
    finally:
        installation.superuser("SELECT pg_drop_replication_slot('standby')")
    assert ended.code == 1
    for found in (
        "FOUND  log_min_duration_statement = 0: ",
        "FOUND  log_min_error_statement = error: ",
        "FOUND  1 replication slots and 0 standbys: ",
        f"FOUND  role {installation.roles['consumer']} may not erase. It needs: GRANT ",
    ):
        assert found in ended.text
    installation.superuser(f"ALTER DATABASE {installation.database} SET log_min_duration_statement = -1")
    installation.superuser(QUIET.format(installation.database))
    for line in made.text.splitlines():
        if line.startswith("  "):
            installation.superuser(line.strip().rstrip(";"))
    ended = run("lake", "check", settings=settings)
    assert (ended.code, ended.err) == (0, ""), ended.text
    assert "PostgreSQL 18" in ended.text
    assert done("lake", "upgrade", settings=settings).text.startswith("Nothing to upgrade")


def test_a_new_lake_is_encrypted_and_one_that_exists_stays_as_it_is(lakes: Lakes) -> None:
    """Unless the setting says otherwise when it is made."""
    for setting, encrypted in (({}, True), ({"MATTERLOG_LAKE_ENCRYPTED": "false"}, False)):
        settings = Installation(lakes).settings("consumer")
        done("lake", "init", settings=settings | setting)
        assert done("lake", "init", settings=settings).text.startswith("The lake exists already, left unchanged")
        told = run("lake", "check", settings=settings).text
        assert ("the files are not encrypted: not every changed byte is detected" in told) is not encrypted


def test_a_pooler_that_shares_sessions_is_refused(lakes: Lakes, monkeypatch: pytest.MonkeyPatch) -> None:
    """The commit lock would belong to whoever gets the session next."""
    address = lakes.server.address()
    assert not pooler.is_pooled(address)
    with psycopg.connect(address, autocommit=True) as one, psycopg.connect(address, autocommit=True) as other:
        turns = iter([one, one, other, other, one, one])
        monkeypatch.setattr(pooler, "_backend", lambda _: next(turns).info.backend_pid)
        assert pooler.is_pooled(address)
        shared = iter([one, other] * 2 + [other, one])
        monkeypatch.setattr(pooler, "_backend", lambda _: next(shared).info.backend_pid)
        assert pooler.is_pooled(address)


def test_a_lake_that_cannot_be_opened_says_why(installation: Installation, tmp_path: Path) -> None:
    """To every command, and the check too; the address and what PostgreSQL says are not told."""
    consumer = installation.settings("consumer")
    made = installation.lake("consumer")
    no_lake = "there is no lake in this database: run matterlog lake init"
    assert no_lake in run("status", settings=consumer).err
    done("lake", "init", settings=consumer | {"MATTERLOG_LAKE_ENCRYPTED": "false"})
    elsewhere = consumer | {"MATTERLOG_LAKE_DATA": f"{tmp_path}/elsewhere"}
    no_answer = consumer | {"MATTERLOG_LAKE_CATALOGUE": "postgresql://somebody@127.0.0.1:1/lake"}
    refused = consumer | {"MATTERLOG_LAKE_CATALOGUE": f"{made.catalogue}_that_is_not_there"}
    encrypted = consumer | {"MATTERLOG_LAKE_ENCRYPTED": "true"}
    for settings, why in (
        (elsewhere, "it was made with another place than lake_data names"),
        (no_answer, "PostgreSQL does not answer at the address in lake_catalogue"),
        (refused, "PostgreSQL refuses."),
        (encrypted, "it was made without encryption, and lake_encrypted is true"),
        (installation.settings("reader"), "this role lacks rights"),
    ):
        ended = run("status", settings=settings)
        assert (ended.code, ended.out) == (1, b"")
        assert "matterlog: the lake cannot be opened (" in ended.err
        assert why in ended.err
        assert "postgresql://" not in ended.err
    assert "it was made with another place" in run("lake", "check", settings=elsewhere).text


def test_a_role_that_may_only_read_is_told_so_before_anything_is_read(installation: Installation) -> None:
    """Also where nothing waits to be written."""
    reader = installation.roles["reader"]
    done("lake", "init", "--reader-role", reader, settings=installation.settings("consumer"))
    settings = installation.settings("reader") | {"MATTERLOG_BOOTSTRAP_SERVERS": "127.0.0.1:1"}
    for words in (["consume", "--until-caught-up"], ["dead-letters", "discard", "--all"], ["erase", "--now"]):
        ended = run(*words, settings=settings)
        assert ended.code == 1
        assert f"matterlog: role {reader} may only read this lake: run this as " in ended.err
        assert "the lake failed" not in ended.err


def test_an_address_that_is_no_url_is_wrong_use_and_keeps_its_password() -> None:
    settings = {"MATTERLOG_LAKE_CATALOGUE": "postgresql://u:Geheimnis@[127.0.0.1/lake", "MATTERLOG_LAKE_DATA": "data"}
    ended = run("status", settings=settings)
    assert (ended.code, ended.err) == (
        2,
        "matterlog: setting lake_catalogue is not a URL: give postgresql://HOST/NAME\n",
    )


def test_status_says_which_log_it_shows(installation: Installation, tmp_path: Path) -> None:
    """A database that the flag names, though the environment names a lake."""
    settings = installation.settings("consumer")
    done("lake", "init", settings=settings)
    catalogue = settings["MATTERLOG_LAKE_CATALOGUE"]
    paths = a_log(tmp_path, a_view())
    found = json.loads(done("status", "--json", settings=settings).out)
    assert (found["database"], found["lake"], found["rows"]) == (None, catalogue, 0)
    found = json.loads(done("status", "--json", "--database", paths.database, settings=settings).out)
    assert (found["database"], found["lake"], found["rows"]) == (str(paths.database), None, 1)
    shown = done("status", "--database", paths.database, settings=settings | {"COLUMNS": "300"}).text
    assert shown.split()[:2] == ["log", str(paths.database)]
