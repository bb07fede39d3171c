"""Settings: which source wins, what is refused, and that no secret is ever told."""

import json
import re
from collections.abc import Mapping
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any, Final

import duckdb
import pytest

from matterlog.app.commands.options import lake_of, log_of
from matterlog.app.errors import WrongUse
from matterlog.app.settings import DEFAULT_CONFIG, Settings, SettingsReader
from matterlog.consumers import materialise
from matterlog.consumers.errors import ConsumerError
from matterlog.consumers.materialise import Decoder
from matterlog.consumers.reading.fast_decode import decode_views
from matterlog.schemas import Topics
from matterlog.schemas.storage.database_files import DatabaseFiles
from testbed.events import a_view, record_of

SECRET: Final = "hunter2-Geheimnis"  # noqa: S105 - what must be found nowhere
SECRETS: Final = {"oidc_client_secret", "metrics_token", "site_secret"}
# A value for each setting from each source: file, environment, flag; then what a flag gives.
VALUES: Final[Mapping[str, tuple[object, str, object]]] = {
    "bootstrap_servers": ("file:9092", "environment:9092", "flag:9092"),
    "database": ("file.duckdb", "environment.duckdb", "flag.duckdb"),
    "topic_prefix": ("file-", "environment-", "flag-"),
    "schema_registry_url": ("http://file", "http://environment", "http://flag"),
    "memory_limit": ("1GB", "2 GiB", "3mb"),
    "batch_records": (1, "2", 3),
    "max_dead_letters": (0.1, "0.2", 0.3),
    "erase_within": ("1h", "2d", "3h"),
    "backup_every": ("1h", "0", "3d"),
    "keep_backups": (1, "2", 3),
    "decoder": ("fastavro", "pyruhvro", "fastavro"),
    "host": ("10.0.0.1", "10.0.0.2", "10.0.0.3"),
    "port": (81, "82", 83),
    "insecure_bind": (True, "False", True),
    "trusted_proxy": ("10.0.0.1", "10.0.0.2", "10.0.0.3"),
    "tls_certificate": ("file.pem", "environment.pem", "flag.pem"),
    "tls_key": ("file.key", "environment.key", "flag.key"),
    "max_lag": (1, "2", 3),
    "broker_timeout_seconds": (1.5, "2.5", 3.5),
    "lake_catalogue": ("postgresql://file/lake", "postgres://environment/lake", "postgresql://flag/lake"),
    "lake_data": ("s3://file/lake", "s3://environment/lake", "/flag/lake"),
    "lake_encrypted": (True, "False", True),
    "metrics_token": ("file" * 4, "environment" * 2, "flag" * 4),
    "oidc_issuer": ("https://file", "https://environment", "https://flag"),
    "oidc_client_id": ("file", "environment", "flag"),
    "oidc_client_secret": ("file", "environment", "flag"),
    "oidc_asks_second_factor": (True, "False", True),
    "require_second_factor": ("administrators", "everybody", "nobody"),
    "site_secret": ("file" * 8, "environment" * 3, "flag" * 8),
    "oidc_trust_email": (True, "False", True),
    "oidc_leeway_seconds": (1, "2", 3),
    "oidc_second_factor_acr": ("file", "environment", "flag"),
    "public_url": ("https://file", "https://environment", "https://flag"),
}
DEFAULTS: Final[Mapping[str, object]] = {
    "bootstrap_servers": None,
    "database": Path("matterlog.duckdb"),
    "topic_prefix": "",
    "schema_registry_url": None,
    "memory_limit": "2GB",
    "batch_records": 61_440,
    "max_dead_letters": 0.5,
    "decoder": "pyruhvro",
    "erase_within": "24h",
    "backup_every": "24h",
    "keep_backups": 3,
    "host": "127.0.0.1",
    "port": 8080,
    "insecure_bind": False,
    "trusted_proxy": None,
    "tls_certificate": None,
    "tls_key": None,
    "max_lag": 100_000,
    "broker_timeout_seconds": 15,
    "lake_catalogue": None,
    "lake_data": None,
    "lake_encrypted": None,
    "metrics_token": None,
    "oidc_issuer": None,
    "oidc_client_id": None,
    "oidc_client_secret": None,
    "oidc_asks_second_factor": False,
    "require_second_factor": "nobody",
    "site_secret": None,
    "oidc_trust_email": False,
    "oidc_leeway_seconds": 120,
    "oidc_second_factor_acr": None,
    "public_url": None,
    "kafka": {},
}


