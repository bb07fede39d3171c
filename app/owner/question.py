"""A question to the log: a class with its request, the type of its answer, and the code that answers it.

1. The fields are the request. ``ask`` is the question's name on the socket. The type parameter is the answer's type.
2. A **reader's question** is answered on a connection for reading: one of the owner's, or one to the file if it has no
   owner. The owner answers none while the log is being recovered.
3. An **owner's question** changes the log or needs it to stay unchanged. If the database has no owner, the asking
   process owns it until the answer is there. Only root and the user of the owner may ask it, and it stands in the
   audit log.
4. An answer crosses the socket as JSON, by its type. Bytes may come before it: those that the question writes into the
   asker's sink, or a part of the answer that the question encodes itself (``to_wire``, ``of_wire``).
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Annotated, Any, ClassVar, Final, Generic, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, TypeAdapter

from matterlog.app.errors import WrongUse
from matterlog.app.owner.owned_store import eraser_of
from matterlog.consumers.database.batch import Decode
from matterlog.consumers.database.log_store import LogStore
from matterlog.consumers.database.store import Store
from matterlog.consumers.erasure.erase_schedule import EraseByDeadline, ErasesBytes
from matterlog.report.extracts.copying import Sink
from matterlog.report.handover.register import FileRegister, Register
from matterlog.report.log.reader import LogConnection
from matterlog.report.web.identity.audit_log import Act, Actor, AuditLog
from matterlog.report.web.identity.site_database import SiteDatabase

Answer = TypeVar("Answer")
# Name on the socket -> question. Each class that sets ``ask`` is added here.
_KNOWN: Final[dict[str, type["Question[Any]"]]] = {}
# Returns the asking user as the operating system knows it; None if it does not.
User = Callable[[], str | None]


class Question(BaseModel, ABC, Generic[Answer]):
    """A question to the log, of one of the two kinds below."""

    model_config = ConfigDict(frozen=True)

    ask: str

    @classmethod
    def __pydantic_init_subclass__(cls, **_: Any) -> None:
        """Register the class by its name."""
        name = cls.model_fields["ask"].default
        if isinstance(name, str) and _KNOWN.setdefault(name, cls) is not cls:
            raise TypeError(f"two questions have the name {name}")

    @abstractmethod
    def answer(self, owner: "Owner", sink: Sink, user: User) -> Answer:
        """Answer as the owner; bytes go to the sink."""

    def to_wire(self, answer: Answer) -> tuple[bytes, Any]:
        """Return an answer as bytes, empty for most, and JSON data."""
        return b"", self._type_of_answer().dump_python(answer, mode="json")

    def of_wire(self, data: bytes, result: Any) -> Answer:  # noqa: ARG002 - most answers have no bytes of their own
        """Return the answer that ``to_wire`` encoded."""
        return self._type_of_answer().validate_python(result)

    @classmethod
    def _type_of_answer(cls) -> TypeAdapter[Answer]:
        generic = (base.__pydantic_generic_metadata__ for base in cls.__mro__ if issubclass(base, Question))
        return TypeAdapter(next(each["args"][0] for each in generic if each["args"]))


class ReaderQuestion(Question[Answer], Generic[Answer]):
    """A question that only reads the log."""

    @abstractmethod
    def read(self, log: "LogReader") -> Answer:
        """Answer from the log."""

    def answer(self, owner: "Owner", sink: Sink, user: User) -> Answer:
        """Answer on a new cursor; also raises ``BeingRecovered``."""
        store = owner.file_store
        with store.served() as connection:
            return self.read(LogReader(connection, FileRegister(store.paths.extracts), sink, user, owner))


class OwnerQuestion(Question[Answer], Generic[Answer]):
    """A question that only the owner can answer. ``act`` is its name in the audit log."""

    act: ClassVar[Act] = Act.LOG_CHANGED

    @abstractmethod
    def carry_out(self, owner: "Owner") -> Answer:
        """Do what is asked, and return the answer."""

    def answer(self, owner: "Owner", sink: Sink, user: User) -> Answer:  # noqa: ARG002 - for the other kind
        """Carry out the question, and record it."""
        return self.recorded(owner, user())

    def recorded(self, owner: "Owner", user: str | None) -> Answer:
        """Carry out the question unless it cannot be recorded; record its figures or its failure."""
        record = owner.recorder(user)
        try:
            answer = self.carry_out(owner)
        except Exception as error:
            record(self.act, {"failed": type(error).__name__})
            raise
        _, said = self.to_wire(answer)
        figures = said.items() if isinstance(said, dict) else ()
        record(self.act, {name: value for name, value in figures if isinstance(value, int)})
        return answer


def _known(name: str) -> str:
    if name not in _KNOWN:
        raise ValueError("unknown question")
    return name


class _Name(BaseModel):
    ask: Annotated[str, AfterValidator(_known)]


def question_of(text: bytes) -> Question[Any]:
    """Parse a question.

    Raises:
        ValidationError: it is invalid.
    """
    return _KNOWN[_Name.model_validate_json(text).ask].model_validate_json(text)


def no_decoder(_: Any) -> Any:
    """Raise TypeError: the default where nothing is decoded."""
    raise TypeError("no decoder was given")


@dataclass(frozen=True, slots=True)
class Owner:
    """The owner of the log, with the parts that its questions need.

    Args:
        store: the log.
        decode: the decoder of records, for retrying dead letters.
        trouble: returns why tombstones cannot be sent; None if they can.
        erasure: the schedule that rewrites the database file by the deadline.
        export: context that counts and times an extract of a format, failed if it raises.
        read_at: returns when the whole database file was last read; None where that is not known.
        reading: returns what is not read for now and why; None if everything is read.
    """

    store: LogStore
    decode: Decode = no_decoder
    trouble: Callable[[], str | None] = lambda: None
    erasure: EraseByDeadline | None = None
    export: Callable[[str], AbstractContextManager[None]] = lambda _: nullcontext()
    read_at: Callable[[], datetime | None] = lambda: None
    reading: Callable[[], str | None] = lambda: None

    def recorder(self, user: str | None) -> Callable[[Act, Mapping[str, Any]], object]:
        """Return what adds a user's acts to the audit log, which a lake has not; raises ``SiteDatabaseUnusable``."""
        if not isinstance(self.store, Store):
            return lambda _act, _details: None
        audit_log = AuditLog(SiteDatabase(self.store.paths.accounts))
        return lambda act, details: audit_log.add(act, Actor(system_user=user), details)

    @property
    def eraser(self) -> ErasesBytes:
        """What can erase removed rows now."""
        return self.erasure.eraser if self.erasure else eraser_of(self.store)

    @property
    def file_store(self) -> Store:
        """The log in a database file.

        Raises:
            WrongUse: the log is on a lake.
        """
        if not isinstance(self.store, Store):
            raise WrongUse("this needs the log in a database file, and the log is on a lake")
        return self.store


@dataclass(frozen=True, slots=True)
class LogReader:
    """A connection to the log that answers readers' questions in this process.

    ``sink`` and ``user`` are the asker's; ``owner`` is None for a file without an owner.
    """

    connection: LogConnection
    register: Register
    sink: Sink = lambda _: None
    user: User = lambda: None
    owner: Owner | None = None

    def record(self, act: Act, **details: Any) -> None:
        """Add what somebody is shown through the owner to the audit log."""
        if self.owner is not None:
            self.owner.recorder(self.user())(act, details)

    def ask(self, question: ReaderQuestion[Answer], sink: Sink | None = None) -> Answer:
        """Answer a question."""
        return question.read(self if sink is None else replace(self, sink=sink))
