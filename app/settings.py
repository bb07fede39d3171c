"""Every setting. A flag overrides the environment, which overrides ``matterlog.toml``.

A setting has the same name everywhere: ``--topic-prefix``, ``MATTERLOG_TOPIC_PREFIX``, ``topic_prefix = ""``. Give a
librdkafka setting as ``MATTERLOG_KAFKA_SECURITY_PROTOCOL``, or under ``[kafka]`` as ``"security.protocol"``. An empty
variable counts as not set.
"""

import logging
import re
import tomllib
from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, IPvAnyAddress, ValidationError

from matterlog.app.errors import WrongUse
from matterlog.consumers.database.batch import Decode
from matterlog.consumers.materialise import DEFAULT_BATCH_RECORDS, DEFAULT_MAX_DEAD_LETTERS, Decoder, decoder
from matterlog.consumers.reading.kafka import KafkaSource
from matterlog.consumers.reading.kafka_topics import ANSWER_SECONDS, first_answer
from matterlog.consumers.reading.schema_registry import RegisteredSchemas
from matterlog.consumers.recovery.backups import DEFAULT_KEPT
from matterlog.schemas import Topics

ENVIRONMENT_PREFIX: Final = "MATTERLOG_"
KAFKA_PREFIX: Final = "MATTERLOG_KAFKA_"
# The established name of this variable, without our prefix.
REGISTRY_VARIABLE: Final = "SCHEMA_REGISTRY_URL"
CONFIG_VARIABLE: Final = "MATTERLOG_CONFIG"
DEFAULT_CONFIG: Final = Path("matterlog.toml")
# librdkafka's names have dots, with this exception.
_WITH_UNDERSCORE: Final[Mapping[str, str]] = {"log.level": "log_level"}
_SECRET_PARTS: Final = (
    *("password", "passphrase", "secret", "token", "credential"),
    *("key.pem", "jaas", "oauthbearer.config", "user.info"),
)
_MASK: Final = "********"
# What Kubernetes sets for a Service, here one named matterlog or matterlog-...: addresses, never settings of ours.
_SERVICE_LINK: Final = re.compile(
    rf"{ENVIRONMENT_PREFIX}(\w+_)?(SERVICE_HOST|SERVICE_PORT(_\w+)?|PORT_\d+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?)"
)
_SERVICE_ADDRESS: Final = re.compile(r"(tcp|udp|sctp)://")
# Settings under the name that they had before, accepted with a warning: that name, and the one of today.
FORMER_NAMES: Final[Mapping[str, str]] = {"snapshot_every": "backup_every", "keep_snapshots": "keep_backups"}

_ISSUER: Final = r"^(https://|http://(localhost|127(\.\d+){3}|\[::1\])(:\d+)?(/|$))"  # secrets are sent there
# The settings that name a lake.
_LAKE: Final = frozenset({"lake_catalogue", "lake_data"})

logger = logging.getLogger(__name__)


