"""How the consumer inside the service says what ended it."""

import pytest

from matterlog.app.service.consumer_pipeline import _in_words
from matterlog.consumers.errors import StoreFailed


def test_an_unforeseen_failure_is_told_without_its_text(caplog: pytest.LogCaptureFixture) -> None:
    """It may hold personal data; one of ours holds none."""
    unexpected = ValueError("zoe@example.com")
    assert _in_words(unexpected) == "the consumer failed (ValueError)"
    assert "unexpected error at" in caplog.text
    assert "zoe" not in caplog.text
    assert _in_words(StoreFailed("the disk is full")) == "the disk is full"
