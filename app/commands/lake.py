"""``matterlog lake``: creates, checks and upgrades the log on DuckLake."""

from contextlib import closing
from typing import Annotated

import typer

from matterlog.app.commands.options import lake_of, with_settings
from matterlog.app.settings import Settings
from matterlog.schemas.storage.lake import LakeUnusable, check_tables

app = typer.Typer(help="Create and check the log on DuckLake.", no_args_is_help=True, rich_markup_mode=None)

_FOUND = 1
_NOT_ASKED = 3


@app.command("init")
@with_settings("lake_catalogue", "lake_data")
def init(
    settings: Settings,
    site_role: Annotated[
        str | None, typer.Option("--site-role", metavar="NAME", help="Role that may read, export and change rows.")
    ] = None,
    reader_role: Annotated[
        str | None, typer.Option("--reader-role", metavar="NAME", help="Role that may read and export.")
    ] = None,
) -> None:
    """Create the log in an empty PostgreSQL database.

    Run it as the role that consumes, which must own the database. The other roles must exist, and get their rights. A
    lake that exists is left unchanged, and its roles get their rights again. The files of a new lake are encrypted,
    unless the setting lake_encrypted is false.

    \b
    Example:
      matterlog lake init --reader-role analysts --lake-catalogue postgresql://consumer@db.example/lake \\
        --lake-data s3://logs/matterlog
    """
    from matterlog.consumers.lake import lake_tables, pooler, rights  # noqa: PLC0415 - the extra `lake`
    from matterlog.report.handover.lake_register import make_register  # noqa: PLC0415 - as above

    place = lake_of(settings)
    pooler.refuse_pooler(place)
    try:
        connection = place.connect()
    except LakeUnusable:  # it says why not, if it is not that there is none
        connection = place.connect(create=True)
    with closing(connection):
        made = lake_tables.make_tables(connection)
    make_register(place)
    for role, may_change in ((site_role, True), (reader_role, False)):
        if role is not None:
            rights.grant(place, role, may_change=may_change)
    typer.echo("The lake is ready" if made else "The lake exists already, left unchanged")
    if needed := rights.rights_to_grant(place):
        typer.echo("To erase, the role needs more rights. A superuser has to run in this database:")
        typer.echo("\n".join(f"  {statement};" for statement in needed))


@app.command("check")
@with_settings("lake_catalogue", "lake_data")
def check(settings: Settings) -> None:
    """Check what the lake is based on.

    Checks versions, the rights of this role, latency, clocks, connection poolers, the storage, and settings under which
    a purged name may live on. Exit code 0: nothing found. 1: something found. 3: nothing found, but not everything
    could be asked.

    \b
    Example:
      matterlog lake check --lake-catalogue postgresql://consumer@db.example/lake --lake-data s3://logs/matterlog
    """
    from matterlog.consumers.lake.lake_check import check_lake  # noqa: PLC0415 - the extra `lake`

    findings = check_lake(lake_of(settings))
    for fact in findings.facts:
        typer.echo(fact)
    for found in findings.found:
        typer.echo(f"FOUND  {found}")
    for not_asked in findings.not_asked:
        typer.echo(f"NOT ASKED  {not_asked}", err=True)
    if findings.found or findings.not_asked:
        raise typer.Exit(_FOUND if findings.found else _NOT_ASKED)
    typer.echo("Nothing found")


@app.command("upgrade")
@with_settings("lake_catalogue", "lake_data")
def upgrade(settings: Settings) -> None:
    """Check that the lake has this version's tables.

    No version of matterlog has made a lake with other tables so far, so there is nothing to migrate.

    \b
    Example:
      matterlog lake upgrade --lake-catalogue postgresql://consumer@db.example/lake --lake-data s3://logs/matterlog
    """
    place = lake_of(settings)
    with closing(place.connect(read_only=True)) as connection:
        check_tables(connection)
    typer.echo("Nothing to upgrade: the lake has this version's tables")
