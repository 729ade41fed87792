"""An e-mail: who, when, about what, its text, and its attachments, each as a document of its own kind."""

from __future__ import annotations

import email
import email.policy
import re
from email.message import EmailMessage, Message, MIMEPart
from itertools import islice

from rag.formats.base import Options, Page, Parsed, Source, Unreadable, all_bytes, check_size
from rag.formats.blocks import Writer
from rag.formats.markup import parse_html, write_html
from rag.formats.parts import part_name, read_part
from rag.formats.reasons import reason
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
    _write_body(message, writer)
    pages: list[Page] = []
    for number, part in enumerate(islice(message.iter_attachments(), _MOST_PARTS)):
        name = part_name(part.get_filename() or "unnamed").rpartition("/")[2]
        found, why = ([], reason("nested")) if options.inside else _attachment(part, name, options)
        writer.paragraph(f"Attachment: {name}" + (f" (not read: {why})" if why else ""), close=number > 0)
        pages += found
        check_size(pages)
    return Parsed([writer.page("message"), *pages], sensible(str(message["Subject"] or "")))


def _refuse_hostile(data: bytes) -> None:
    """What Python's parser takes minutes for: a head without end, and parts within parts within parts."""
    head = re.search(rb"\r?\n\r?\n", data[:_LONGEST_HEAD])
    if (head is None and len(data) > _LONGEST_HEAD) or data.count(b"multipart/") > _MOST_PARTS:
        raise Unreadable("broken_file")


def _write_body(message: EmailMessage, writer: Writer) -> None:
    """The plain text if there is one, else the HTML."""
    body = message.get_body(("plain", "html"))
    if body is None:
        return
    text = _content(body)
    if body.get_content_subtype() != "html":
        writer.paragraph(text)
    elif (root := parse_html(text)) is not None and text.strip():
        write_html(root, writer)


def _content(part: MIMEPart) -> str:
    """A part's text; where its encoding is unknown or wrong, what can be read of it."""
    try:
        return str(part.get_content())
    except (LookupError, UnicodeError):
        return _payload(part).decode("utf-8", "replace")


def _attachment(part: MIMEPart, name: str, options: Options) -> tuple[list[Page], str]:
    if part.get_content_maintype() != "message":
        return read_part(_payload(part), name, options, label=f"attachment {name}")
    held = part.get_payload()
    data = held[0].as_bytes() if isinstance(held, list) and isinstance(held[0], Message) else b""
    return read_part(data, f"{name.removesuffix('.eml')}.eml", options, label="forwarded message")


def _payload(part: MIMEPart) -> bytes:
    data = part.get_payload(decode=True)
    return data if isinstance(data, bytes) else b""
