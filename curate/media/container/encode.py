"""Encode sound as FLAC or MP3, and square pictures as H.264; equal input gives equal bytes."""

from collections.abc import Iterable
from fractions import Fraction
from io import BytesIO

import numpy as np
from numpy.typing import NDArray

from curate.media.container.open import AUDIO_RATE_HZ, pyav
from curate.media.container.planes import Colour, Planes

_TICKS_PER_S = 90_000
_USUAL_RATE = Fraction(25)
_MATRICES = {"bt601": 6, "bt709": 1, "bt2020": 9}
"""Codes of ITU-T H.273"""


def encode_flac(samples: NDArray[np.int16]) -> bytes:
    """Return a FLAC file of exactly these 16 kHz mono samples."""
    return _encode(samples, "flac", codec="flac", sample_format="s16", frame_size=4096)


def encode_mp3(samples: NDArray[np.int16]) -> bytes:
    """Return an MP3 file of these 16 kHz mono samples, 40 kbit/s."""
    return _encode(samples, "mp3", codec="libmp3lame", sample_format="s16p", frame_size=576, bit_rate=40_000)


def _encode(
    samples: NDArray[np.int16], suffix: str, *, codec: str, sample_format: str, frame_size: int, bit_rate: int = 0
) -> bytes:
    sink = BytesIO()
    with pyav().open(sink, "w", format=suffix, options={"fflags": "+bitexact"}) as container:
        stream = container.add_stream(codec, rate=AUDIO_RATE_HZ)
        stream.codec_context.layout = "mono"
        stream.codec_context.format = sample_format
        if bit_rate:
            stream.codec_context.bit_rate = bit_rate
        for start in range(0, len(samples), frame_size):
            block = np.ascontiguousarray(samples[start : start + frame_size]).reshape(1, -1)
            frame = pyav().AudioFrame.from_ndarray(block, format=sample_format, layout="mono")
            frame.sample_rate, frame.pts = AUDIO_RATE_HZ, start
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return sink.getvalue()


class SquareVideoWriter:
    """Writes an H.264 MP4 of square pictures of one size, each at its own time."""

    def __init__(self, size_px: int) -> None:
        self._size_px, self._start_s = size_px, 0.0
        self._writer: _VideoWriter | None = None

    def add(self, time_s: float, square: Planes) -> None:
        """Add a picture; the first is shown at 0 s."""
        if self._writer is None:
            options = {"preset": "superfast", "crf": "21"}
            size = (self._size_px, self._size_px)
            self._writer = _VideoWriter(size, square.colour, Fraction(1, _TICKS_PER_S), _USUAL_RATE, options)
            self._start_s = time_s
        self._writer.add(round((time_s - self._start_s) * _TICKS_PER_S), square)

    def finish(self) -> bytes:
        """Return the whole file."""
        return self._writer.finish() if self._writer else b""


def encode_steady(pictures: Iterable[Planes], rate: Fraction) -> bytes:
    """Return an H.264 MP4 of pictures of one even size, at a constant rate; empty without any."""
    writer: _VideoWriter | None = None
    for number, picture in enumerate(pictures):
        if writer is None:
            options = {"preset": "veryfast", "crf": "26"}
            writer = _VideoWriter((picture.width, picture.height), picture.colour, 1 / rate, rate, options)
        writer.add(number, picture)
    return writer.finish() if writer else b""


class _VideoWriter:
    """An H.264 MP4 in memory, whose pictures all have the size and colours of the first."""

    def __init__(
        self, size: tuple[int, int], colour: Colour, time_base: Fraction, rate: Fraction, options: dict[str, str]
    ) -> None:
        self._sink, self._time_base = BytesIO(), time_base
        self._container = pyav().open(self._sink, "w", format="mp4", options={"fflags": "+bitexact"})
        options = {**options, "bf": "0", "threads": "1", "flags": "+bitexact"}
        self._stream = self._container.add_stream("libx264", rate=rate, options=options)
        self._stream.width, self._stream.height = size
        self._stream.pix_fmt = "yuv420p"
        context = self._stream.codec_context
        context.time_base = time_base
        # Players would guess from the size, which is not that of the source.
        context.colorspace, context.color_range = _MATRICES[colour.standard], 2 if colour.is_full_range else 1

    def add(self, stamp: int, picture: Planes) -> None:
        frame = pyav().VideoFrame.from_ndarray(picture.to_yuv420p(), format="yuv420p")
        frame.time_base, frame.pts = self._time_base, stamp
        self._container.mux(self._stream.encode(frame))

    def finish(self) -> bytes:
        self._container.mux(self._stream.encode(None))
        self._container.close()
        return self._sink.getvalue()
