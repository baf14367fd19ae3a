"""Render the media of an item for annotators: exact FLAC sound and a small MP4 viewing copy."""

import tempfile
from fractions import Fraction
from pathlib import Path
from typing import Any

from curate.errors import InvalidRow
from curate.media.container.decode import Samples, Span, cut_audio
from curate.media.container.encode import encode_flac, encode_steady
from curate.media.container.ffmpeg import audio_segment, open_input, run_ffmpeg
from curate.media.container.open import AUDIO_RATE_HZ, open_media
from curate.media.container.steady import steady_pictures
from curate.media.container.video import first_geometry

MAX_HEIGHT_PX = 480
MAX_RATE_HZ = Fraction(30)
QUIET_DBFS = -34.0
LISTENING_DBFS = -23.0
MAX_GAIN_DB = 30.0
_UNEVEN_SHARE = 0.01


def render_audio(samples: Samples, span: Span) -> bytes:
    """Return the exact samples of a span as a FLAC file, 16 kHz mono."""
    return encode_flac(cut_audio(samples, span))


def render_video(path: Path, span: Span, samples: Samples | None = None) -> bytes:
    """Return an H.264/AAC MP4 of a span: upright, at most 480 px high and 30 frames per second, faststart.

    Its sound is that of ``samples`` (the 16 kHz sound of the file) in the span, amplified to about -23 dBFS if it is
    very quiet; the file itself is unchanged. Equal input gives equal bytes. Raises ``InvalidRow`` if the span cannot be
    cut and ``MissingDependency`` without ffmpeg.
    """
    import ffmpeg

    size, rate = _size_and_rate(path)
    with tempfile.TemporaryDirectory(prefix="curate-") as folder:
        pictures, sound, target = (Path(folder) / name for name in ("pictures.mp4", "sound.wav", "copy.mp4"))
        pictures.write_bytes(encode_steady(steady_pictures(path, span, rate=rate, size=size), rate))
        streams = [open_input(pictures)["v:0"]]
        if samples is not None:
            spoken = cut_audio(samples, span)
            (amplify_quiet(spoken) or _segment(spoken)).export(str(sound), format="wav").close()
            streams.append(open_input(sound)["a:0"])
        graph = ffmpeg.output(
            *streams,
            f"file:{target}",
            format="mp4",
            vcodec="copy",
            acodec="aac",
            audio_bitrate="96k",
            movflags="+faststart",
            map_metadata=-1,
            map_chapters=-1,
            fflags="+bitexact",
            **{"flags:a": "+bitexact"},
        )
        run_ffmpeg(graph, subject=f"{path.name} at {span.start_s:.2f}-{span.end_s:.2f} s")
        return target.read_bytes()


def _size_and_rate(path: Path) -> tuple[tuple[int, int], Fraction]:
    """Return the even size and the frame rate of the copies of a video; an uneven rate becomes the highest."""
    with open_media(path) as media:
        geometry = None if media.video is None else first_geometry(media)
        if geometry is None or media.video is None:
            raise InvalidRow(f"{path.name} has no picture that can be decoded", reason="truncated")
        guessed, average = media.video.guessed_rate, media.video.average_rate
    is_even = guessed and average and abs(guessed / average - 1) < _UNEVEN_SHARE
    height = max(2, min(MAX_HEIGHT_PX, geometry.height) // 2 * 2)
    width = max(2, round(geometry.width * height / geometry.height / 2) * 2)
    return (width, height), min(MAX_RATE_HZ, Fraction(guessed)) if is_even else MAX_RATE_HZ


def amplify_quiet(samples: Samples) -> Any:
    """Return quiet sound amplified to about -23 dBFS, as a pydub segment; None if it is loud enough or silent."""
    sound = _segment(samples)
    if not sound.max or sound.dBFS > QUIET_DBFS:
        return None
    gain_db = min(LISTENING_DBFS - sound.dBFS, -1.0 - sound.max_dBFS, MAX_GAIN_DB)
    return sound.apply_gain(gain_db) if gain_db > 0 else None


def _segment(samples: Samples) -> Any:
    return audio_segment()(samples.tobytes(), sample_width=2, frame_rate=AUDIO_RATE_HZ, channels=1)