@pytest.fixture(autouse=True)
def _in_an_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def reader(file: str | None = None, environment: Mapping[str, str] | None = None, **flags: Any) -> SettingsReader:
    """The settings of these three sources."""
    if file is not None:
        DEFAULT_CONFIG.write_text(file)
    return SettingsReader(flags, environment or {}, None)


def refusal(file: str | None = None, environment: Mapping[str, str] | None = None, **flags: Any) -> str:
    """What a person is told about settings that make no sense."""
    with pytest.raises(WrongUse) as refused:
        reader(file, environment, **flags).settings()
    return str(refused.value)


def read(settings: Settings, name: str) -> object:
    value = getattr(settings, name)
    return str(value) if isinstance(value, Path | IPv4Address) else value


def typed(name: str, text: str) -> object:
    """What a variable's text means."""
    kinds = {
        "batch_records": int,
        "max_dead_letters": float,
        "broker_timeout_seconds": float,
        "port": int,
        "max_lag": int,
        "keep_backups": int,
        "oidc_leeway_seconds": int,
    }
    return (
        text == "True"
        if name in {"insecure_bind", "lake_encrypted", "oidc_asks_second_factor", "oidc_trust_email"}
        else kinds.get(name, str)(text)
    )


def test_every_setting_has_a_default_and_a_test_of_its_sources() -> None:
    """A new setting has to be put here too."""
    assert reader().settings() == Settings.model_validate(DEFAULTS)
    assert set(Settings.model_fields) == {*VALUES, "kafka"}


def test_every_setting_says_what_it_is() -> None:
    """Error texts are made of it."""
    assert all(field.description for field in Settings.model_fields.values())


@pytest.mark.parametrize("name", VALUES)
def test_a_flag_beats_the_environment_which_beats_the_file_which_beats_the_default(name: str) -> None:
    """For each setting, one source after the other taken away; and its source is told."""
    in_file, in_environment, flag = VALUES[name]
    file, environment = f"{name} = {json.dumps(in_file)}", {f"MATTERLOG_{name.upper()}": in_environment}
    layers = [
        (reader(file, environment, **{name: flag}), flag, "flag"),
        (reader(file, environment, **{name: None}), typed(name, in_environment), "environment"),
        (reader(file), in_file, "matterlog.toml"),
    ]
    assert [(read(each.settings(), name), each.sources()[name]) for each, _, _ in layers] == [
        (value, ("********" if name in SECRETS else str(value), source)) for _, value, source in layers
    ]


@pytest.mark.parametrize(("former", "name"), [("snapshot_every", "backup_every"), ("keep_snapshots", "keep_backups")])
@pytest.mark.parametrize("source", ["matterlog.toml", "environment", "flag"])
def test_a_former_name_is_accepted_in_every_source_with_a_warning_that_tells_the_new_one(
    former: str, name: str, source: str, caplog: pytest.LogCaptureFixture
) -> None:
    """`matterlog settings` shows the new one alone."""
    in_file, in_environment, flag = VALUES[name]
    given = {"matterlog.toml": in_file, "environment": in_environment, "flag": flag}[source]
    file = f"{former} = {json.dumps(in_file)}" if source == "matterlog.toml" else None
    environment = {f"MATTERLOG_{former.upper()}": in_environment} if source == "environment" else {}
    flags: dict[str, Any] = {former: flag if source == "flag" else None}
    found = reader(file, environment, **flags)
    assert (str(read(found.settings(), name)), found.sources()[name]) == (str(given), (str(given), source))
    assert former not in found.sources()
    assert caplog.messages == [f"setting {former} ({source}) is now called {name}"]


