"""Why a file cannot be read, for people: what is wrong, and what to do. The codes are `Unreadable`'s."""

from __future__ import annotations

_TESSERACT = (
    "install Tesseract (Debian and Ubuntu: apt install tesseract-ocr; macOS: brew install tesseract; "
    "Windows: the installer from github.com/UB-Mannheim/tesseract) and bring the index up to date"
)
_REASONS = {
    "unknown": "Files of type {detail} are not read. Save it as PDF, or as text.",
    "encrypted": "The PDF is encrypted with a password. Save a copy without the password and add that.",
    "encrypted_file": "The file is encrypted. Save a copy without a password and add that.",
    "broken": "The PDF is broken: its structure cannot be read. Open it in a viewer and save it again.",
    "broken_file": "The file is broken: it cannot be read. Open it in its program and save it again.",
    "broken_image": "This is no image that can be read, or it is broken. Save it again as PNG or JPEG.",
    "broken_xml": "The file is broken: what is in it is no XML. Open it in its program and save it again.",
    "damaged_package": "The file is damaged, or no {kind} file. Open it in its program and save it again.",
    "not_pdf": "This is no PDF: it begins like {detail}. Rename it, or download it again.",
    "not_mail": "This is no e-mail: it has no sender, date or subject. Export it again as .eml.",
    "not_text": (
        "The file is not text: it looks like a {detail}. Give it the right suffix, or save it as text."
    ),
    "white_space": "The file has no text, only white space. Check that the right file was saved.",
    "no_pages": "The PDF has no pages. Export it again.",
    "no_html": "The file holds no HTML. Save the page again, or rename the file if it is of another type.",
    "too_long": "The document has more than 20 million characters. Split it into parts.",
    "too_many_pages": "The PDF has {detail} pages, and at most 20,000 are read. Split it into parts.",
    "too_many_scans": (
        "More than {detail} of its pages are images. Split it into parts, or run OCR on it first, for "
        "example with ocrmypdf."
    ),
    "too_large_image": "The image has more than {detail} million pixels. Save a smaller copy.",
    "too_many_cells": "The sheet {detail} reaches over more than 20 million cells. Delete the empty ones.",
    "too_many_members": "The archive holds more than {detail} files. Split it, or add the folder itself.",
    "too_deep": "The file is nested too deeply to be read. Save its parts as files of their own.",
    "zip_bomb": "The file unpacks to far more than it should. If you trust it, unpack it and add its parts.",
    "nothing_inside": "Nothing in the archive can be read ({detail}). Unpack it, and add what is of use.",
    "nested": "It lies in too many archives and e-mails within each other. Save it as a file of its own.",
    "too_much_inside": "Too much was unpacked before it. Split the archive, or add the folder itself.",
    "empty": "The file is empty (0 bytes). Check that it was saved or copied completely.",
    "timeout": "The document took too long to read. Split it, or save it again with another program.",
    "crashed": "The document made its reader crash. Open it in its program and print it to a new PDF.",
    "killed": (
        "The process that read it was ended from outside several times, as a system does that is short of "
        "memory. Close other programs, and bring the index up to date."
    ),
    "memory": "The document needs too much memory. Split it, or save it again with another program.",
    "failed": "The document could not be read ({detail}). Save it again with another program.",
    "no_ocr": f"It has no text, only images or drawings (a scan?). To have them read, {_TESSERACT}.",
    "ocr_off": (
        "It has no text, only images or drawings (a scan?), and PARLEY_OCR is none. Set it to auto, and "
        "bring the index up to date."
    ),
    "no_ocr_language": (
        "It has no text, only images or drawings, and Tesseract lacks the language {detail}. Install it "
        "(Debian and Ubuntu: apt install tesseract-ocr-LANGUAGE), or set PARLEY_OCR to one that is there."
    ),
}
_NO_TEXT = {
    "images": "The PDF has only images, and OCR found no text in them. Check that it is the right file.",
    "picture": "OCR found no text in the image. Take the picture again, larger and sharper.",
    "unreadable": "The PDF's text has no readable characters, and OCR found none. Print it to a new PDF.",
    "annotations": "The PDF has only empty form fields, or annotations without text. Print it to a new PDF.",
    "drawings": "The PDF has only drawings, and OCR found no text in them. Check that it is the right file.",
    "broken": "The PDF's pages are broken, none can be read. Open it in a viewer and save it again.",
    "blank": "The document is blank: it has no text at all. Check that the right file was saved.",
}
# Of a document of which the rest was read.
_PARTLY = {
    "no_ocr": f"To have them read, {_TESSERACT}.",
    "ocr_off": "PARLEY_OCR is none: set it to auto, and bring the index up to date.",
    "no_ocr_language": (
        "Tesseract lacks the language {detail}: install it (Debian and Ubuntu: apt install "
        "tesseract-ocr-LANGUAGE), or set PARLEY_OCR to one that is there."
    ),
    "too_many_scans": (
        "At most {detail} are: split it into parts, or run OCR on it first, for example with ocrmypdf."
    ),
}
# The reason may be gone at another try: a busy machine, a program that was installed meanwhile.
PASSING = frozenset({"timeout", "crashed", "killed", "no_ocr", "ocr_off", "no_ocr_language"})


def reason(code: str, detail: str = "", suffix: str = "") -> str:
    """One sentence on what is wrong, one on what to do."""
    if code == "no_text":
        return _NO_TEXT[detail]
    return _REASONS[code].format(detail=detail[:300], kind=suffix)


def remedy(code: str, detail: str = "") -> str:
    """What to do where scans among other pages are not read."""
    return _PARTLY[code].format(detail=detail[:300])


def partly(count: int, total: int, code: str, detail: str = "") -> str:
    """What to say of a document of whose pages so many have no text and were not recognised."""
    are = "is a picture without text and was" if count == 1 else "are pictures without text and were"
    return f"{count:,} of {total:,} pages {are} not read. {remedy(code, detail)}"
