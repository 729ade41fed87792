"""An e-mail: who, when, about what, its text, and its attachments, each as a document of its own kind."""

from __future__ import annotations

import email
import email.policy
import mimetypes
import re
from collections.abc import Iterator
from email.message import Message, MIMEPart
from itertools import islice

from rag.formats.base import Options, Parsed, Source, Unreadable, all_bytes
from rag.formats.blocks import Writer
from rag.formats.markup import parse_html, write_html
from rag.formats.parts import Parts, part_name
from rag.formats.titles import sensible

_FIELDS = ("From", "To", "Cc", "Date", "Subject")
_MOST_PARTS = 200
_LONGEST_HEAD = 200_000  # bytes


def read(source: Source, options: Options) -> Parsed:
    data = all_bytes(source)
    _refuse_hostile(data)
    message = email.message_from_bytes(data, policy=email.policy.default)
    if not any(message[name] for name in _FIELDS):
        raise Unreadable("not_mail")
    writer = Writer()
    for name in _FIELDS:
        if value := " ".join(str(message[name] or "").split()):
            writer.paragraph(f"{name}: {value}", close=True)
    body = message.get_body(("plain", "html"))
    if body is not None:
        _write_text(body, writer)
    attached, parts = [], Parts(options)
    for part in islice(_others(message, body), _MOST_PARTS):
        if _is_text(part):
            _write_text(part, writer)
        else:
            attached.append(part)
    for number, part in enumerate(attached):
        writer.paragraph(_attachment(part, parts), close=number > 0)
    return parts.after(writer.page("message"), sensible(str(message["Subject"] or "")))


def _others(message: MIMEPart, body: MIMEPart | None, *, told: bool = False) -> Iterator[MIMEPart]:
    """The parts beside the body, however they are nested; `told`: their text is the body's in other form."""
    if not message.is_multipart() or message.get_content_maintype() == "message":
        return
    kind = message.get_content_subtype()
    told = told or kind == "alternative"
    for part in message.iter_parts():
        if part.get_content_maintype() == "multipart":
            yield from _others(part, body, told=told)
        elif part is not body and not (told and _is_shown(part)) and not _is_furniture(part, kind):
            yield part


def _is_furniture(part: MIMEPart, around: str) -> bool:
    """A picture in the text, or a signature that only programs read."""
    in_text = around == "related" and part.get_content_maintype() == "image"
    return in_text or part.get_content_subtype().endswith("-signature")


def _is_shown(part: MIMEPart) -> bool:
    """Whether it is no file, but text in one form or another, such as an invitation's calendar."""
    return part.get_content_maintype() == "text" and not part.is_attachment() and not part.get_filename()


def _is_text(part: MIMEPart) -> bool:
    """Whether it is to be read in the message."""
    return _is_shown(part) and part.get_content_subtype() in ("plain", "html")


def _refuse_hostile(data: bytes) -> None:
    """What Python's parser takes minutes for: a head without end, and parts within parts within parts."""
    head = re.search(rb"\r?\n\r?\n", data[:_LONGEST_HEAD])
    if (head is None and len(data) > _LONGEST_HEAD) or data.count(b"multipart/") > _MOST_PARTS:
        raise Unreadable("broken_file")


def _write_text(part: MIMEPart, writer: Writer) -> None:
    text = _content(part)
    if part.get_content_subtype() != "html":
        writer.paragraph(text)
    elif (root := parse_html(text)) is not None and text.strip():
        write_html(root, writer)


def _content(part: MIMEPart) -> str:
    """A part's text; where its encoding is unknown or wrong, what can be read of it."""
    try:
        return str(part.get_content())
    except (LookupError, UnicodeError):
        return _payload(part).decode("utf-8", "replace")


def _attachment(part: MIMEPart, parts: Parts) -> str:
    """Read it; the line that names it, and says why it is not read."""
    name = part_name(part.get_filename() or "").rpartition("/")[2]
    if part.get_content_maintype() == "message":
        data, subject = _held(part)
        why = parts.read(data, "message.eml", label=f"forwarded message {subject}".strip())
        listed = f"Forwarded message: {subject or name}"
    else:
        name = name if "." in name else f"{name}{_suffix(part)}"
        why = parts.read(_payload(part), name, label=f"attachment {name}")
        listed = f"Attachment: {name}"
    return listed + (f" ({why})" if why else "")


def _held(part: MIMEPart) -> tuple[bytes, str]:
    """A forwarded message, and its subject."""
    held = part.get_payload()
    message = held[0] if isinstance(held, list) and held else None
    try:
        subject = " ".join(str(message["Subject"] or "").split()) if isinstance(message, Message) else ""
        return message.as_bytes() if isinstance(message, Message) else b"", subject[:200]
    except (LookupError, TypeError, ValueError):  # what Python cannot write down again
        return b"", ""


def _suffix(part: MIMEPart) -> str:
    """Of a file that the sender did not name so that it tells its kind."""
    return mimetypes.guess_extension(part.get_content_type()) or ""


def _payload(part: MIMEPart) -> bytes:
    data = part.get_payload(decode=True)
    return data if isinstance(data, bytes) else b""
