"""What people filled into a PDF: its form fields, as lines "name: value", and what was typed onto a page.

PDFium's form module tells the values; it is given nothing that a document's JavaScript could run on.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

_MOST = 2_000  # annotations of a page
_OFF, _ON = frozenset({"", "off"}), frozenset({"yes", "on", "true", "1"})  # names that nobody sees
_PASSWORD = 1 << 13  # flag of a field that does not show what is in it


class Forms:
    """Of one document, while it is open; made by `forms_of`."""

    def __init__(self, handle: Any) -> None:
        self._handle = handle

    def lines(self, page: Any) -> list[str]:
        """What is filled in on a page, each field once, in the order in which the file has them."""
        import pypdfium2.raw as raw

        found = []
        for index in range(min(raw.FPDFPage_GetAnnotCount(page), _MOST)):
            annotation = raw.FPDFPage_GetAnnot(page, index)
            try:
                if not raw.FPDFAnnot_GetFlags(annotation) & (
                    raw.FPDF_ANNOT_FLAG_HIDDEN | raw.FPDF_ANNOT_FLAG_NOVIEW
                ):
                    found.append(self._line(annotation))
            finally:
                raw.FPDFPage_CloseAnnot(annotation)
        return list(dict.fromkeys(filter(None, found)))

    def _line(self, annotation: Any) -> str:
        import pypdfium2.raw as raw

        kind = raw.FPDFAnnot_GetSubtype(annotation)
        if kind == raw.FPDF_ANNOT_FREETEXT:
            return _said(raw.FPDFAnnot_GetStringValue, annotation, b"Contents")
        if kind != raw.FPDF_ANNOT_WIDGET:
            return ""
        value = self._value(annotation)
        name = _said(raw.FPDFAnnot_GetFormFieldAlternateName, self._handle, annotation) or _said(
            raw.FPDFAnnot_GetFormFieldName, self._handle, annotation
        )
        return f"{name}: {value}" if name and value else value

    def _value(self, annotation: Any) -> str:
        """ "" for what is empty, a button, or a password."""
        import pypdfium2.raw as raw

        kind = raw.FPDFAnnot_GetFormFieldType(self._handle, annotation)
        value = _said(raw.FPDFAnnot_GetFormFieldValue, self._handle, annotation)
        if kind == raw.FPDF_FORMFIELD_TEXTFIELD:
            hidden = raw.FPDFAnnot_GetFormFieldFlags(self._handle, annotation) & _PASSWORD
            return "" if hidden else value
        if kind in (raw.FPDF_FORMFIELD_COMBOBOX, raw.FPDF_FORMFIELD_LISTBOX):
            return value
        if kind in (raw.FPDF_FORMFIELD_CHECKBOX, raw.FPDF_FORMFIELD_RADIOBUTTON):
            looks = _said(raw.FPDFAnnot_GetStringValue, annotation, b"AS")
            return "" if looks.lower() in _OFF else "yes" if looks.lower() in _ON else looks
        return ""


@contextmanager
def forms_of(pdf: Any) -> Iterator[Forms]:
    """The forms of a `pypdfium2.PdfDocument`, to be used within the block."""
    import pypdfium2.raw as raw

    config = raw.FPDF_FORMFILLINFO(version=2)
    handle = raw.FPDFDOC_InitFormFillEnvironment(pdf, config)
    try:
        yield Forms(handle)
    finally:
        raw.FPDFDOC_ExitFormFillEnvironment(handle)


def _said(tell: Callable[..., int], *about: Any) -> str:
    """What one of PDFium's functions writes into a buffer, in UTF-16, on one line."""
    size = tell(*about, None, 0)
    if size <= 2:  # only the end of the text
        return ""
    buffer = ctypes.create_string_buffer(size)
    tell(*about, ctypes.cast(buffer, ctypes.POINTER(ctypes.c_ushort)), size)
    return " ".join(buffer.raw[: size - 2].decode("utf-16-le", "replace").replace("\0", " ").split())
