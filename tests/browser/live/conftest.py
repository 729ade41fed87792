"""The stage of each test, and what its pages complained about."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.browser.conftest import Site
from tests.browser.live.stage import Stage


@pytest.fixture
def stage(site: Site) -> Iterator[Stage]:
    made = Stage(site)
    yield made
    assert not made.errors
