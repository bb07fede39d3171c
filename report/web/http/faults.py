"""Answers for errors: a page with a message for people, ``problem+json`` for programs."""

from collections.abc import Callable, Mapping, Sequence
from http import HTTPStatus
from typing import Final
from urllib.parse import quote

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response

from matterlog.report.errors import (
    ExtractFailed,
    ExtractGone,
    InvalidFilter,
    LogUnavailable,
    NotAllowed,
    NotSignedIn,
    ProviderFailed,
    Refused,
    RegisterFailed,
    SiteBusy,
    TooManyRows,
    TooManyTries,
)
from matterlog.report.web.http.forms import API_PREFIX
from matterlog.report.web.http.frame import page
from matterlog.report.web.http.visitors import SignInAgain, StepFirst

RETRY_AFTER: Final[Mapping[int, str]] = {HTTPStatus.SERVICE_UNAVAILABLE: "5", HTTPStatus.TOO_MANY_REQUESTS: "60"}
_UNEXPECTED: Final = "Something went wrong on our side. Nothing was changed. An administrator can find it in the log."
_SAYINGS: Final[Mapping[int, str]] = {
    404: "There is no such page.",
    405: "This address does not accept this kind of request.",
}
_TITLES: Final[Mapping[int, str]] = {503: "Unavailable at the moment", 422: "Invalid request", 400: "Invalid request"}
_OUT_OF_RANGE: Final = "A number or date in the request is out of range."
_STATUS: Final[tuple[tuple[type[Exception], HTTPStatus], ...]] = (
    (NotSignedIn, HTTPStatus.UNAUTHORIZED),
    (TooManyTries, HTTPStatus.TOO_MANY_REQUESTS),
    (InvalidFilter, HTTPStatus.BAD_REQUEST),
    (ExtractGone, HTTPStatus.GONE),
    (ExtractFailed, HTTPStatus.SERVICE_UNAVAILABLE),
    (RegisterFailed, HTTPStatus.SERVICE_UNAVAILABLE),
    (LogUnavailable, HTTPStatus.SERVICE_UNAVAILABLE),
    (SiteBusy, HTTPStatus.SERVICE_UNAVAILABLE),
    (ProviderFailed, HTTPStatus.BAD_GATEWAY),
    (NotAllowed, HTTPStatus.FORBIDDEN),
    (Refused, HTTPStatus.FORBIDDEN),
)


def answer_to_fault(request: Request, error: Exception) -> Response:
    """Answer with what went wrong. Only our own errors show their text."""
    if isinstance(error, HTTPException):
        said = str(error.detail)
        if said == HTTPStatus(error.status_code).phrase:
            said = _SAYINGS.get(error.status_code, said)
        return _answer(request, error.status_code, said)
    if isinstance(error, RequestValidationError):
        problems = {str(each["loc"][1]): each["msg"].removeprefix("Value error, ") for each in error.errors()}
        text = "; ".join(f"{field}: {problem[:1].lower()}{problem[1:]}" for field, problem in sorted(problems.items()))
        sent = "request" if request.url.path.startswith(API_PREFIX) else "form"
        return _answer(request, 422, f"The {sent} is incomplete, or a value is not allowed. {text}.", sorted(problems))
    if isinstance(error, InvalidFilter) and request.url.path.startswith(API_PREFIX):
        return _answer(request, 422 if isinstance(error, TooManyRows) else 400, error.for_a_program(), error.parameters)
    if isinstance(error, TooManyTries) and error.retry_after_seconds is not None:
        answer = _answer(request, HTTPStatus.TOO_MANY_REQUESTS, str(error))
        answer.headers["Retry-After"] = str(error.retry_after_seconds)
        return answer
    for kind, status in _STATUS:
        if isinstance(error, kind):
            return _answer(request, status, str(error))
    # An OverflowError: more than 64 bits for SQLite, or a day outside the calendar.
    is_too_large = isinstance(error, OverflowError)
    return _answer(request, *((422, _OUT_OF_RANGE) if is_too_large else (500, _UNEXPECTED)))


def _answer(request: Request, status: int, text: str, parameters: Sequence[str] = ()) -> Response:
    phrase = HTTPStatus(status).phrase
    wait = RETRY_AFTER.get(status)
    headers = {} if wait is None else {"Retry-After": wait}
    if request.url.path.startswith(API_PREFIX):
        if status == HTTPStatus.UNAUTHORIZED:
            headers["WWW-Authenticate"] = "Bearer"
        problem: dict[str, object] = {"type": "about:blank", "title": phrase, "status": status, "detail": text}
        if parameters:
            problem["parameters"] = list(parameters)
        return JSONResponse(problem, status, headers, media_type="application/problem+json")
    title, sentence = _TITLES.get(status, phrase), text[:1].upper() + text[1:]
    answer = page(request, "message.html", status=status, title=title, text=sentence, again=_again(request, status))
    answer.headers.update(headers)
    return answer


def _again(request: Request, status: int) -> str | None:
    """Return the address for another try; None if that would fail again or do something twice."""
    if status not in RETRY_AFTER or request.method != "GET":
        return None
    return request.url.path + (f"?{request.url.query}" if request.url.query else "")


def _to_sign_in(request: Request, error: Exception) -> Response:
    if request.url.path.startswith(API_PREFIX):
        return answer_to_fault(request, error)
    wanted = request.url.path if request.method == "GET" else "/"
    if request.method == "GET" and request.url.query:
        wanted += f"?{request.url.query}"
    return RedirectResponse(f"/sign-in?next={quote(wanted, safe='')}", HTTPStatus.SEE_OTHER)


def _to_first_step(_request: Request, error: Exception) -> Response:
    assert isinstance(error, StepFirst)  # noqa: S101 - for the type checker
    return RedirectResponse(error.path, HTTPStatus.SEE_OTHER)


def _to_sign_in_again(request: Request, _error: Exception) -> Response:
    before = request.headers.get("referer", "").partition("://")[2].partition("?")[0].partition("/")[2]
    wanted = request.url.path if request.method == "GET" else f"/{before}"
    return RedirectResponse(f"/sign-in?again=true&next={quote(wanted, safe='')}", HTTPStatus.SEE_OTHER)


def handle_faults(app: FastAPI) -> None:
    """Register the error handlers; ``http_security.Containment`` answers every other error."""
    handlers: Mapping[type[Exception], Callable[[Request, Exception], Response]] = {
        NotSignedIn: _to_sign_in,
        StepFirst: _to_first_step,
        SignInAgain: _to_sign_in_again,
        HTTPException: answer_to_fault,
        RequestValidationError: answer_to_fault,
        OverflowError: answer_to_fault,
        **{kind: answer_to_fault for kind, _ in _STATUS if kind is not NotSignedIn},
    }
    for kind, handler in handlers.items():
        app.add_exception_handler(kind, handler)
