"""Servers of OpenAI's API over scripted services, each made once for the tests of a file."""

from __future__ import annotations

from collections.abc import Iterator

import openai
import pytest

from tests.browser.serving import serve
from tests.ui.api_client import KEY, official
from tests.ui.scripted import Script, ScriptedAssistant, served
from ui.web import build_ui


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Script:
    return Script(tmp_path_factory.mktemp("data"))


@pytest.fixture
def script(shared: Script) -> Script:
    shared.assistant = ScriptedAssistant()
    return shared


@pytest.fixture(scope="module")
def with_key(shared: Script) -> Iterator[str]:
    with serve(build_ui(served(shared, api_key=KEY))) as url:
        yield f"{url}/v1"


@pytest.fixture(scope="module")
def without_key(shared: Script) -> Iterator[str]:
    with serve(build_ui(served(shared))) as url:
        yield f"{url}/v1"


@pytest.fixture
def client(with_key: str, script: Script) -> Iterator[openai.OpenAI]:
    with official(with_key) as client:
        yield client
