"""The log on DuckLake: its catalogue in PostgreSQL, its rows in Parquet files, and how DuckDB is connected to both.

DuckLake is three extensions of DuckDB, which come as wheels (the extra ``lake``): nothing is downloaded. Credentials
are those of the usual clients: PostgreSQL's ``PGPASSWORD``, ``PGPASSFILE`` and ``PGSERVICE``, and
``AWS_ACCESS_KEY_ID``, ``AWS_SECRET_ACCESS_KEY``, ``AWS_SESSION_TOKEN`` and ``AWS_REGION``, which DuckDB's S3 client
reads. It also reads where another storage than Amazon's is: ``DUCKDB_S3_ENDPOINT`` (``HOST:PORT``), and
``DUCKDB_S3_USE_SSL=false`` for one without TLS.
"""

import importlib.util
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import parse_qsl, urlsplit, urlunsplit

import duckdb

from matterlog.schemas.errors import MatterlogError
from matterlog.schemas.storage.statements import quoted
from matterlog.schemas.storage.table_versions import LOG_TABLES

# In the order in which they are loaded.
_EXTENSIONS: Final = ("httpfs", "postgres_scanner", "ducklake")
# So DuckDB and psycopg find within half a minute that PostgreSQL's machine died.
_SESSION: Final = (
    "connect_timeout=10&keepalives_idle=10&keepalives_interval=5&keepalives_count=4&tcp_user_timeout=30000"
)
# What DuckDB, DuckLake and PostgreSQL say where the lake cannot be opened, and why it cannot.
_CAUSES: Final = {
    "does not match existing data path": "it was made with another place than lake_data names. Give that one",
    "creating a new DuckLake is explicitly disabled": "there is no lake in this database: run matterlog lake init",
    "the database is not encrypted": "it was made without encryption, and lake_encrypted is true",
    "permission denied for": "this role lacks rights: the owner runs lake init with --site-role or --reader-role",
    "FATAL:": "PostgreSQL refuses. Are the role, its password and the database in lake_catalogue the right ones?",
    "Unable to connect to Postgres": "PostgreSQL does not answer at the address in lake_catalogue",
}
_OTHERWISE: Final = "can its storage be reached?"
_AWS: Final = "amazonaws.com"
# None: Amazon's.
_ENDPOINT: Final = "SELECT value FROM duckdb_settings() WHERE name = 's3_endpoint'"


class LakeUnusable(MatterlogError):
    """A lake that cannot be opened: its catalogue, its storage, or the software for it."""


