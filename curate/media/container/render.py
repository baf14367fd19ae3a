"""Render the media of an item for annotators: exact FLAC sound, and an MP4 viewing copy."""

import tempfile
from fractions import Fraction
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from curate.errors import InvalidRow
from curate.media.container.decode import Samples, Span, cut_audio
from curate.media.container.encode import encode_flac, encode_steady
from curate.media.container.ffmpeg import audio_segment, open_input, run_ffmpeg
from curate.media.container.open import AUDIO_RATE_HZ, open_media
from curate.media.container.remux import can_copy_pictures, copy_pictures
from curate.media.container.steady import steady_pictures
from curate.media.container.video import first_geometry

MAX_HEIGHT_PX = 480
MAX_RATE_HZ = Fraction(30)
QUIET_DBFS = -34.0
LISTENING_DBFS = -23.0
MAX_GAIN_DB = 30.0
_DEFAULT_RATE_HZ = Fraction(25)
_UNEVEN_SHARE = Fraction(3, 100)


class ViewingFormat(NamedTuple):
    """The size and frame rate of all viewing copies of a file; ``keeps_pictures`` if they need no encoding."""

    width_px: int
    height_px: int
    frame_rate_hz: Fraction
    keeps_pictures: bool


def viewing_format(path: Path) -> ViewingFormat:
    """Return the format of the viewing copies of a video: upright, square pixels, at most 30 frames per second.

    Raises ``InvalidRow`` if no picture can be decoded.
    """
    with open_media(path) as media:
        geometry = first_geometry(media)
        if geometry is None or media.video is None:
            raise InvalidRow(f"{path.name} has no picture that can be decoded", reason="truncated")
        rate = Fraction(media.video.guessed_rate or media.video.average_rate or _DEFAULT_RATE_HZ)
        is_uneven = abs(rate / (media.video.average_rate or rate) - 1) > _UNEVEN_SHARE
        # At the highest rate, each picture of an uneven film comes within 17 ms of its time.
        rate = MAX_RATE_HZ if is_uneven else min(rate, MAX_RATE_HZ)
        if can_copy_pictures(media, geometry, max_rate_hz=MAX_RATE_HZ):
            return ViewingFormat(geometry.width, geometry.height, rate, keeps_pictures=True)
    height = max(2, min(MAX_HEIGHT_PX, geometry.height // 2 * 2))
    width = max(2, round(geometry.width * height / geometry.height / 2) * 2)
    return ViewingFormat(width, height, rate, keeps_pictures=False)


def render_audio(samples: Samples, span: Span) -> bytes:
    """Return the exact samples of a span as a FLAC file, 16 kHz mono."""
    return encode_flac(cut_audio(samples, span))


def render_video(path: Path, span: Span, sound: Samples | None = None) -> bytes:
    """Return an H.264/AAC MP4 of a span in the file's ``viewing_format``, with ``sound`` (16 kHz) as its sound.

    The pictures are those of the file where browsers can play them; otherwise they are encoded. Very quiet sound is
    amplified to about -23 dBFS. Equal input gives equal bytes. Raises ``InvalidRow`` if the span cannot be cut and
    ``MissingDependency`` if ffmpeg is needed and missing.
    """
    shape = viewing_format(path)
    audible = None if sound is None else amplify_quiet(sound)
    copied = copy_pictures(path, span, audible, rate_hz=shape.frame_rate_hz) if shape.keeps_pictures else None
    return copied or _transcode(path, span, audible, shape)


def _transcode(path: Path, span: Span, sound: Samples | None, shape: ViewingFormat) -> bytes:
    import ffmpeg

    size, rate = (shape.width_px, shape.height_px), shape.frame_rate_hz
    with tempfile.TemporaryDirectory(prefix="curate-") as folder:
        pictures, audio, target = (Path(folder) / name for name in ("pictures.mp4", "sound.wav", "copy.mp4"))
        pictures.write_bytes(encode_steady(steady_pictures(path, span, rate=rate, size=size), rate))
        streams = [open_input(pictures)["v:0"]]
        if sound is not None:
            _segment(sound).export(str(audio), format="wav").close()
            streams.append(open_input(audio)["a:0"])
        graph = ffmpeg.output(
            *streams,
            f"file:{target}",
            format="mp4",
            vcodec="copy",
            acodec="aac",
            audio_bitrate="64k",
            movflags="+faststart",
            map_metadata=-1,
            map_chapters=-1,
            fflags="+bitexact",
            **{"flags:a": "+bitexact"},
        )
        run_ffmpeg(graph, subject=f"{path.name} at {span.start_s:.2f}-{span.end_s:.2f} s")
        return target.read_bytes()


def amplify_quiet(samples: Samples) -> Samples:
    """Return quiet sound amplified to about -23 dBFS; sound that is loud enough or silent is returned as it is."""
    sound = _segment(samples)
    if not sound.max or sound.dBFS > QUIET_DBFS:
        return samples
    gain_db = min(LISTENING_DBFS - sound.dBFS, -1.0 - sound.max_dBFS, MAX_GAIN_DB)
    return np.frombuffer(sound.apply_gain(gain_db).raw_data, np.int16) if gain_db > 0 else samples


def _segment(samples: Samples) -> Any:
    return audio_segment()(samples.tobytes(), sample_width=2, frame_rate=AUDIO_RATE_HZ, channels=1)
