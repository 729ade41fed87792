"""A person's folder: a document of every usual kind, each with a fact that no other one has."""

from __future__ import annotations

from email.message import EmailMessage
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from speech.audio import wav_bytes
from tests.pdfs import draw_pdf, lines
from tests.rag.made import docx, epub, packed, paragraph, pptx, row, shape, slide, table, xlsx
from tests.speech.speaking import spoken

SAID = "The garden is open every day. The gate is closed at night. The museum is closed on Monday."
LEASE = [
    "Lease of the boat house",
    "",
    "The rent is 1,850 euros a month.",
    "Dogs are not allowed in the hall.",
]


def office(folder: Path) -> Path:
    """Fill the folder."""
    folder.mkdir()
    warranties(folder)
    scan(folder / "lease.pdf")
    presentation(folder / "kettle-launch.pptx")
    xlsx(
        folder / "budget.xlsx",
        {
            "Income": row(1, "Source", "Euros") + row(2, "Tickets", 48200),
            "Costs": row(1, "Item", "Euros") + row(2, "Roof repair", 23750) + row(3, "Insurance", 4120),
        },
    )
    docx(
        folder / "minutes.docx",
        paragraph("Minutes of the board", "berschrift1")
        + paragraph("Ingrid Halvorsen was elected treasurer of the society for three years.")
        + table(("Task", "Who"), ("Paint the fence", "Matteo Bianchi")),
    )
    epub(
        folder / "herbal.epub",
        "A small herbal",
        sage="<h1>Sage</h1><p>Sage is cut in June, before it flowers.</p>",
        rue="<h1>Rue</h1><p>Rue was strewn in court rooms against the fever of prisoners.</p>",
    )
    (folder / "delivery.eml").write_bytes(letter())
    (folder / "members.csv").write_text("Name,Joined,Instrument\nAda Krol,2019,viola\nJun Sato,2021,oboe\n")
    (folder / "parts.csv").write_text(PARTS)
    (folder / "kaffee.txt").write_text(GERMAN, encoding="utf-8")
    (folder / "archive.zip").write_bytes(
        packed({"notes/ferry.txt": "The ferry to Skerry island costs 7 crowns."})
    )
    quiet = np.zeros(5 * 16_000, np.float32)
    (folder / "meeting.wav").write_bytes(wav_bytes(np.concatenate([quiet, spoken(SAID)]), 16_000))
    (folder / "broken.pdf").write_bytes(b"%PDF-1.7\nnothing of a PDF follows")
    return folder


GERMAN = (
    "Die Kaffeemaschine im Pausenraum wird jeden Freitag entkalkt. "
    "Der Schlüssel zum Vorratsschrank hängt neben der Tür zur Werkstatt.\n"
)
PARTS = (
    "Number,Part,Price\n"
    "KX-4410-A,drain hose,11.20\n"
    "KX-4410-B,seal ring for the pump,3.95\n"
    "KX-4411-B,pump housing,48.00\n"
    "RT-0907,thermostat,17.50\n"
)


def warranties(folder: Path) -> None:
    filler = [
        f"Section {n}: keep the appliance dry and clean, and read all of this leaflet." for n in range(1, 18)
    ]
    draw_pdf(
        folder / "aurora-kettle.pdf",
        lines("Aurora kettle", *filler),
        lines(
            "Warranty of the Aurora kettle",
            "The warranty of the Aurora kettle lasts two years from the day of purchase.",
            "It does not cover limescale.",
        ),
    )
    draw_pdf(
        folder / "borealis-kettle.pdf",
        lines(
            "Warranty of the Borealis kettle",
            "The warranty of the Borealis kettle lasts five years and covers the heating element.",
        ),
    )


def scan(path: Path) -> None:
    """A PDF that is a picture only."""
    image = Image.new("L", (1200, 1600), 255)
    font = ImageFont.load_default(size=48)
    for number, line in enumerate(LEASE):
        ImageDraw.Draw(image).text((100, 140 + 90 * number), line, fill=0, font=font)
    image.save(path, resolution=144)


def presentation(path: Path) -> None:
    pptx(
        path,
        slide(shape("The Heron kettle", "title"), shape("A plan for the spring")),
        slide(shape("Colours", "title"), shape("Heron grey\nReed green")),
        slide(shape("Launch", "title"), shape("The Heron kettle is launched in Bergen on 14 May.")),
    )


def letter() -> bytes:
    message = EmailMessage()
    message["From"], message["To"], message["Subject"] = (
        "Oda Lund <oda@example.org>",
        "office@example.org",
        "Delivery",
    )
    message.set_content("The piano is delivered on Tuesday at 9:15 through the courtyard.\n")
    return bytes(message)
