"""Decoded frames as 8-bit luma with chroma at half size, so that a part can be converted without the whole."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from curate.media.shots import THUMBNAIL_SIZE

Plane = NDArray[np.uint8]
_MIN_REDUCTION = 2
"""How often a pixel of a reduced picture is averaged from others, across and down, where the original has as many."""


class Region(NamedTuple):
    """A rectangle of a picture in whole pixels; it may extend beyond the border."""

    x0: int
    y0: int
    x1: int
    y1: int


class Colour(NamedTuple):
    """What (y, u, v) mean: the ITU-R standard, and whether they use all of 0-255."""

    standard: Literal["bt601", "bt709", "bt2020"]
    is_full_range: bool


@dataclass(frozen=True)
class Planes:
    """An upright picture: ``y`` (rows, columns), ``u`` and ``v`` half that, all uint8.

    Coordinates count in square pixels of the picture as displayed. Its ``size`` (width, height) differs from that of
    ``y`` where the stored pixels are not square.
    """

    y: Plane
    u: Plane
    v: Plane
    colour: Colour
    size: tuple[int, int] | None = None

    @property
    def width(self) -> int:
        return int(self.y.shape[1]) if self.size is None else self.size[0]

    @property
    def height(self) -> int:
        return int(self.y.shape[0]) if self.size is None else self.size[1]

    @property
    def density(self) -> tuple[float, float]:
        """Stored pixels for each displayed one, across and down."""
        return self.y.shape[1] / self.width, self.y.shape[0] / self.height

    def thumbnail(self) -> Plane:
        """Return the luma at 64x36, from a regular subset of the pixels."""
        return self._thumbnail

    @cached_property
    def _thumbnail(self) -> Plane:
        step = max(1, min(self.y.shape[0] // (4 * THUMBNAIL_SIZE[1]), self.y.shape[1] // (4 * THUMBNAIL_SIZE[0])))
        return np.asarray(image_of(self.y[::step, ::step]).resize(THUMBNAIL_SIZE, Image.Resampling.BOX))

    def rgb(self, width: int, height: int, region: Region | None = None) -> Plane:
        """Return the picture, or a region of it with the border repeated, as (height, width, 3) RGB of that size."""
        if region is not None and self.size is not None:
            across, down = self.density
            region = Region(*(round(side * density) for side, density in zip(region, (across, down) * 2, strict=True)))
        channels = [
            _resize(_part(plane, region, factor, (width, height)), width, height)
            for plane, factor in ((self.y, 1), (self.u, 2), (self.v, 2))
        ]
        return np.asarray(Image.merge("RGB", channels).convert("RGB", yuv_to_rgb(self.colour)))

    def resize(self, width: int, height: int) -> "Planes":
        """Return the picture at another even size."""
        half = (width // 2, height // 2)
        y, u, v = _resize(self.y, width, height), _resize(self.u, *half), _resize(self.v, *half)
        return Planes(np.asarray(y), np.asarray(u), np.asarray(v), self.colour)

    def to_yuv420p(self) -> Plane:
        """Return the planes one below the other, (3 height / 2, width), for an encoder; sides must be even."""
        chroma = [plane.reshape(-1, self.width) for plane in (self.u, self.v)]
        return np.concatenate([self.y, *chroma])

    def warp_square(self, inverse: NDArray[np.float64], size_px: int) -> "Planes":
        """Return a square of ``size_px`` (even); ``inverse`` (2, 3) maps its pixels to those of the picture."""
        inverse = self._stored(inverse)
        half = inverse * np.array([1.0, 1.0, 0.5])
        y = warp(self.y, inverse, size_px)
        return Planes(y, warp(self.u, half, size_px // 2), warp(self.v, half, size_px // 2), self.colour)

    def warp_luma(self, inverse: NDArray[np.float64], size_px: int) -> Plane:
        """Return the luma of ``warp_square``."""
        return warp(self.y, self._stored(inverse), size_px)

    def _stored(self, inverse: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return a map to the pixels of the picture as one to its stored pixels."""
        return inverse if self.size is None else inverse * np.array(self.density)[:, None]


def image_of(plane: Plane) -> Image.Image:
    """Return the plane for Pillow, which is ten times as fast with contiguous memory."""
    return Image.fromarray(np.ascontiguousarray(plane))


