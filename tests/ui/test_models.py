"""Who may choose the language model, and what the routes pass on."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from tests.ui.scripted import Script
from ui.web import build_ui

HOST = "http://127.0.0.1"
WISH = {"name": " org/larger-instruct ", "agreed": 5}


def visitor(script: Script, **served: Any) -> TestClient:
    return TestClient(build_ui(replace(script.services(), **served)), base_url=HOST)


def test_at_this_machine_everybody_chooses(tmp_path: Path) -> None:
    script = Script(tmp_path)
    with visitor(script) as client:
        found = client.get("/api/model").json()
        assert (found["name"], found["barred"]) == ("quotations", "")
        assert [offer["name"] for offer in found["offers"]] == ["extractive", "org/larger-instruct"]
        assert "PARLEY_LLM=extractive." in found["keep"]
        looked = client.post("/api/model/look", json={"name": "org/x"}).json()
        assert (looked["name"], looked["download"]) == ("org/x", 3_100_000_000)
        refused = client.post("/api/model/look", json={"name": "no/such"})
        assert (refused.status_code, "Check its spelling" in refused.json()["error"]) == (409, True)
        assert client.post("/api/model", json=WISH).json()["coming"] == "org/larger-instruct"
        assert script.models.chosen == [("org/larger-instruct", 5)]
        assert client.post("/api/model/cancel").json()["coming"] == ""
        assert client.post("/api/model", json={"name": ""}).status_code == 422


@pytest.mark.parametrize(
    ("users", "signed_in", "served", "reason"),
    [
        ({"anna": "1", "ben": "2"}, "anna", {"local_only": False}, ""),
        ({"anna": "1", "ben": "2"}, "ben", {"local_only": False}, "Only anna may choose"),
        ({}, "", {"local_only": False}, "chosen by the settings"),
        ({}, "", {"hosts": ("docs.example.org",)}, "chosen by the settings"),  # a proxy lets others in
    ],
)
def test_where_others_come_in_the_first_user_chooses_or_nobody(
    tmp_path: Path, users: dict[str, str], signed_in: str, served: dict[str, Any], reason: str
) -> None:
    script = Script(tmp_path)
    with visitor(script, users=users, **served) as client:
        if signed_in:
            client.post("/login", data={"username": signed_in, "password": users[signed_in]})
        found = client.get("/api/model").json()
        assert reason in found["barred"] if reason else found["barred"] == ""
        assert bool(found["offers"]) == (not reason)
        expected = 403 if reason else 200
        for path in ("/api/model/look", "/api/model", "/api/model/cancel", "/api/agree"):
            assert client.post(path, json=WISH).status_code == expected, path
        assert bool(script.models.chosen) == (not reason)
        assert script.models.agreed == (0 if reason else 1)