class Settings(BaseModel):
    """The validated settings. ``kafka`` holds librdkafka's own settings by name."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    bootstrap_servers: str | None = Field(default=None, description="Kafka's brokers as HOST:PORT, with commas")
    broker_timeout_seconds: float = Field(
        default=ANSWER_SECONDS, gt=0, le=3600, description="seconds to wait for an answer from Kafka"
    )
    database: Path = Field(default=Path("matterlog.duckdb"), description="DuckDB file that holds the log")
    lake_catalogue: str | None = Field(
        default=None,
        pattern=r"^postgres(ql)?://",
        description="PostgreSQL URL of a lake's catalogue, without a password",
    )
    lake_data: str | None = Field(
        default=None, description="where a lake's Parquet files are: s3://BUCKET/PREFIX, or a folder"
    )
    lake_encrypted: bool | None = Field(
        default=None, description="false to make a lake without encryption, true to refuse one without it"
    )
    topic_prefix: str = Field(
        default="", pattern=r"^[A-Za-z0-9._-]{0,200}$", description="prefix of both topics' names"
    )
    schema_registry_url: str | None = Field(
        default=None, description="URL of a schema registry; messages then use the Confluent wire format"
    )
    memory_limit: str = Field(
        default="2GB", pattern=r"(?i)^[0-9]+ ?([kmgt]i?)b$", description="memory that DuckDB may use, such as 2GB"
    )
    batch_records: int = Field(
        default=DEFAULT_BATCH_RECORDS, ge=1, le=1_000_000, description="largest number of records in one transaction"
    )
    max_dead_letters: float = Field(
        default=DEFAULT_MAX_DEAD_LETTERS,
        ge=0,
        le=1,
        description="share of dead letters in a batch, 0 to 1, above which consuming stops",
    )
    erase_within: str = Field(
        default="24h",
        pattern=r"^[1-9][0-9]{0,4}[hd]$",
        description="time limit for erasing a deleted matter everywhere, such as 24h or 2d",
    )
    backup_every: str = Field(
        default="24h",
        pattern=r"^(0|[1-9][0-9]{0,4}[hd])$",
        description="time between two backups of the database, such as 24h or 7d; 0 takes no backups",
    )
    keep_backups: int = Field(default=DEFAULT_KEPT, ge=1, le=1000, description="number of backups to keep")
    decoder: Decoder = Field(
        default=Decoder.PYRUHVRO, description="Avro decoder: pyruhvro decodes many views at once, fastavro one by one"
    )
    host: str = Field(default="127.0.0.1", min_length=1, description="address that the site listens on")
    port: int = Field(default=8080, ge=0, le=65_535, description="port that the site listens on; 0 picks a free one")
    insecure_bind: bool = Field(
        default=False, description="true to accept other machines without TLS, behind a proxy that has TLS"
    )
    trusted_proxy: IPvAnyAddress | None = Field(
        default=None, description="IP address of the proxy whose X-Forwarded-* headers are trusted"
    )
    tls_certificate: Path | None = Field(default=None, description="the site's certificate chain as a PEM file")
    tls_key: Path | None = Field(default=None, description="private key of the site's certificate as a PEM file")
    max_lag: int = Field(
        default=100_000, ge=0, description="largest lag, in records, at which the site reports that it is ready"
    )
    metrics_token: str | None = Field(
        default=None, min_length=16, description="the bearer token, at least 16 characters, that opens /metrics"
    )
    oidc_issuer: str | None = Field(
        default=None, pattern=_ISSUER, description="https:// URL of the identity provider, or http:// on loopback"
    )
    oidc_client_id: str | None = Field(default=None, description="the site's client ID at the identity provider")
    oidc_client_secret: str | None = Field(
        default=None, description="the site's client secret at the identity provider"
    )
    oidc_asks_second_factor: bool = Field(
        default=False, description="true if the identity provider asks everybody for a second factor"
    )
    require_second_factor: Literal["nobody", "administrators", "everybody"] = Field(
        default="nobody", description="whose accounts must have a second factor: nobody, administrators or everybody"
    )
    site_secret: str | None = Field(
        default=None,
        min_length=32,
        description="encrypts the secrets of second factors and signs the audit log's ends; 32 characters or more",
    )
    oidc_trust_email: bool = Field(default=False, description="true to trust e-mails without email_verified")
    oidc_leeway_seconds: int = Field(default=120, ge=0, le=600, description="accepted difference of clocks")
    oidc_second_factor_acr: str | None = Field(default=None, min_length=1, description="acr of a second factor")
    public_url: str | None = Field(
        default=None, pattern=r"^https?://", description="URL at which people reach the site"
    )
    kafka: dict[str, str] = Field(default={}, description="librdkafka settings by their own names")

    def deadline(self) -> timedelta:
        """Return the time limit for erasing a deleted matter everywhere."""
        return _time(self.erase_within)

    def backup_interval(self) -> timedelta:
        """Return the time between two backups; zero for no backups."""
        return timedelta() if self.backup_every == "0" else _time(self.backup_every)

    def broker(self) -> str:
        """Return the bootstrap servers.

        Raises:
            WrongUse: none are set. The message says how to get a broker.
        """
        if not self.bootstrap_servers:
            raise WrongUse(
                "no broker is set: give --bootstrap-servers HOST:PORT or MATTERLOG_BOOTSTRAP_SERVERS. To try things "
                "out, run `matterlog broker`, which prints the address of a broker in memory, or `make kafka`"
            )
        return self.bootstrap_servers

    def topics(self) -> Topics:
        """Return both topics."""
        return Topics(self.topic_prefix)

    def kafka_source(self) -> KafkaSource:
        """Return a source of both topics' records. The caller closes it.

        Raises:
            WrongUse: no broker is set.
            ConsumerError: librdkafka refuses the settings.
        """
        return KafkaSource(self.broker(), self.topics(), self.kafka, self.broker_timeout_seconds)

    def await_kafka(self, stopped: Callable[[], bool] = lambda: False) -> None:
        """Return once Kafka has answered, or ``stopped`` says that nobody waits any more.

        Raises:
            WrongUse: no broker is set.
            BrokerUnavailable, ConsumerError: as ``first_answer``.
        """
        first_answer(self.broker(), self.kafka, self.broker_timeout_seconds, stopped)

    def decode(self) -> Decode:
        """Return the decoder for the records of both topics.

        Raises:
            ConsumerError: the schema registry's URL is malformed.
        """
        return decoder(self.topics(), RegisteredSchemas(self.schema_registry_url), self.decoder)


def _time(text: str) -> timedelta:
    amount = int(text[:-1])
    return timedelta(hours=amount) if text.endswith("h") else timedelta(days=amount)


class SettingsReader:
    """The settings as flags, environment and file give them.

    Args:
        flags: settings by name; None if the flag was not given.
        environment: the process's environment variables.
        config: the settings file; None for the default one, which need not exist.

    Raises:
        WrongUse: the file cannot be read, a setting is unknown, invalid or given under two names, or flags name both a
            database and a lake.
    """

    def __init__(self, flags: Mapping[str, Any], environment: Mapping[str, str], config: Path | None) -> None:
        given = (
            *_read_file(config or (Path(environment[CONFIG_VARIABLE]) if environment.get(CONFIG_VARIABLE) else None)),
            ("environment", _read_environment(environment)),
            ("flag", _in_one_place({name: value for name, value in flags.items() if value is not None})),
        )
        _check_former_names(given)
        defaults = {name: field.default for name, field in Settings.model_fields.items()}
        renamed = ((at, {FORMER_NAMES.get(name, name): layer[name] for name in layer}) for at, layer in given)
        self._layers = (("default", defaults), *renamed)

    def settings(self) -> Settings:
        """Return the validated settings."""
        merged: dict[str, Any] = {}
        for _, layer in self._layers:
            kafka = {**merged.get("kafka", {}), **layer.get("kafka", {})}
            merged |= {**layer, "kafka": kafka}
        return _checked(merged)

    def sources(self) -> dict[str, tuple[str, str]]:
        """Return each setting's value as text, secrets masked, and the source that it came from."""
        self.settings()
        found: dict[str, tuple[str, str]] = {}
        for source, layer in self._layers:
            for name, value in layer.items():
                if name == "kafka":
                    found |= {f"kafka.{key}": (_masked(key, text), source) for key, text in value.items()}
                else:
                    found[name] = (_masked(name, value), source)
        return found