@pytest.mark.parametrize(
    ("file", "environment", "flags"),
    [
        ("keep_snapshots = 2\nkeep_backups = 2", {}, {}),
        ("keep_snapshots = 2", {"MATTERLOG_KEEP_BACKUPS": "2"}, {}),
        ("keep_backups = 2", {"MATTERLOG_KEEP_SNAPSHOTS": "2"}, {}),
        (None, {"MATTERLOG_KEEP_SNAPSHOTS": "2"}, {"keep_backups": 2}),
        (None, {}, {"keep_backups": 2, "keep_snapshots": 2}),
    ],
)
def test_a_setting_under_both_of_its_names_is_refused(
    file: str | None, environment: dict[str, str], flags: dict[str, Any]
) -> None:
    """In whichever sources: which of the two is meant is the operator's to say."""
    assert re.fullmatch(
        r"keep_snapshots \(.+\) is the former name of keep_backups \(.+\): give only keep_backups",
        refusal(file, environment, **flags),
    )


def test_a_default_is_told_as_such() -> None:
    """And what is not set is empty."""
    assert reader().sources()["memory_limit"] == ("2GB", "default")
    assert reader().sources()["bootstrap_servers"] == ("", "default")


def test_the_registrys_own_variable_is_read() -> None:
    """Its name was agreed on long before us."""
    settings = reader(environment={"SCHEMA_REGISTRY_URL": "http://registry"}).settings()
    assert settings.schema_registry_url == "http://registry"


def test_an_empty_variable_is_not_set() -> None:
    """A composition file passes on what its caller never set."""
    names = ("MATTERLOG_BOOTSTRAP_SERVERS", "SCHEMA_REGISTRY_URL", "MATTERLOG_KAFKA_ACKS", "MATTERLOG_CONFIG")
    given = dict.fromkeys((*names, "MATTERLOG_MEMORY_LIMIT"), "")
    assert reader('bootstrap_servers = "file:9092"', given).settings() == Settings(bootstrap_servers="file:9092")


def test_any_setting_of_librdkafka_goes_through_the_environment() -> None:
    """Underscores are its dots, but in the one name that has an underscore."""
    names = {"MATTERLOG_KAFKA_SECURITY_PROTOCOL": "SSL", "MATTERLOG_KAFKA_LOG_LEVEL": "3"}
    assert reader(environment=names).settings().kafka == {"security.protocol": "SSL", "log_level": "3"}


def test_librdkafkas_settings_are_merged_name_by_name() -> None:
    """One variable does not hide the rest of the file."""
    file = '[kafka]\n"security.protocol" = "PLAINTEXT"\n"linger.ms" = 7\n"socket.keepalive.enable" = true'
    found = reader(file, {"MATTERLOG_KAFKA_SECURITY_PROTOCOL": "SSL", "MATTERLOG_KAFKA_ACKS": "all"})
    assert found.settings().kafka == {
        "security.protocol": "SSL",
        "linger.ms": "7",
        "socket.keepalive.enable": "true",
        "acks": "all",
    }
    sources = {name: source for name, (_, source) in found.sources().items() if name.startswith("kafka.")}
    assert sources == {
        "kafka.security.protocol": "environment",
        "kafka.linger.ms": "matterlog.toml",
        "kafka.socket.keepalive.enable": "matterlog.toml",
        "kafka.acks": "environment",
    }


