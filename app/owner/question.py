"""What a question to the log is: a class that has its request, its answer, and what answers it.

1. The fields are the request, and ``ask`` is the question's name on the socket. The type in brackets is the answer's.
2. A **reader's question** is answered on a connection that reads: one of the owner's, or one to the file when nobody
   owns it. The owner answers none while the log is being recovered.
3. An **owner's question** changes the log or needs it to stand still. When nobody owns the database, whoever asks owns
   it for as long as the answer takes.
4. An answer crosses the socket as JSON, by its type. Bytes may go ahead of it: those that the question writes into the
   asker's sink, or a part of the answer itself where the question says how (``to_wire``, ``of_wire``).
"""

from abc import ABC, abstractmethod
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from typing import Annotated, Any, Final, Generic, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, TypeAdapter

from matterlog.consumers.database.batch import Decode
from matterlog.consumers.database.store import Store
from matterlog.consumers.erasure.erase import Eraser
from matterlog.consumers.erasure.erase_schedule import EraseByDeadline
from matterlog.report.extracts.copying import Sink
from matterlog.report.handover.register import Register
from matterlog.report.log.reader import LogConnection

Answer = TypeVar("Answer")
# Questions by their names on the socket; each class below that says its name is put here.
_KNOWN: Final[dict[str, type["Question[Any]"]]] = {}
# Says who asks, as the operating system knows it; None where it does not tell.
User = Callable[[], str | None]


class Question(BaseModel, ABC, Generic[Answer]):
    """A question of one of the two kinds below."""

    model_config = ConfigDict(frozen=True)

    ask: str

    @classmethod
    def __pydantic_init_subclass__(cls, **_: Any) -> None:
        """Put the class among the known ones."""
        name = cls.model_fields["ask"].default
        if isinstance(name, str) and _KNOWN.setdefault(name, cls) is not cls:
            raise TypeError(f"two questions are called {name}")

    @abstractmethod
    def answer(self, owner: "Owner", sink: Sink, user: User) -> Answer:
        """Answer as the owner; an answer's bytes go to the sink."""

    def to_wire(self, answer: Answer) -> tuple[bytes, Any]:
        """Return an answer as bytes, where it has some of its own, and the rest as JSON has it."""
        return b"", self._type_of_answer().dump_python(answer, mode="json")

    def of_wire(self, data: bytes, result: Any) -> Answer:  # noqa: ARG002 - most answers have no bytes of their own
        """Read what ``to_wire`` returned."""
        return self._type_of_answer().validate_python(result)

    @classmethod
    def _type_of_answer(cls) -> TypeAdapter[Answer]:
        generic = (base.__pydantic_generic_metadata__ for base in cls.__mro__ if issubclass(base, Question))
        return TypeAdapter(next(each["args"][0] for each in generic if each["args"]))


class ReaderQuestion(Question[Answer], Generic[Answer]):
    """A question that reads."""

    @abstractmethod
    def read(self, log: "LogReader") -> Answer:
        """Answer it."""

    def answer(self, owner: "Owner", sink: Sink, user: User) -> Answer:
        """Answer on a cursor of the question's own; raises ``BeingRecovered`` too."""
        with owner.store.served() as connection:
            return self.read(LogReader(connection, Register(owner.store.paths.extracts), sink, user, owner))


class OwnerQuestion(Question[Answer], Generic[Answer]):
    """A question that the owner alone can answer."""

    @abstractmethod
    def carry_out(self, owner: "Owner") -> Answer:
        """Do what is asked, and answer."""

    def answer(self, owner: "Owner", sink: Sink, user: User) -> Answer:  # noqa: ARG002 - for the other kind
        """Carry it out."""
        return self.carry_out(owner)


def _known(name: str) -> str:
    if name not in _KNOWN:
        raise ValueError("there is no such question")
    return name


class _Name(BaseModel):
    ask: Annotated[str, AfterValidator(_known)]


def question_of(text: bytes) -> Question[Any]:
    """Read a question.

    Raises:
        ValidationError: it makes no sense.
    """
    return _KNOWN[_Name.model_validate_json(text).ask].model_validate_json(text)


def _drop(data: bytes) -> None:
    """Nobody wants the bytes."""


def no_decoder(_: Any) -> Any:
    """Stand where nothing is decoded."""
    raise TypeError("no decoder was given")


@dataclass(frozen=True, slots=True)
class Owner:
    """The owner of the log.

    Args:
        store: the log.
        decode: records -> what they are, for dead letters that are tried again.
        trouble: says what keeps tombstones from the topic; None for nothing.
        erasure: what rewrites the database file in time.
        export: counts and times an extract of a format; what raises has failed.
    """

    store: Store
    decode: Decode = no_decoder
    trouble: Callable[[], str | None] = lambda: None
    erasure: EraseByDeadline | None = None
    export: Callable[[str], AbstractContextManager[None]] = lambda _: nullcontext()

    @property
    def eraser(self) -> Eraser:
        """What rewrites the database file now."""
        return self.erasure.eraser if self.erasure else Eraser(self.store)

    @property
    def erasure_trouble(self) -> str | None:
        """What keeps the database file from being rewritten; None for nothing."""
        return self.erasure.trouble if self.erasure else None


@dataclass(frozen=True, slots=True)
class LogReader:
    """The log as a reader's question has it, and a way to the log: each question asked is answered here.

    ``sink`` and ``user`` are those of whoever asks; ``owner`` is None for a file that nobody owns.
    """

    connection: LogConnection
    register: Register
    sink: Sink = _drop
    user: User = lambda: None
    owner: Owner | None = None

    def ask(self, question: ReaderQuestion[Answer], sink: Sink | None = None) -> Answer:
        """Answer a question."""
        return question.read(self if sink is None else replace(self, sink=sink))
