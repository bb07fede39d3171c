"""Schemas from a schema registry, for messages in the Confluent wire format.

If the registry does not answer, no message is rejected. A message is rejected if the registry does not know its schema
ID, or if the schema is not one of matterlog's.
"""

from collections.abc import Mapping, Sequence
from functools import partial
from http import HTTPStatus
from typing import TYPE_CHECKING, Final, cast

from matterlog.consumers.errors import ConsumerError, RegistryUnavailable
from matterlog.consumers.reading.records import Record, columns_of
from matterlog.schemas.codec import Schema, fingerprint_of, registry_id_of, schemas
from matterlog.schemas.registry_url import registry_failure, registry_settings

if TYPE_CHECKING:
    from confluent_kafka.schema_registry import SchemaRegistryClient

# A registry's IDs are of Java's type ``int``. It answers a greater one with "not found".
_MAX_REGISTRY_ID: Final = 2**31 - 1
# The client would wait for ever for an answer, and deletions with it. Its callers ask again by themselves.
_PATIENCE: Final[dict[str, float]] = {"timeout": 5, "max.retries": 0}


class RegisteredSchemas:
    """The schemas of a registry by their IDs, each requested once.

    Args:
        registry: the registry's URL (may include credentials) or a confluent-kafka client. None: no registry.

    Raises:
        ConsumerError: the URL is malformed.
    """

    def __init__(self, registry: "str | SchemaRegistryClient | None") -> None:
        self._client = _registry_client(registry) if isinstance(registry, str) else registry
        self._known: dict[int, Schema] = {}
        self._foreign: set[int] = set()

    def of(self, records: Sequence[Record]) -> Mapping[int, Schema]:
        """Return the known schemas by ID, after requesting the IDs that these records use for the first time.

        Raises:
            RegistryUnavailable: the registry does not answer, or refuses: no reason to call a message bad.
        """
        if self._client is not None:
            values = columns_of(records).values
            named = {registry_id_of(value): index for index, value in enumerate(values) if value is not None}
            for registry_id in named.keys() - {None} - self._known.keys() - self._foreign:
                self._ask(self._client, cast("int", registry_id), records[named[registry_id]])
        return self._known.copy()  # another thread may add schemas meanwhile

    def _ask(self, client: "SchemaRegistryClient", registry_id: int, record: Record) -> None:
        if registry_id > _MAX_REGISTRY_ID:
            return
        try:
            text = client.get_schema(registry_id).schema_str
        except Exception as error:  # errors of httpx, urllib and the registry have no common class
            if (getattr(error, "error_code", None) or 0) // 100 != HTTPStatus.NOT_FOUND:
                raise RegistryUnavailable(
                    f"the schema registry {registry_failure(error)}", record.topic, partial(self.of, [record])
                ) from error
            return  # not remembered: it may be registered before the message is tried again
        if (schema := _schema_of(text)) is None:
            self._foreign.add(registry_id)
        else:
            self._known[registry_id] = schema


def _schema_of(text: str | None) -> Schema | None:
    """Return matterlog's schema that equals a registered one. None: another schema, or not Avro."""
    try:
        return schemas().get(fingerprint_of(text or ""))
    except Exception:  # noqa: BLE001 - registries also hold Protobuf and JSON schemas, and fastavro's errors differ
        return None


def _registry_client(url: str) -> "SchemaRegistryClient":
    from confluent_kafka.schema_registry import SchemaRegistryClient  # noqa: PLC0415 - needed only with a registry

    try:
        return SchemaRegistryClient.new_client(registry_settings(url) | _PATIENCE)
    except ValueError as error:
        raise ConsumerError("the schema registry's URL is not valid: give it as http://host:8081") from error