@pytest.mark.parametrize(
    "name",
    [
        *("sasl.password", "SASL.Password", "ssl.key.password", "ssl.keystore.password", "ssl.key.pem"),
        *("sasl.oauthbearer.client.secret", "sasl.oauthbearer.config", "sasl.jaas.config"),
        "schema.registry.basic.auth.user.info",
        *("sasl.oauthbearer.assertion.private.key.passphrase", "sasl.oauthbearer.assertion.private.key.pem"),
    ],
)
def test_librdkafkas_secrets_are_masked(name: str) -> None:
    """The source is told all the same."""
    assert reader(f'[kafka]\n"{name}" = "{SECRET}"').sources()[f"kafka.{name}"] == ("********", "matterlog.toml")


@pytest.mark.parametrize("name", ["sasl.username", "ssl.ca.location", "security.protocol", "ssl.certificate.pem"])
def test_what_is_no_secret_is_shown(name: str) -> None:
    """Or nobody could check it."""
    assert reader(f'[kafka]\n"{name}" = "shown"').sources()[f"kafka.{name}"] == ("shown", "matterlog.toml")


@pytest.mark.parametrize(
    ("url", "told"),
    [
        (f"http://user:{SECRET}@registry:8081", "http://********@registry:8081"),
        (f"https://user:{SECRET}/@x@registry/path", "https://********@registry/path"),
        (f"http://u:{SECRET}@one,http://u:{SECRET}@two", "http://********@two"),
        ("http://registry:8081", "http://registry:8081"),
    ],
)
def test_credentials_in_a_url_are_masked(url: str, told: str) -> None:
    """They may stand there."""
    assert reader(environment={"SCHEMA_REGISTRY_URL": url}).sources()["schema_registry_url"] == (told, "environment")


@pytest.mark.parametrize("servers", [None, ""])
def test_without_a_broker_both_ways_to_one_are_named(servers: str | None) -> None:
    """And how to set it."""
    with pytest.raises(WrongUse) as refused:
        Settings(bootstrap_servers=servers).broker()
    assert all(
        way in str(refused.value)
        for way in ("--bootstrap-servers", "MATTERLOG_BOOTSTRAP_SERVERS", "`matterlog broker`", "`make kafka`")
    )


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *(("memory_limit", value) for value in ("2", "GB", "1.5GB", "-1GB", "2GB; DROP", "80%", "2 PB")),
        *(("batch_records", value) for value in (0, 1_000_001, "many", 1.5)),
        *(("max_dead_letters", value) for value in (-0.1, 1.1, 7, "some")),
        *(("topic_prefix", value) for value in ("a b", "ü", "a/b", "x" * 201, "a\n")),
    ],
)
def test_a_value_that_breaks_its_rule_is_refused_by_its_name_and_rule(name: str, value: object) -> None:
    """The message holds the setting's description."""
    with pytest.raises(WrongUse, match=re.escape(f"setting {name} ({Settings.model_fields[name].description}): ")):
        SettingsReader({name: value}, {}, None).settings()


@pytest.mark.parametrize("value", ["500MB", "2GB", "2 gib", "1TiB", "10kb"])
def test_a_memory_limit_is_written_as_duckdb_reads_it(value: str) -> None:
    """With or without a blank, in either unit."""
    assert reader(memory_limit=value).settings().memory_limit == value
    duckdb.connect(":memory:", config={"memory_limit": value}).close()


def test_an_unknown_setting_in_the_file_is_refused_by_its_name() -> None:
    """A misspelt one would be ignored in silence otherwise."""
    assert refusal('databse = "x.duckdb"').startswith("unknown setting databse")


@pytest.mark.parametrize(
    "content",
    [
        *("x = ", "[kafka", 'kafka = "x"', "[kafka]\nsecurity.protocol = 'SSL'"),
        # More digits and depths than Python reads or writes.
        *(f"port = {'9' * 5_000}", f"port = {'[' * 2_000}", f"[kafka]\nlog_level = 0x{'f' * 5_000}"),
    ],
    ids=range(7),
)
def test_a_file_that_cannot_be_understood_is_wrong_use(content: str) -> None:
    """The file is named."""
    assert "matterlog.toml" in refusal(content)


