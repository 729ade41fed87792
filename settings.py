"""Every setting, from flags, PARLEY_* variables and .env, in this order. It does not know what they are for.

An unknown name and a bad value are refused, with the valid ones named; secrets are masked wherever settings
are printed. The table in README.md is made from these fields (`python -m settings`).
"""

from __future__ import annotations

import difflib
import os
import re
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, cast, get_args

from dotenv import dotenv_values
from pydantic import AliasChoices, Field, SecretStr, ValidationError, field_validator
from pydantic_settings import BaseSettings, NoDecode, PydanticBaseSettingsSource, SettingsConfigDict

PREFIX = "PARLEY_"
API_KEY_LENGTH = 16  # characters at least: nobody counts wrong ones
TOKEN_NAMES = ("HF_TOKEN", "HUGGINGFACE_API_KEY")


class SettingsError(Exception):
    """A setting that cannot be used; the message names it, what is wrong, and what is valid."""


class Settings(BaseSettings):
    """One field a setting; its description is its documentation, its default the recommended value."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX,
        env_file=".env",
        env_file_encoding="utf-8",
        extra="ignore",
        env_ignore_empty=True,
        frozen=True,
    )

    data: Path = Field(Path(".parley"), description="folder for the index, the uploads and the conversations")
    corpus: Annotated[tuple[Path, ...], NoDecode] = Field(
        (Path("txt"), Path("pdfs")), description="folders of documents, separated by commas"
    )
    watch: bool = Field(
        True, description="while the page is served, notice changes in the folders at once; 0: at the start"
    )
    llm: str = Field(
        "auto",
        description="auto, extractive (quotes), smollm2 (bundled), remote[:MODEL], or a model's name or path",
    )
    llm_url: str = Field("", description="base URL of an OpenAI-compatible server, for what is remote")
    llm_key: SecretStr = Field(SecretStr(""), description="key of that server")
    download: bool = Field(
        False, description="agree to download a language model of more than 1 GB without being asked"
    )
    idle_unload: float = Field(
        0.0,
        ge=0,
        description="minutes without a question after which a local model leaves the memory; "
        "the next question loads it again; 0: never",
    )
    quantize: Literal["auto", "nf4", "int8", "none"] = Field(
        "auto", description="a local model's weights; auto: nf4 on a GPU, none where it fits without one"
    )
    gpu_layout: Literal["auto", "split"] = Field(
        "auto", description="auto: a second GPU only when one is too small; split: spread over all GPUs"
    )
    trust_remote_code: bool = Field(
        False, description="run code that comes with a model: only if you trust it"
    )
    embedder: str = Field("auto", description="sentence-transformers model, by name or path, or remote:MODEL")
    reranker: str = Field(
        "none",
        description="cross-encoder that reorders the passages, by name or path, or remote:MODEL, or none",
    )
    chain: Literal["stuff", "map_reduce", "refine", "map_rerank"] = Field(
        "stuff", description="how the passages reach the model: all at once, or one by one"
    )
    prompt: Path | None = Field(
        None, description="file with your own prompt for the stuff chain: it needs {context} and {question}"
    )
    compress: bool = Field(False, description="give the model only the sentences of a passage that matter")
    memory: Literal["buffer", "summary", "none"] = Field(
        "buffer",
        description="what a follow-up question can refer to: the last turns, also a summary, or nothing",
    )
    k: int = Field(4, ge=1, le=50, description="passages an answer is made from, at most")
    floor: float | None = Field(
        None,
        ge=0,
        le=1,
        description="how probable it must be that the documents answer; empty: the calibrated floor",
    )
    chunk_size: int = Field(1000, ge=20, le=20_000, description="characters of a chunk, at most")
    chunk_overlap: int = Field(150, ge=0, le=10_000, description="characters that neighbouring chunks share")
    splitter: Literal["recursive", "character"] = Field(
        "recursive", description="recursive: at paragraphs, sentences, words; character: at blank lines only"
    )
    ocr: str = Field(
        "auto",
        description="languages of scans and images, as Tesseract names them (eng+deu); "
        "auto: those there are; none: no OCR",
    )
    temperature: float = Field(0.0, ge=0, le=2, description="0: always the likeliest token; above: sampling")
    top_p: float | None = Field(
        None, gt=0, le=1, description="when sampling: the likeliest tokens of this total probability; 0.95"
    )
    top_k: int | None = Field(None, ge=0, description="when sampling: this many likeliest tokens; 40; 0: all")
    repetition_penalty: float | None = Field(
        None, ge=1, le=2, description="above 1: what the answer already has becomes less likely; 1"
    )
    max_new_tokens: int = Field(512, ge=1, le=32_768, description="tokens of an answer, at most")
    max_seconds: float = Field(
        300, ge=0, le=86_400, description="seconds a local model may take for an answer; 0: any time"
    )
    asr: str = Field(
        "auto",
        description="auto, faster-whisper[:SIZE], openai-whisper[:SIZE], pocketsphinx; a path may be SIZE",
    )
    language: str = Field("auto", description="language that is spoken (en, de, …), or auto: detected")
    endpoint_min: float = Field(
        0.4,
        ge=0.2,
        le=2,
        description="in a live conversation: seconds of silence that end a finished question",
    )
    endpoint_max: float = Field(
        1.8, ge=0.5, le=6, description="seconds of silence that end whatever was said, also an open sentence"
    )
    interrupt: float = Field(
        0.4, ge=0.2, le=1, description="seconds of speech over an answer that interrupt it"
    )
    tts: str = Field("auto", description="auto, gtts, espeak-ng, kokoro, openai[:MODEL], none")
    tts_url: str = Field(
        "", description="base URL of an OpenAI-compatible speech server, for `PARLEY_TTS=openai`"
    )
    tts_key: SecretStr = Field(SecretStr(""), description="key of that server")
    voice: str = Field("", description="voice of that engine; empty: the one for the answer's language")
    speed: float = Field(1.0, ge=0.5, le=2, description="how fast the voice speaks")
    host: str = Field("127.0.0.1", description="address to serve on; any but loopback needs PARLEY_AUTH")
    port: int = Field(7860, ge=0, le=65_535, description="port to serve on; 0: any free one")
    hosts: Annotated[tuple[str, ...], NoDecode] = Field(
        (), description="public host names of a reverse proxy in front, separated by commas"
    )
    https: str = Field(
        "",
        description="auto: serve HTTPS with a certificate of Parley's own; or your files: CERT.pem,KEY.pem",
    )
    auth: SecretStr = Field(
        SecretStr(""), description="who may sign in: user:password[,user:password…], or none"
    )
    api_key: SecretStr = Field(
        SecretStr(""),
        description="key of the OpenAI-compatible API under /v1; without one it serves this machine alone",
    )
    offline: bool = Field(False, description="1: no outgoing connection, from any part")
    allow_private_urls: bool = Field(False, description="1: web pages may be read from private addresses too")
    hf_token: SecretStr = Field(
        SecretStr(""),
        validation_alias=AliasChoices("hf_token", *TOKEN_NAMES),
        description="Hugging Face token for gated models, read from HF_TOKEN or HUGGINGFACE_API_KEY",
    )

    @field_validator("corpus", mode="before")
    @classmethod
    def _folders(cls, value: object) -> object:
        if isinstance(value, str):
            return tuple(Path(part.strip()) for part in value.split(",") if part.strip())
        return value

    @field_validator("hosts", mode="before")
    @classmethod
    def _names(cls, value: object) -> object:
        return (
            tuple(part.strip() for part in value.split(",") if part.strip())
            if isinstance(value, str)
            else value
        )

    @field_validator("data", "corpus", "prompt")
    @classmethod
    def _home_is_expanded(cls, value: Any) -> Any:
        if isinstance(value, tuple):
            return tuple(path.expanduser() for path in value)
        return value.expanduser() if value is not None else None

    @field_validator("chunk_overlap")
    @classmethod
    def _overlap_fits(cls, value: int, info: Any) -> int:
        size = info.data.get("chunk_size")
        if size is not None and value >= size:
            raise ValueError(f"must be smaller than PARLEY_CHUNK_SIZE ({size})")
        return value

    @field_validator("endpoint_max")
    @classmethod
    def _endpoints_are_in_order(cls, value: float, info: Any) -> float:
        least = info.data.get("endpoint_min")
        if least is not None and value < least:
            raise ValueError(f"must not be smaller than PARLEY_ENDPOINT_MIN ({least:g})")
        return value

    @field_validator("https")
    @classmethod
    def _https_is_auto_or_two_files(cls, value: str) -> str:
        parts = [part.strip() for part in value.split(",")]
        if parts in ([""], ["auto"]) or (len(parts) == 2 and all(parts)):
            return ",".join(parts)
        raise ValueError("must be auto, or two files with a comma between them: CERT.pem,KEY.pem")

    @field_validator("ocr")
    @classmethod
    def _ocr_is_codes(cls, value: str) -> str:
        if all(re.fullmatch(r"[A-Za-z]\w*", code) for code in value.split("+")):
            return value
        raise ValueError("must be auto, none, or Tesseract's language codes, such as eng+deu")

    @field_validator("auth")
    @classmethod
    def _auth_is_pairs(cls, value: SecretStr) -> SecretStr:
        parse_auth(value)
        return value

    @field_validator("api_key")
    @classmethod
    def _api_key_cannot_be_guessed(cls, value: SecretStr) -> SecretStr:
        key = value.get_secret_value()
        if key and not re.fullmatch(rf"[!-~]{{{API_KEY_LENGTH},}}", key):
            raise ValueError(
                f"must have {API_KEY_LENGTH} characters or more: letters, digits and signs, without a space"
            )
        return value

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        return init_settings, env_settings, dotenv_settings

    @property
    def users(self) -> dict[str, str]:
        """User → password; empty without sign-in."""
        return parse_auth(self.auth)

    @property
    def open_to_all(self) -> bool:
        """Whether serving beyond this machine without sign-in was asked for in so many words."""
        return self.auth.get_secret_value() == "none"


def parse_auth(value: SecretStr) -> dict[str, str]:
    """`user:password[,user:password…]` → pairs. Raises ValueError, which never quotes the value."""
    text = value.get_secret_value().strip()
    if text in {"", "none"}:
        return {}
    pairs = [part.strip().partition(":") for part in text.split(",")]
    if any(not user or not password for user, _, password in pairs):
        raise ValueError("must be user:password[,user:password…], or none")
    return {user: password for user, _, password in pairs}


def load_settings(
    flags: Mapping[str, object] | None = None, env_file: Path | None = Path(".env")
) -> Settings:
    """The settings in force. `flags`: field → value, as given on the command line.

    Raises SettingsError for an unknown PARLEY_ name or a bad value.
    """
    try:
        given = dict(dotenv_values(env_file)) if env_file and env_file.is_file() else {}
    except UnicodeDecodeError:
        raise SettingsError(f"{env_file} is not UTF-8 text. Save it as UTF-8.") from None
    _refuse_unknown([*os.environ, *given])
    by_flag = {name: value for name, value in (flags or {}).items() if value is not None}
    try:
        build: Any = Settings  # its signature takes parsed values, while flags are text
        return cast(Settings, build(_env_file=env_file, **by_flag))
    except ValidationError as error:
        raise SettingsError("\n".join(_explain(item, by_flag) for item in error.errors())) from None


def _refuse_unknown(names: Iterable[str]) -> None:
    valid = [variable(name) for name in Settings.model_fields if name != "hf_token"]
    for name in names:
        if name.upper().startswith(PREFIX) and name.upper() not in valid:
            endings = [each.removeprefix(PREFIX) for each in valid]  # all begin alike
            near = difflib.get_close_matches(name.upper().removeprefix(PREFIX), endings, n=1)
            hint = f"Did you mean {PREFIX}{near[0]}? " if near else ""
            raise SettingsError(f"{name} is not a setting. {hint}The settings are: {', '.join(valid)}.")


def _explain(item: Any, by_flag: Collection[str]) -> str:
    """A refused value, called as the person called it: `by_flag` are the fields that flags have set."""
    field = str(item["loc"][0])
    if field in TOKEN_NAMES:
        return f"{field}: {item['msg']}."
    info = Settings.model_fields.get(field)
    choices = get_args(info.annotation) if info is not None and item["type"] == "literal_error" else ()
    problem = f"is not one of {', '.join(choices)}" if choices else item["msg"].removeprefix("Value error, ")
    for name in by_flag:
        problem = re.sub(rf"\b{variable(name)}\b", flag(name), problem)
    called = f"{flag(field)} ({variable(field)})" if field in by_flag else variable(field)
    value = "" if info is not None and info.annotation is SecretStr else f" {item['input']!r}"
    meaning = f" It means: {info.description}." if info is not None else ""
    return f"{called}:{value} {problem[0].lower()}{problem[1:]}.{meaning}"


def variable(field: str) -> str:
    """The environment variable of a field."""
    return PREFIX + field.upper()


def flag(field: str) -> str:
    """The command line's flag of a field."""
    return "--" + field.replace("_", "-")


def markdown_table() -> str:
    """The README's table of all settings."""
    rows = ["| variable | default | what it does |", "| --- | --- | --- |"]
    for name, info in Settings.model_fields.items():
        shown = "`HF_TOKEN`" if name == "hf_token" else f"`{variable(name)}`"
        choices = get_args(info.annotation) if "Literal" in str(info.annotation) else ()
        meaning = (f"{' · '.join(f'`{c}`' for c in choices)}: " if choices else "") + (info.description or "")
        rows.append(f"| {shown} | {_shown_default(info.default)} | {meaning.replace('|', '·')} |")
    return "\n".join(rows)


def _shown_default(value: object) -> str:
    if isinstance(value, SecretStr) or value in (None, ""):
        return ""
    if isinstance(value, tuple):
        return f"`{','.join(str(part) for part in value)}`"
    return f"`{int(value) if isinstance(value, bool) else value}`"


if __name__ == "__main__":
    import sys

    sys.stdout.write(markdown_table() + "\n")
