"""Render the media of an item for annotators: exact FLAC sound and a small MP4 viewing copy."""

import tempfile
from pathlib import Path
from typing import Any

from curate.media.container.decode import Samples, Span, cut_audio
from curate.media.container.encode import encode_flac
from curate.media.container.ffmpeg import audio_segment, open_input, run_ffmpeg
from curate.media.container.open import AUDIO_RATE_HZ

MAX_HEIGHT_PX = 480
MAX_RATE_HZ = 30
QUIET_DBFS = -34.0
LISTENING_DBFS = -23.0
MAX_GAIN_DB = 30.0


def render_audio(samples: Samples, span: Span) -> bytes:
    """Return the exact samples of a span as a FLAC file, 16 kHz mono."""
    return encode_flac(cut_audio(samples, span))


def render_video(path: Path, span: Span, samples: Samples | None = None) -> bytes:
    """Return an H.264/AAC MP4 of a span: upright, at most 480 px high and 30 frames per second, faststart.

    If ``samples`` (the 16 kHz sound of the file) are very quiet in the span, the copy has them amplified to about
    -23 dBFS; the file itself is unchanged. Equal input gives equal bytes. Raises ``InvalidRow`` if the span cannot be
    cut and ``MissingDependency`` without ffmpeg.
    """
    with tempfile.TemporaryDirectory(prefix="curate-") as folder:
        target = Path(folder) / "copy.mp4"
        length_s = round(span.end_s - span.start_s, 3)
        source = open_input(path, ss=f"{span.start_s:.3f}", t=f"{length_s:.3f}")
        streams = [source["V:0"]]
        amplified = None if samples is None else amplify_quiet(cut_audio(samples, span))
        if amplified is not None:
            louder = Path(folder) / "louder.wav"
            amplified.export(str(louder), format="wav").close()
            streams.append(open_input(louder)["a:0"])
        elif samples is not None:
            streams.append(source["a:0"])
        import ffmpeg

        graph = ffmpeg.output(
            *streams,
            f"file:{target}",
            format="mp4",
            vf=f"fps='min({MAX_RATE_HZ},source_fps)',scale='trunc(iw*sar/2)*2':'trunc(ih/2)*2',"
            f"scale=-2:'min({MAX_HEIGHT_PX},ih)',setsar=1,format=yuv420p",
            vcodec="libx264",
            preset="veryfast",
            crf=26,
            acodec="aac",
            audio_bitrate="96k",
            ac=1,
            t=f"{length_s:.3f}",
            movflags="+faststart",
            map_metadata=-1,
            map_chapters=-1,
            fflags="+bitexact",
            threads=1,
            **{"flags:v": "+bitexact", "flags:a": "+bitexact"},
        )
        run_ffmpeg(graph, subject=f"{path.name} at {span.start_s:.2f}-{span.end_s:.2f} s")
        return target.read_bytes()


def amplify_quiet(samples: Samples) -> Any:
    """Return quiet sound amplified to about -23 dBFS, as a pydub segment; None if it is loud enough or silent."""
    sound = audio_segment()(samples.tobytes(), sample_width=2, frame_rate=AUDIO_RATE_HZ, channels=1)
    if not sound.max or sound.dBFS > QUIET_DBFS:
        return None
    gain_db = min(LISTENING_DBFS - sound.dBFS, -1.0 - sound.max_dBFS, MAX_GAIN_DB)
    return sound.apply_gain(gain_db) if gain_db > 0 else None
