"""What the tests of logs share: no handler of one test is left to the next."""

import logging
from collections.abc import Iterator

import pytest


@pytest.fixture(autouse=True)
def own_handlers(capsys: pytest.CaptureFixture[str]) -> Iterator[None]:
    """Leave no handler behind; what `capsys` reads is what a test's own applications print."""
    yield
    for handler in logging.getLogger().handlers[:]:
        logging.getLogger().removeHandler(handler)
        handler.close()
