"""A picture of text (a photo, a screenshot, a scan of several pages): what OCR reads in it."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from functools import partial
from typing import Any

from rag.formats import ocr
from rag.formats.base import Options, Page, Parsed, Source, Unreadable, opened

_MOST_PIXELS = 100_000_000  # of one image
_FORMATS = ("PNG", "JPEG", "TIFF", "WEBP")


def read(source: Source, options: Options) -> Parsed:
    with opened_image(source) as image:
        return _recognised(image, options)


@contextlib.contextmanager
def opened_image(source: Source) -> Iterator[Any]:
    """The PIL image; what is none, or breaks while it is read, is `Unreadable`."""
    from PIL import Image, UnidentifiedImageError

    Image.MAX_IMAGE_PIXELS = None  # its own limit only warns at first; ours refuses
    try:
        with opened(source) as file, Image.open(file, formats=_FORMATS) as image:
            yield image
    except (UnidentifiedImageError, OSError, SyntaxError, ValueError):
        raise Unreadable("broken_image") from None


def _recognised(image: Any, options: Options) -> Parsed:
    recogniser = ocr.Recogniser(options)
    frames = getattr(image, "n_frames", 1) if image.format == "TIFF" else 1
    recogniser.check(frames)
    texts = [recogniser.text_of(partial(frame_of, image, number)) for number in range(frames)]
    if not any(texts):
        raise Unreadable("no_text", "picture")
    pages = [Page(text, place=f"page {n}" if frames > 1 else "") for n, text in enumerate(texts, 1)]
    return Parsed(pages, paged=frames > 1)


def frame_of(image: Any, number: int) -> Any:
    """One page, from 0, the right way up, grey, of a size at which letters can be read."""
    from PIL import Image, ImageOps

    if number:
        image.seek(number)
    width, height = image.size
    if width * height > _MOST_PIXELS:
        raise Unreadable("too_large_image", str(_MOST_PIXELS // 1_000_000))
    upright = ImageOps.exif_transpose(image)
    if upright.mode in ("RGBA", "LA", "PA", "P"):  # what is transparent is paper
        upright = Image.alpha_composite(Image.new("RGBA", upright.size, "white"), upright.convert("RGBA"))
    grey = upright.convert("L")
    grey.thumbnail((ocr.LONGEST, ocr.LONGEST))
    return grey