def warp(picture: Plane, inverse: NDArray[np.float64], size_px: int) -> Plane:
    """Return a square of a picture (height, width) or (height, width, 3), the border repeated beyond it.

    ``inverse`` (2, 3) maps the pixels of the square to those of the picture.
    """
    reach = 4 * max(picture.shape[:2])
    square = np.array([[0, 0, 1], [size_px, 0, 1], [0, size_px, 1], [size_px, size_px, 1]])
    corners = np.clip(square @ inverse.T, -reach, reach)
    start, end = np.floor(corners.min(axis=0)).astype(int) - 2, np.ceil(corners.max(axis=0)).astype(int) + 2
    region = image_of(_cut(picture, Region(start[0], start[1], end[0], end[1])))
    # Shrinking by more than two without averaging first would alias.
    factor = max(1, int(np.sqrt(abs(np.linalg.det(inverse[:, :2])))))
    if factor > 1:
        region = region.reduce(factor)
    coefficients = (inverse - np.array([[0, 0, start[0]], [0, 0, start[1]]])) / factor
    affine = tuple(coefficients.reshape(-1))
    return np.asarray(region.transform((size_px, size_px), Image.Transform.AFFINE, affine, Image.Resampling.BILINEAR))


_RED_AND_BLUE = {"bt601": (0.299, 0.114), "bt709": (0.2126, 0.0722), "bt2020": (0.2627, 0.0593)}


@lru_cache
def yuv_to_rgb(colour: Colour) -> tuple[float, ...]:
    """Return the 3x4 map from 8-bit (y, u, v) to (r, g, b), 12 numbers row by row."""
    red, blue = _RED_AND_BLUE[colour.standard]
    green = 1 - red - blue
    luma, chroma = (1.0, 1.0) if colour.is_full_range else (255 / 219, 255 / 224)
    black = 0.0 if colour.is_full_range else 16.0
    rows = [
        (luma, 0.0, chroma * 2 * (1 - red)),
        (luma, -chroma * 2 * (1 - blue) * blue / green, -chroma * 2 * (1 - red) * red / green),
        (luma, chroma * 2 * (1 - blue), 0.0),
    ]
    return tuple(number for y, u, v in rows for number in (y, u, v, -y * black - 128 * (u + v)))


class DecodedFrame(NamedTuple):
    """One decoded frame, converted on demand."""

    time_s: float
    number: int
    """Index among all frames decoded in this pass"""
    to_rgb: Callable[[], Plane]
    """Upright (height, width, 3)"""
    to_planes: Callable[[], Planes]
    part: int = 0
    """Which of the files that were joined it is from"""


def _part(plane: Plane, region: Region | None, factor: int, size: tuple[int, int]) -> Plane:
    """Return a region of a plane, or a regular subset of its pixels, at least twice as many a side as ``size``."""
    x0, y0, x1, y1 = (0, 0, *plane.shape[::-1]) if region is None else (side // factor for side in region)
    ratio = min((x1 - x0) // size[0], (y1 - y0) // size[1]) // _MIN_REDUCTION
    return _cut(plane, Region(x0, y0, x1, y1), 1 << max(0, ratio.bit_length() - 1))


def _cut(picture: Plane, region: Region, step: int = 1) -> Plane:
    """Return the middle pixel of each ``step`` x ``step`` pixels of a region, the border repeated beyond it."""
    height, width = picture.shape[:2]
    x0, y0 = region.x0 + step // 2, region.y0 + step // 2
    if 0 <= x0 < region.x1 <= width and 0 <= y0 < region.y1 <= height:
        return picture[y0 : region.y1 : step, x0 : region.x1 : step]
    rows = np.clip(np.arange(y0, max(region.y1, y0 + 1), step), 0, height - 1)
    columns = np.clip(np.arange(x0, max(region.x1, x0 + 1), step), 0, width - 1)
    first, end = columns[0], columns[-1] + 1
    part = picture[rows, first:end]
    return part if end - first == len(columns) else part.take(columns - first, axis=1)


def _resize(plane: Plane, width: int, height: int) -> Image.Image:
    image = image_of(plane)
    if image.size == (width, height):
        return image
    return image.resize((width, height), Image.Resampling.BILINEAR, reducing_gap=1.0)
