"""Find and drive an ffmpeg program; the one that a dependency's wheel carries where the machine has none."""

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
    """The path of the system's ffmpeg, else imageio-ffmpeg's; raises ``MissingDependency`` where there is neither."""
    found = shutil.which("ffmpeg")
    if found:
        return found
    try:
        import imageio_ffmpeg

        return str(imageio_ffmpeg.get_ffmpeg_exe())
    except (ImportError, RuntimeError) as error:
        raise MissingDependency(
            "there is no ffmpeg program", hint="install ffmpeg, or: pip install --force-reinstall imageio-ffmpeg"
        ) from error


def open_input(path: Path, **options: Any) -> Any:
    """A media file as an ffmpeg-python input that can name no other file or address."""
    import ffmpeg

    return ffmpeg.input(f"file:{path.resolve()}", protocol_whitelist="file", format_whitelist=FORMATS, **options)


def run_ffmpeg(output: Any, *, subject: str) -> None:
    """Run an ffmpeg-python graph; raises ``InvalidRow`` where ffmpeg fails or takes longer than ``MAX_SECONDS``."""
    command = output.global_args("-nostdin", "-hide_banner", "-loglevel", "error", "-y").compile(cmd=find_ffmpeg())
    try:
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, timeout=MAX_SECONDS, check=False)
    except subprocess.TimeoutExpired as error:
        raise InvalidRow(f"{subject} took ffmpeg longer than {MAX_SECONDS:.0f} s", reason="unreadable") from error
    except OSError as error:
        raise MissingDependency(f"{find_ffmpeg()} cannot be run: {error.strerror}") from error
    if done.returncode:
        said = done.stderr.decode("utf-8", "replace").strip().splitlines()[-1:]
        raise InvalidRow(f"ffmpeg cannot cut {subject}: {''.join(said)[:300]}", reason="unreadable")


@functools.cache
def audio_segment() -> Any:
    """The ``AudioSegment`` of pydub, told where ffmpeg is (it warns on import where none is on the PATH)."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from pydub import AudioSegment
    AudioSegment.converter = find_ffmpeg()
    return AudioSegment
