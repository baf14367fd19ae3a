"""Read still pictures as upright RGB arrays, and encode JPEG."""

import struct
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageCms, ImageOps

from curate.errors import InvalidRow
from curate.media.container.open import check_reachable, too_large

FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "TIFF", "GIF", "AVIF", "JPEG2000", "PPM")
_REFUSED = ("PSD", "ICO", "ICNS", "DDS", "SGI", "QOI", "FITS", "EPS", "PCX", "XPM", "SUN")
"""Formats of pictures that Pillow knows by their first bytes, but which are not for photographs."""
_HEIF_BRANDS = frozenset({b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1", b"avif", b"avis"})
MAX_PIXELS = 100_000_000
# Larger pictures are refused with a sentence of ours instead of warnings.
Image.MAX_IMAGE_PIXELS = None
_BROKEN = (
    OSError,
    SyntaxError,
    ValueError,
    EOFError,
    IndexError,
    TypeError,
    struct.error,
    ImageCms.PyCMSError,
    Image.DecompressionBombError,
)
_BITS, _WHITE_IS_ZERO = 258, (262, 0)
"""Tags of TIFF"""


class Picture(NamedTuple):
    """An upright picture, (height, width, 3) uint8, and what of its file was left out, or None."""

    rgb: NDArray[np.uint8]
    notice: str | None


def is_picture(path: Path) -> bool:
    """Return whether the file starts like a still picture, whatever its name.

    Raises ``InvalidRow`` for pictures in formats that are not supported (``not_media``).
    """
    try:
        with _opened(path, FORMATS):
            return True
    except _BROKEN as error:
        check_reachable(path, error)
    refused = None
    with path.open("rb") as file:
        head = file.read(12)
    if head[4:8] == b"ftyp" and head[8:] in _HEIF_BRANDS:
        refused = "HEIF"
    else:
        try:
            with _opened(path, _REFUSED) as image:
                refused = image.format
        except _BROKEN:
            return False
    message = f"{path.name} is a picture in the format {refused}, which is not supported: convert it to PNG or JPEG"
    raise InvalidRow(message, reason="not_media")


def load_rgb(path: Path) -> NDArray[np.uint8]:
    """Return the picture as upright (height, width, 3) uint8; errors as in ``load_picture``."""
    return load_picture(path).rgb


def load_picture(path: Path) -> Picture:
    """Return the picture as a viewer shows it: upright, in sRGB, on white where it is transparent.

    Of an animation or several pages, the first picture is returned. Raises ``InvalidRow``: ``truncated`` if it is
    broken, ``unreadable`` if it is too large or its colours have no defined meaning.
    """
    try:
        with _opened(path, FORMATS) as image:
            if image.width * image.height > MAX_PIXELS:
                raise too_large(path.name, image.width, image.height, MAX_PIXELS)
            count = 1 if image.format == "MPO" else int(getattr(image, "n_frames", 1))
            notice = f"{path.name} holds {count} pictures: only the first is used" if count > 1 else None
            profile = image.info.get("icc_profile")
            flat = _flatten(_to_8_bits(image, path.name))
            return Picture(np.asarray(_to_srgb(ImageOps.exif_transpose(flat), profile, path.name)), notice)
    except _BROKEN as error:
        check_reachable(path, error)
        raise InvalidRow(f"{path.name} is a broken picture: {error}", reason="truncated") from error


@contextmanager
def _opened(path: Path, formats: tuple[str, ...]) -> Iterator[Any]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with Image.open(path, formats=formats) as image:
            yield image


def _to_8_bits(image: Any, name: str) -> Any:
    """Return a picture of 8 bits a channel; raises ``InvalidRow`` if it has a scale of unknown ends."""
    is_deep = image.mode.startswith("I;16") or (image.mode == "I" and image.format in ("PNG", "PPM"))
    if not is_deep:
        if image.mode in ("I", "F"):
            kind = "whole numbers of 32 bits" if image.mode == "I" else "floating-point numbers"
            message = f"the pixels of {name} are {kind}, for which white is not defined: convert it to 8 or 16 bits"
            raise InvalidRow(message, reason="unreadable")
        return image
    tags = getattr(image, "tag_v2", {})
    bits = int(np.max(tags.get(_BITS, 16)))
    scale = np.clip(np.arange(1 << 16) * (255 / ((1 << bits) - 1)), 0, 255).round().astype(np.uint8)
    if tags.get(_WHITE_IS_ZERO[0]) == _WHITE_IS_ZERO[1]:
        scale = 255 - scale
    exif = image.getexif()
    grey = Image.fromarray(scale[np.asarray(image).astype(np.uint16)])
    grey.getexif().update({0x0112: exif[0x0112]} if 0x0112 in exif else {})
    return grey


def _flatten(image: Any) -> Any:
    """Return a picture without transparency: on white, as on a page."""
    if image.mode in ("LA", "La", "PA", "RGBa", "RGBA") or "transparency" in image.info:
        layer = image.convert("RGBA")
        white = Image.new("RGBA", layer.size, "white")
        white.alpha_composite(layer)
        flat = white.convert("RGB")
        flat.getexif().update(image.getexif())
        return flat
    return image.convert("RGB") if image.mode in ("P", "1", "HSV", "YCbCr", "RGBX") else image


def _to_srgb(image: Any, profile: bytes | None, name: str) -> Any:
    """Return the picture in sRGB, from the colours of its profile if that is usable."""
    spaces = {"RGB": "RGB", "L": "GRAY", "CMYK": "CMYK", "LAB": "Lab"}
    source: Any = ImageCms.createProfile("LAB") if image.mode == "LAB" else None
    try:
        stored = ImageCms.ImageCmsProfile(BytesIO(profile)) if profile else None
        if stored is not None and stored.profile.xcolor_space.strip() == spaces.get(image.mode):
            source = stored
    except (OSError, ImageCms.PyCMSError):
        pass  # Viewers show pictures with a broken profile as if they had none.
    if source is None:
        if image.mode not in spaces:
            message = f"{name} has colours of type {image.mode}, which is not supported: convert it to RGB"
            raise InvalidRow(message, reason="unreadable")
        return image.convert("RGB")
    return ImageCms.profileToProfile(image, source, ImageCms.createProfile("sRGB"), outputMode="RGB")


def encode_jpeg(rgb: NDArray[np.uint8], *, quality: int = 92) -> bytes:
    """Return JPEG bytes; equal pixels give equal bytes."""
    sink = BytesIO()
    Image.fromarray(rgb).save(sink, "JPEG", quality=quality, subsampling=0)
    return sink.getvalue()


def resize(rgb: NDArray[np.uint8], width: int, height: int) -> NDArray[np.uint8]:
    """Return the picture at another size, antialiased when shrinking."""
    image = Image.fromarray(rgb)
    return np.asarray(image.resize((width, height), Image.Resampling.BILINEAR, reducing_gap=2.0))
