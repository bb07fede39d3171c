"""``matterlog lake``: creates the log on DuckLake."""

from contextlib import closing

import typer

from matterlog.app.commands.options import Config, LakeCatalogue, LakeData, lake_of, settings_of
from matterlog.consumers.lake.lake_tables import make_tables
from matterlog.report.handover.lake_register import make_register

app = typer.Typer(help="Create and check the log on DuckLake.", no_args_is_help=True, rich_markup_mode=None)


@app.callback()
def lake() -> None:
    """Create and check the log on DuckLake."""


@app.command("init")
def init(lake_catalogue: LakeCatalogue = None, lake_data: LakeData = None, config: Config = None) -> None:
    """Create the log in an empty PostgreSQL database.

    The database's owner runs this once. A lake that exists is left unchanged.

    \b
    Example:
      matterlog lake init --lake-catalogue postgresql://db.example/lake --lake-data s3://logs/matterlog
    """
    place = lake_of(settings_of(config, lake_catalogue=lake_catalogue, lake_data=lake_data))
    with closing(place.connect(create=True)) as connection:
        made = make_tables(connection)
    make_register(place)
    typer.echo("The lake is ready" if made else "The lake exists already, left unchanged")