def _in_one_place(flags: dict[str, Any]) -> dict[str, Any]:
    """Return flags that take a lake away where they name a database: one that environment or file name would win."""
    if "database" not in flags:
        return flags
    if not _LAKE.isdisjoint(flags):
        raise WrongUse("the log is in one place: give --database, or --lake-catalogue and --lake-data")
    return {**flags, **dict.fromkeys(_LAKE)}


def _check_former_names(layers: Sequence[tuple[str, Mapping[str, Any]]]) -> None:
    """Warn about each setting that is given under its former name; refuse one that has both names, in any sources."""
    sources = {name: source for source, layer in layers for name in layer}
    for former, name in FORMER_NAMES.items():
        if former in sources and name in sources:
            raise WrongUse(
                f"{former} ({sources[former]}) is the former name of {name} ({sources[name]}): give only {name}"
            )
        if former in sources:
            logger.warning("setting %s (%s) is now called %s", former, sources[former], name)


def _checked(values: dict[str, Any]) -> Settings:
    try:
        return Settings(**values)
    except ValidationError as error:
        problem = error.errors(include_url=False, include_input=False)[0]
        name = str(problem["loc"][0])
        field = Settings.model_fields.get(name)
        text = f"unknown setting {name}" if field is None else f"setting {name} ({field.description}): {problem['msg']}"
        raise WrongUse(f"{text}. `matterlog settings` lists all settings") from None


def _read_file(config: Path | None) -> tuple[tuple[str, dict[str, Any]], ...]:
    path = config or DEFAULT_CONFIG
    if config is None and not path.exists():
        return ()
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise WrongUse(f"{path} cannot be read: {error}") from error
    kafka = content.get("kafka", {})
    if not isinstance(kafka, dict) or any(  # Python makes no text of a number of thousands of digits
        isinstance(v, dict | list) or (isinstance(v, int) and abs(v) >= 2**63) for v in kafka.values()
    ):
        raise WrongUse(f'{path}: write librdkafka\'s settings under [kafka] as "security.protocol" = "SSL"')
    texts = {name: str(value).lower() if isinstance(value, bool) else str(value) for name, value in kafka.items()}
    return ((str(path), {**content, "kafka": texts}),)


def _read_environment(environment: Mapping[str, str]) -> dict[str, Any]:
    links = [variable for variable, value in environment.items() if _is_service_link(variable, value)]
    if links:
        logger.info("not read, since Kubernetes sets them for a Service: %s", ", ".join(sorted(links)))
    given = {variable: value for variable, value in environment.items() if value and variable not in links}
    found: dict[str, Any] = {
        name: given[variable]
        for name in (*Settings.model_fields, *FORMER_NAMES)
        if (variable := f"{ENVIRONMENT_PREFIX}{name.upper()}") in given and name != "kafka"
    }
    if REGISTRY_VARIABLE in given:
        found["schema_registry_url"] = given[REGISTRY_VARIABLE]
    found["kafka"] = {
        _kafka_name(variable): value for variable, value in given.items() if variable.startswith(KAFKA_PREFIX)
    }
    return found


def _is_service_link(variable: str, value: str) -> bool:
    if not variable.startswith(ENVIRONMENT_PREFIX):
        return False
    is_address = variable.endswith("_PORT") and _SERVICE_ADDRESS.match(value) is not None
    return is_address or _SERVICE_LINK.fullmatch(variable) is not None


def _kafka_name(variable: str) -> str:
    name = variable.removeprefix(KAFKA_PREFIX).lower().replace("_", ".")
    return _WITH_UNDERSCORE.get(name, name)


def _masked(name: str, value: object) -> str:
    if value is None:
        return ""
    if any(part in name.lower() for part in _SECRET_PARTS):
        return _MASK
    text = str(value)
    scheme, separator, rest = text.partition("://")
    credentials, at, host = rest.rpartition("@")
    return f"{scheme}://{_MASK}@{host}" if separator and at and credentials else text