class LakeUnreachable(LakeUnusable):
    """A lake whose catalogue or storage does not answer, or refuses: that may pass."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Lake:
    """Where the log on DuckLake is.

    Args:
        catalogue: the catalogue's database as PostgreSQL's clients write it, ``postgresql://host:5432/name``.
        data: where the Parquet files are: a folder, or ``s3://bucket/prefix``.
        spill: an existing folder for what exceeds DuckDB's memory. It belongs to one process.
        encrypted: whether Parquet files are encrypted. Set when the lake is made. The keys are in the catalogue. None:
            a new lake is encrypted, and one that exists stays as it is.
        memory_limit: how much memory DuckDB may take, as DuckDB writes it, such as ``2GB``.
    """

    catalogue: str
    data: str
    spill: Path
    encrypted: bool | None = None
    memory_limit: str = "2GB"

    def __post_init__(self) -> None:
        """Refuse a password in the address: DuckDB's errors and the list of processes would show it."""
        address = urlsplit(self.catalogue)
        if address.password is not None or any(name.endswith("password") for name, _ in parse_qsl(address.query)):
            raise LakeUnusable(
                "the address of the lake's catalogue holds a password, which errors would show: give it as PGPASSWORD, "
                "or in the file that PGPASSFILE names"
            )

    def __str__(self) -> str:
        return f"the lake {self.catalogue} with its files in {self.data}"

    @property
    def sessions(self) -> str:
        """The catalogue's address for a session of PostgreSQL that notices when the other machine died."""
        address = urlsplit(self.catalogue)
        # The last of two values holds: the operator's.
        return urlunsplit(address._replace(query="&".join(filter(None, (_SESSION, address.query)))))

    def connect(
        self, *, create: bool = False, read_only: bool = False, threads: int | None = None
    ) -> duckdb.DuckDBPyConnection:
        """Connect to the lake as catalogue ``log``, in UTC; each commit either succeeds at once or fails.

        Args:
            create: whether to make an empty lake, without the log's tables, if there is none.
            read_only: whether changes are refused.
            threads: how many threads DuckDB uses. None: one for each processor.

        Raises:
            LakeUnusable: the lake cannot be opened.
            LakeUnreachable: its catalogue or storage does not answer.
        """
        options = [f"DATA_PATH {quoted(self.data)}", f"CREATE_IF_NOT_EXISTS {create}"]
        encrypted = create if self.encrypted is None else self.encrypted
        options += ["ENCRYPTED"] * encrypted + ["READ_ONLY"] * read_only
        connection = self._instance(threads)
        try:
            for extension in _EXTENSIONS:
                connection.execute(f"LOAD {quoted(_path_of(extension))}")
            _speak_to_any_storage(connection)
            # DuckLake would repeat a commit that another one overtook. Here it was checked against an older state.
            connection.execute("SET GLOBAL ducklake_max_retry_count = 0")
            connection.execute(f"ATTACH {quoted('ducklake:postgres:' + self.sessions)} AS log ({', '.join(options)})")
            use_lake(connection)
        except duckdb.Error as error:
            connection.close()
            # DuckDB's own text has the address in it.
            cause = next((cause for words, cause in _CAUSES.items() if words in str(error)), _OTHERWISE)
            raise (LakeUnreachable if isinstance(error, duckdb.IOException) else LakeUnusable)(
                f"the lake cannot be opened ({type(error).__name__}): {cause}"
            ) from error
        except BaseException:
            connection.close()
            raise
        return connection

    def _instance(self, threads: int | None) -> duckdb.DuckDBPyConnection:
        settings: dict[str, str | bool | int | float | list[str]] = {} if threads is None else {"threads": threads}
        settings |= {
            "autoinstall_known_extensions": "false",
            "autoload_known_extensions": "false",
            "temp_directory": str(self.spill),
            "memory_limit": self.memory_limit,
        }
        return duckdb.connect(":memory:", config=settings)


def use_lake(connection: duckdb.DuckDBPyConnection) -> None:
    """Set the catalogue ``log`` and UTC for a connection. Every cursor needs both."""
    connection.execute("USE log.main")  # DuckDB would look through all of PostgreSQL for a schema that is called log
    connection.execute("SET TimeZone = 'UTC'")


def close_lake(connection: duckdb.DuckDBPyConnection) -> None:
    """Close a connection, outside any transaction: inside one whose session ended, DuckDB would end the process."""
    with suppress(duckdb.Error):
        connection.execute("ROLLBACK")
    connection.close()


def check_tables(connection: duckdb.DuckDBPyConnection) -> None:
    """Check that the lake holds the log's tables in the version of this program.

    Raises:
        LakeUnusable: it holds none, or others.
    """
    try:
        ((version,),) = connection.execute("SELECT version FROM schema_version").fetchall()
    except duckdb.CatalogException as error:
        raise LakeUnusable("the lake holds no log: run matterlog lake init") from error
    if version != LOG_TABLES.version:
        raise LakeUnusable(f"the lake {LOG_TABLES.refusal(version, 'run matterlog lake upgrade')}")


def _speak_to_any_storage(connection: duckdb.DuckDBPyConnection) -> None:
    """Name the bucket in the path where ``DUCKDB_S3_ENDPOINT`` is not Amazon's: few have a name for each bucket."""
    ((endpoint,),) = connection.execute(_ENDPOINT).fetchall()
    if endpoint is not None and not endpoint.endswith(_AWS):
        connection.execute("SET GLOBAL s3_url_style = 'path'")


def _path_of(extension: str) -> Path:
    package = importlib.util.find_spec(f"duckdb_extension_{extension}")
    if package is None or package.origin is None:
        raise LakeUnusable("the software for a lake is not installed: pip install 'matterlog[lake]'")
    folder = Path(package.origin).parent / "extensions" / f"v{duckdb.__version__}"
    path = folder / f"{extension}.duckdb_extension"
    if not path.is_file():
        raise LakeUnusable(
            f"the extension {extension} is not for DuckDB {duckdb.__version__}: pip install 'matterlog[lake]' brings "
            "versions that fit together"
        )
    return path
