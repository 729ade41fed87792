"""Settings: where they come from, what is refused, what is never shown."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from settings import Settings, SettingsError, load_settings, markdown_table, variable


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.startswith("PARLEY_") or name in {"HF_TOKEN", "HUGGINGFACE_API_KEY"}:
            monkeypatch.delenv(name)


def test_flags_win_over_variables_and_variables_over_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    env_file = tmp_path / ".env"
    env_file.write_text("PARLEY_K=2\nPARLEY_PORT=1002\nPARLEY_SPEED=1.2\nOTHER=kept out\n")
    monkeypatch.setenv("PARLEY_K", "3")
    monkeypatch.setenv("PARLEY_PORT", "1003")
    settings = load_settings({"k": "4"}, env_file=env_file)
    assert (settings.k, settings.port, settings.speed) == (4, 1003, 1.2)


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("PARLEY_CHAIN", "stuffed", "stuff, map_reduce, refine, map_rerank"),
        ("PARLEY_K", "0", "greater than or equal to 1"),
        ("PARLEY_CHUNK_OVERLAP", "1000", "smaller than PARLEY_CHUNK_SIZE"),
        ("PARLEY_OFFLINE", "perhaps", "boolean"),
        ("PARLEY_AUTH", "nobody", "user:password"),
        ("PARLEY_ENDPOINT_MAX", "7", "less than or equal to 6"),
        ("PARLEY_ENDPOINT_MIN", "0.1", "greater than or equal to 0.2"),
        ("PARLEY_INTERRUPT", "1.5", "less than or equal to 1"),
        ("PARLEY_HTTPS", "on", "auto, or two files"),
        ("PARLEY_HTTPS", "cert.pem,", "auto, or two files"),
        ("PARLEY_HTTPS", "a.pem,b.pem,c.pem", "auto, or two files"),
        ("PARLEY_CHUNK_SISE", "1", "Did you mean PARLEY_CHUNK_SIZE?"),
    ],
)
def test_a_bad_name_or_value_is_refused_with_what_is_valid(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str, expected: str
) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(SettingsError, match=re.escape(name)) as caught:
        load_settings(env_file=None)
    assert expected in str(caught.value)


def test_the_longest_silence_is_not_shorter_than_the_shortest() -> None:
    assert load_settings({"endpoint_min": "0.7", "endpoint_max": "0.7"}, env_file=None).endpoint_max == 0.7
    with pytest.raises(
        SettingsError, match=r"PARLEY_ENDPOINT_MAX.*not be smaller than --endpoint-min \(1\.2\)"
    ):
        load_settings({"endpoint_min": "1.2", "endpoint_max": "1"}, env_file=None)
    with pytest.raises(SettingsError, match=r"PARLEY_ENDPOINT_MAX: 1\.8"):  # the default is held to it too
        load_settings({"endpoint_min": "2"}, env_file=None)


@pytest.mark.parametrize(
    ("variables", "flags", "said"),
    [
        ({"PARLEY_K": "0"}, {}, "PARLEY_K: '0' input should be greater than or equal to 1."),
        ({"PARLEY_K": "4"}, {"k": "0"}, "--k (PARLEY_K): '0' input should be greater than or equal to 1."),
        ({}, {"chunk_size": "100"}, "PARLEY_CHUNK_OVERLAP: 150 must be smaller than --chunk-size (100)."),
        (
            {"PARLEY_CHUNK_SIZE": "100"},
            {"chunk_overlap": "100"},
            "--chunk-overlap (PARLEY_CHUNK_OVERLAP): '100' must be smaller than PARLEY_CHUNK_SIZE (100).",
        ),
        ({}, {"auth": "nobody"}, "--auth (PARLEY_AUTH): must be user:password"),
    ],
)
def test_a_bad_value_is_called_as_it_was_given(
    monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], flags: dict[str, str], said: str
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(SettingsError) as caught:
        load_settings(flags, env_file=None)
    assert str(caught.value).startswith(said)


@pytest.mark.parametrize(
    ("value", "expected"), [("", ""), ("auto", "auto"), ("c.pem, ~/k.pem", "c.pem,~/k.pem")]
)
def test_https_is_off_automatic_or_two_files(value: str, expected: str) -> None:
    assert load_settings({"https": value}, env_file=None).https == expected


def test_an_unknown_name_in_the_file_is_refused_too(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("PARLEY_MODEL=x\n")
    with pytest.raises(SettingsError, match="PARLEY_MODEL is not a setting"):
        load_settings(env_file=tmp_path / ".env")


def test_an_empty_variable_leaves_the_default(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PARLEY_K", "")
    monkeypatch.setenv("PARLEY_FLOOR", "")
    settings = load_settings(env_file=None)
    assert (settings.k, settings.floor) == (4, None)


@pytest.mark.parametrize("name", ["HF_TOKEN", "HUGGINGFACE_API_KEY"])
def test_secrets_are_read_and_masked(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setenv(name, "hf_secret")
    monkeypatch.setenv("PARLEY_LLM_KEY", "key_secret")
    monkeypatch.setenv("PARLEY_AUTH", "anna:pass_secret, ben:a:b_secret")
    settings = load_settings(env_file=None)
    assert settings.hf_token.get_secret_value() == "hf_secret"
    assert settings.users == {"anna": "pass_secret", "ben": "a:b_secret"}
    assert "secret" not in repr(settings).replace("SecretStr", "")
    assert "secret" not in str(settings)


def test_a_refused_secret_is_not_quoted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PARLEY_AUTH", "anna:ok,hunter2")
    with pytest.raises(SettingsError) as caught:
        load_settings(env_file=None)
    assert "hunter2" not in str(caught.value)


def test_every_setting_is_documented() -> None:
    table = markdown_table()
    for name, info in Settings.model_fields.items():
        assert info.description
        assert (variable(name) in table) or name == "hf_token"


def test_the_readme_has_the_table() -> None:
    readme = Path(__file__).parent.parent / "README.md"
    assert markdown_table() in readme.read_text(encoding="utf-8")


@pytest.mark.parametrize("key", ["short", "with a space in it", "schlüssel-schlüssel"])
def test_a_key_that_could_be_guessed_or_not_be_sent_is_refused(key: str) -> None:
    with pytest.raises(SettingsError, match=r"PARLEY_API_KEY.*16 characters") as caught:
        load_settings({"api_key": key}, env_file=None)
    assert key not in str(caught.value)
