"""Find and run ffmpeg: the program of the machine, or else the one in the wheel of imageio-ffmpeg."""

import functools
import shutil
import subprocess
import warnings
from pathlib import Path
from typing import Any

from curate.errors import InvalidRow, MissingDependency
from curate.media.container.open import FORMATS

MAX_SECONDS = 600.0


@functools.cache
def find_ffmpeg() -> str:
    """Return the path of an ffmpeg program; raises ``MissingDependency`` if there is none."""
    if path := shutil.which("ffmpeg"):
        return path
    try:
        import imageio_ffmpeg

        return str(imageio_ffmpeg.get_ffmpeg_exe())
    except (ImportError, RuntimeError) as error:
        raise MissingDependency(
            "no ffmpeg program was found", hint="install ffmpeg, or: pip install --force-reinstall imageio-ffmpeg"
        ) from error


def open_input(path: Path, **options: Any) -> Any:
    """Return a media file as an ffmpeg-python input that cannot refer to other files or addresses."""
    import ffmpeg

    return ffmpeg.input(f"file:{path.resolve()}", protocol_whitelist="file", format_whitelist=FORMATS, **options)


def run_ffmpeg(output: Any, *, subject: str) -> None:
    """Run an ffmpeg-python graph; raises ``InvalidRow`` if ffmpeg fails or takes longer than ``MAX_SECONDS``."""
    command = output.global_args("-nostdin", "-hide_banner", "-loglevel", "error", "-y").compile(cmd=find_ffmpeg())
    try:
        result = subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, timeout=MAX_SECONDS, check=False
        )
    except subprocess.TimeoutExpired as error:
        raise InvalidRow(f"ffmpeg took longer than {MAX_SECONDS:.0f} s for {subject}", reason="unreadable") from error
    except OSError as error:
        raise MissingDependency(f"{find_ffmpeg()} cannot be run: {error.strerror}") from error
    if result.returncode:
        last_line = result.stderr.decode("utf-8", "replace").strip().splitlines()[-1:]
        raise InvalidRow(f"ffmpeg cannot cut {subject}: {''.join(last_line)[:300]}", reason="unreadable")


@functools.cache
def audio_segment() -> Any:
    """Return the ``AudioSegment`` of pydub, configured with our ffmpeg (its import warns if none is on the PATH)."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from pydub import AudioSegment
    AudioSegment.converter = find_ffmpeg()
    return AudioSegment