def test_a_file_that_cannot_be_read_is_wrong_use(tmp_path: Path) -> None:
    """Missing, a folder, or no text: it was asked for by name."""
    (tmp_path / "binary.toml").write_bytes(b"\xff\xfe")
    for config in (tmp_path / "missing.toml", tmp_path, tmp_path / "binary.toml"):
        with pytest.raises(WrongUse, match=f"{config.name} cannot be read"):
            SettingsReader({}, {}, config)


def test_a_file_is_named_by_flag_or_by_variable_and_the_flag_wins(tmp_path: Path) -> None:
    """Its name is the source that is told."""
    for name in ("default", "variable", "flag"):
        (tmp_path / f"{name}.toml").write_text(f'topic_prefix = "{name}-"')
    variable = {"MATTERLOG_CONFIG": "variable.toml"}
    assert SettingsReader({}, variable, None).sources()["topic_prefix"] == ("variable-", "variable.toml")
    assert SettingsReader({}, variable, Path("flag.toml")).sources()["topic_prefix"] == ("flag-", "flag.toml")


@pytest.mark.parametrize(
    ("file", "environment"),
    [
        (f'[kafka]\n"sasl.password" = ["{SECRET}"]', {}),
        (f'[kafka]\nsasl.password = "{SECRET}"', {}),
        (f'[kafka]\n"sasl.password" = "{SECRET}', {}),
        (f'schema_registry_url = ["http://u:{SECRET}@h"]', {}),
        (f'password = "{SECRET}"', {}),
        (None, {"MATTERLOG_BATCH_RECORDS": SECRET}),
        (None, {"MATTERLOG_MEMORY_LIMIT": SECRET, "MATTERLOG_KAFKA_SASL_PASSWORD": SECRET}),
    ],
)
def test_no_value_stands_in_an_error(file: str | None, environment: dict[str, str]) -> None:
    """It ends up in logs."""
    text = refusal(file, environment)
    assert SECRET not in text


# What is made of them


def test_the_prefix_stands_before_both_topics() -> None:
    assert Settings(topic_prefix="eu-").topics() == Topics("eu-")


def test_without_a_broker_nothing_is_read() -> None:
    with pytest.raises(WrongUse, match="no broker is set"):
        Settings().kafka_source()


def test_librdkafkas_own_settings_reach_the_reader() -> None:
    settings = Settings(bootstrap_servers="127.0.0.1:1", kafka={"isolation.level": "read_uncommitted"})
    with pytest.raises(ConsumerError, match=r"isolation\.level must stay read_committed"):
        settings.kafka_source()


def test_the_schema_registry_is_the_one_that_is_set() -> None:
    with pytest.raises(ConsumerError, match="schema registry's URL is not valid"):
        Settings(schema_registry_url="no-url").decode()


@pytest.mark.parametrize("decoder", Decoder)
def test_views_are_decoded_by_the_decoder_that_is_set(decoder: Decoder, monkeypatch: pytest.MonkeyPatch) -> None:
    """In the topic under the prefix that is set."""
    used: list[Decoder] = []

    def at_once(*arguments: Any) -> Any:
        used.append(Decoder.PYRUHVRO)
        return decode_views(*arguments)

    monkeypatch.setattr(materialise, "decode_views", at_once)
    decoded = Settings(decoder=decoder, topic_prefix="eu-").decode()([record_of(a_view(), 0, 0, prefix="eu-")])
    assert (decoded.views.num_rows, decoded.rejects) == (1, ())
    assert used == ([decoder] if decoder is Decoder.PYRUHVRO else [])


