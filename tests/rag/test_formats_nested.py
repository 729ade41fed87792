"""Files that hold files: e-mails with their attachments, and archives."""

from __future__ import annotations

from email.message import EmailMessage
from pathlib import Path

from tests.rag.made import epub, package, packed
from tests.rag.reading import load, places, text_of


def mail(text: str = "The museum opens at ten.") -> EmailMessage:
    message = EmailMessage()
    message["From"] = "Ann <ann@example.org>"
    message["To"] = "ben@example.org"
    message["Subject"] = "Öffnungszeiten"
    message.set_content(text)
    return message


def test_an_e_mail_and_its_attachments(tmp_path: Path) -> None:
    message = mail()
    message.add_alternative("<p>The same in <b>HTML</b>.</p>", subtype="html")
    csv = b"Day,Hours\nMonday,closed\n"
    message.add_attachment(csv, maintype="text", subtype="csv", filename="../../etc/hours.csv")
    message.add_attachment(b"MZ", maintype="application", subtype="octet-stream", filename="virus.exe")
    message.add_attachment(mail("Forwarded: bring tea."))
    path = tmp_path / "a.eml"
    path.write_bytes(bytes(message))
    found = load(path)
    assert places(found) == ["message", "attachment hours.csv", "forwarded message Öffnungszeiten, message"]
    assert found[0].page_content.split("\n") == [
        "From: Ann <ann@example.org>",
        "To: ben@example.org",
        "Subject: Öffnungszeiten",
        "",
        "The museum opens at ten.",
        "",
        "Attachment: hours.csv",
        "Attachment: virus.exe (Files of type .exe are not read. Save it as PDF, or as text.)",
        "Forwarded message: Öffnungszeiten",
    ]
    assert found[1].page_content.endswith("| Monday | closed |")
    assert "bring tea" in found[2].page_content
    assert found[0].metadata["title"] == "Öffnungszeiten"
    assert found[0].metadata["notice"].startswith("1 of 3 files in it is not read, or not whole.")


MAILING = """\
From: =?iso-8859-1?Q?J=FCrgen?= <j@example.org>
Subject: =?iso-8859-1?Q?Rechnung_f=FCr_?= =?iso-8859-1?Q?M=E4rz?=
MIME-Version: 1.0
Content-Type: multipart/mixed; boundary="A"

--A
Content-Type: multipart/related; boundary="B"

--B
Content-Type: multipart/alternative; boundary="C"

--C
Content-Type: text/plain; charset="iso-8859-1"
Content-Transfer-Encoding: quoted-printable

Die Rechnung f=FCr M=E4rz ist eine lange Zeile, die umbrochen =
wurde.
--C
Content-Type: text/html; charset="iso-8859-1"

<p>The same in HTML.</p>
--C
Content-Type: text/calendar

BEGIN:VCALENDAR
--C--
--B
Content-Type: image/png; name="logo.png"
Content-ID: <logo>

x
--B
Content-Type: application/json
Content-Disposition: inline; filename="bill"

{"sum": 7}
--B--
--A
Content-Type: text/plain; name="note.txt"
Content-Disposition: inline; filename="note.txt"

A note that is shown in the message.
--A
Content-Type: text/plain

To leave this list, write to its keeper.
--A
Content-Type: application/pgp-signature; name="signature.asc"

x
--A
Content-Type: message/rfc822

From: k@example.org
Subject: Old
Content-Type: multipart/mixed; boundary=D

--D
Content-Type: text/plain

Where is it?
--D
Content-Type: text/csv
Content-Disposition: attachment; filename*=utf-8''st%C3%BCck.csv

Teil,Zahl
Schraube,3
--D--
--A--
"""


def test_an_e_mail_as_mailers_nest_it(tmp_path: Path) -> None:
    path = tmp_path / "a.eml"
    path.write_text(MAILING)
    found = load(path)
    assert places(found) == [
        "message",
        "attachment bill.json",
        "attachment note.txt",
        "forwarded message Old, message",
        "forwarded message Old, attachment stück.csv",
    ]
    assert found[0].metadata["notice"] == ""
    assert found[0].page_content.split("\n\n") == [
        "From: Jürgen <j@example.org>\nSubject: Rechnung für März",
        "Die Rechnung für März ist eine lange Zeile, die umbrochen wurde.",
        "To leave this list, write to its keeper.",
        "Attachment: bill.json\nAttachment: note.txt\nForwarded message: Old",
    ]
    assert [page.page_content.split("\n")[-1] for page in found[1:]] == [
        "sum: 7",
        "A note that is shown in the message.",
        "Attachment: stück.csv",
        "| Schraube | 3 |",
    ]


def test_an_e_mail_that_is_laid_out_with_tables(tmp_path: Path) -> None:
    message = EmailMessage()
    message["Subject"] = "Offer"
    inner = "<table><tr><td>Tea</td><td>2</td></tr><tr><td>Cake</td><td>4</td></tr></table>"
    message.set_content(
        f"<table><tr><td><p>Dear Ben,</p></td></tr><tr><td>{inner}</td></tr></table>", subtype="html"
    )
    path = tmp_path / "a.eml"
    path.write_bytes(bytes(message))
    assert text_of(path) == "Subject: Offer\n\nDear Ben,\n\n| Tea | 2 |\n| --- | --- |\n| Cake | 4 |"


def test_an_archive(tmp_path: Path) -> None:
    book = epub(tmp_path / "b.epub", "The Lamp", one="<p>Lit.</p>", two="<p>Out.</p>").read_bytes()
    members: dict[str, str | bytes] = {
        "notes/today.md": "# Today\n\nIt rains.",
        "__MACOSX/notes/today.md": "no",
        "lamp.epub": book,
        "empty.txt": "",
        "more.zip": packed({"a.txt": "deep"}),
    }
    found = load(package(tmp_path / "a.zip", members))
    assert places(found) == [
        "contents",
        "notes/today.md",
        "lamp.epub, chapter 1",
        "lamp.epub, chapter 2",
        "more.zip, contents",
        "more.zip, a.txt",
    ]
    assert found[1].page_content == "# Today\n\nIt rains."
    lines = found[0].page_content.split("\n")
    assert [line.partition(" (")[0] for line in lines] == [
        "This archive holds:",
        "- notes/today.md",
        "- lamp.epub",
        "- empty.txt",
        "- more.zip",
    ]
    assert "0 bytes" in lines[-2]
    assert found[-1].page_content == "deep"
