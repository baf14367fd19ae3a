"""Read still pictures as upright RGB arrays, and encode JPEG."""

import struct
import warnings
from io import BytesIO
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from curate.errors import InvalidRow

FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "TIFF", "GIF")
_BROKEN = (
    OSError,
    SyntaxError,
    ValueError,
    EOFError,
    IndexError,
    TypeError,
    struct.error,
    Image.DecompressionBombError,
)


def is_picture(path: Path) -> bool:
    """Return whether the file starts like a still picture, whatever its name."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            Image.open(path, formats=FORMATS).close()
    except _BROKEN:
        return False
    return True


def load_rgb(path: Path) -> NDArray[np.uint8]:
    """Return the picture as upright (height, width, 3) uint8; raises ``InvalidRow`` if it is broken or too large."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(path, formats=FORMATS) as image:
                return np.asarray(ImageOps.exif_transpose(image).convert("RGB"))
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise InvalidRow(f"{path.name} is a picture of too many pixels", reason="unreadable") from error
    except _BROKEN as error:
        raise InvalidRow(f"{path.name} is a broken picture: {error}", reason="truncated") from error


def encode_jpeg(rgb: NDArray[np.uint8], *, quality: int = 92) -> bytes:
    """Return JPEG bytes; equal pixels give equal bytes."""
    sink = BytesIO()
    Image.fromarray(rgb).save(sink, "JPEG", quality=quality, subsampling=0)
    return sink.getvalue()


def resize(rgb: NDArray[np.uint8], width: int, height: int) -> NDArray[np.uint8]:
    """Return the picture at another size, antialiased when shrinking."""
    image = Image.fromarray(rgb)
    return np.asarray(image.resize((width, height), Image.Resampling.BILINEAR, reducing_gap=2.0))