# As kubelet sets them for Services named matterlog, matterlog-kafka and matterlog-kafka-ssl with a named port each.
SERVICE_LINKS: Final = {
    f"MATTERLOG_{name}{variable}": value
    for name in ("", "KAFKA_", "KAFKA_SSL_")
    for variable, value in {
        "SERVICE_HOST": "10.96.0.7",
        "SERVICE_PORT": "9092",
        "SERVICE_PORT_CLIENT_TLS": "9092",
        "PORT": "tcp://10.96.0.7:9092",
        "PORT_9092_TCP": "tcp://10.96.0.7:9092",
        "PORT_9092_TCP_PROTO": "tcp",
        "PORT_9092_TCP_PORT": "9092",
        "PORT_9092_TCP_ADDR": "10.96.0.7",
        "PORT_53_UDP": "udp://10.96.0.7:53",
    }.items()
}


def test_what_kubernetes_sets_for_a_service_is_no_setting(caplog: pytest.LogCaptureFixture) -> None:
    """It is named in one line; settings beside it hold."""
    caplog.set_level("INFO")
    given = SERVICE_LINKS | {"MATTERLOG_KAFKA_SASL_KERBEROS_SERVICE_NAME": "kafka", "MATTERLOG_MAX_LAG": "7"}
    settings = SettingsReader({}, given, None).settings()
    assert (settings.port, settings.max_lag) == (8080, 7)
    assert settings.kafka == {"sasl.kerberos.service.name": "kafka"}
    (line,) = caplog.messages
    assert all(variable in line for variable in SERVICE_LINKS)
    assert "10.96.0.7" not in line


def test_a_port_that_is_a_number_is_a_setting_on_kubernetes_too() -> None:
    """Who sets it means it."""
    assert SettingsReader({}, SERVICE_LINKS | {"MATTERLOG_PORT": "8443"}, None).settings().port == 8443


@pytest.mark.parametrize(
    ("issuer", "is_accepted"),
    [
        *((f"https://{host}", True) for host in ("login.example", "login.example/tenant/", "10.0.0.1:8443")),
        *(
            (f"http://{host}", True)
            for host in ("localhost", "localhost:80/x", "127.0.0.1:8080", "127.9.9.9", "[::1]:80/")
        ),
        *(
            (f"http://{host}", False)
            for host in ("login.example", "10.0.0.1", "localhost.example", "127.0.0.1.example")
        ),
        *(
            (f"http://{host}", False)
            for host in ("localhost@x.example", "localhost:x@x.example", "[::2]", "x/localhost")
        ),
        *((text, False) for text in ("login.example", "ftp://localhost", "", " https://login.example")),
    ],
)
def test_the_provider_is_reached_with_tls_or_on_this_machine(issuer: str, is_accepted: bool) -> None:  # noqa: FBT001 - a table's column
    """The client's secret goes there; the error says so."""
    if is_accepted:
        assert reader(oidc_issuer=issuer).settings().oidc_issuer == issuer
    else:
        assert "https:// URL of the identity provider, or http:// on loopback" in refusal(oidc_issuer=issuer)


LAKE: Final = {"MATTERLOG_LAKE_CATALOGUE": "postgresql://db/lake", "MATTERLOG_LAKE_DATA": "s3://logs/lake"}


def test_a_database_as_flag_beats_a_lake_that_environment_or_file_name(tmp_path: Path) -> None:
    """A database that they name themselves does not."""
    for given in (
        reader(None, LAKE, database=Path("a")),
        reader('lake_catalogue = "postgresql://db/a"', {}, database="a"),
    ):
        assert log_of(given.settings()) == DatabaseFiles(tmp_path / "a")
    assert log_of(reader('database = "a"', {**LAKE, "MATTERLOG_DATABASE": "b"}).settings()) == lake_of(
        reader(None, LAKE).settings()
    )


@pytest.mark.parametrize("flag", ["lake_catalogue", "lake_data"])
def test_a_database_and_a_lake_as_flags_are_wrong_use(flag: str) -> None:
    told = "the log is in one place: give --database, or --lake-catalogue and --lake-data"
    assert refusal(None, LAKE, **{"database": "a", flag: "postgresql://db/lake"}) == told
