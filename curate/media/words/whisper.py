"""The only module that touches faster-whisper: transcripts by a model that lies in a local folder."""

import functools
import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from curate.errors import InvalidInput
from curate.media.container.decode import Samples, Span, cut_audio
from curate.media.words.markup import Cue
from curate.media.words.spread import Word
from curate.media.words.transcript import Transcript

WINDOW_S = 29.0
"""Whisper listens to 30 s at a time and pads what is shorter: utterances are packed to fill a window."""
MAX_COMPRESSION = 2.4
"""Text that compresses better is a loop that the model fell into, not what was said (Radford et al. 2022)."""
_NEEDED = ("model.bin", "config.json", "tokenizer.json")
_HINT = "a CTranslate2 folder holds model.bin, config.json, tokenizer.json and vocabulary.json (or .txt)"


class Whisper(NamedTuple):
    """A faster-whisper model. Nothing is ever downloaded: the folder must hold all of it."""

    folder: Path

    @property
    def name(self) -> str:
        return f"faster-whisper:{self.folder.name}"

    def transcribe(self, samples: Samples | None, spans: Sequence[Span], *, language: str | None) -> Transcript:
        """What is said in the spans, with the model's own word times.

        Raises ``InvalidInput`` where the folder is not a model.
        """
        model = _open(self.folder)
        if language is not None and language not in model.supported_languages:
            raise InvalidInput(f"the model {self.folder} does not know the language {language!r}")
        cues: list[Cue] = []
        for span in pack_spans(spans) if samples is not None else ():
            sound = cut_audio(np.asarray(samples), span).astype(np.float32) / np.float32(32768)
            # Only at temperature 0 the same sound always gives the same words.
            segments, about = model.transcribe(
                sound,
                language=language,
                word_timestamps=True,
                condition_on_previous_text=False,
                beam_size=5,
                temperature=0.0,
            )
            heard = [segment for segment in segments if segment.compression_ratio <= MAX_COMPRESSION]
            cues += [cue for segment in heard if (cue := _to_cue(segment, span)) is not None]
            language = language or about.language
        return Transcript(cues, language)


def model_problem(folder: Path) -> str | None:
    """Why a folder cannot be a faster-whisper model, in one sentence, or None where nothing is seen to be missing."""
    if not folder.is_dir():
        return f"the transcription model {folder} is not a folder"
    missing = [name for name in _NEEDED if not (folder / name).is_file()]
    if not any((folder / f"vocabulary.{suffix}").is_file() for suffix in ("json", "txt")):
        missing.append("vocabulary.json")
    if missing:
        return f"the transcription model {folder} lacks {', '.join(missing)}"
    for name in ("config.json", "tokenizer.json"):
        try:
            if not isinstance(json.loads((folder / name).read_text("utf-8")), dict):
                return f"the transcription model {folder} has a {name} that is no JSON object"
        except (OSError, ValueError):
            return f"the transcription model {folder} has a {name} that cannot be read"
    return None


def model_files(folder: Path) -> list[Path]:
    """What a model's results depend on."""
    return sorted(path for path in folder.glob("*") if path.is_file() and path.suffix in (".bin", ".json", ".txt"))


def model_hash(folder: Path) -> str:
    """One hash of all files of a model."""
    states = [(path, path.stat()) for path in model_files(folder)]
    hashes = (_file_hash(path, state.st_size, state.st_mtime_ns) for path, state in states)
    return hashlib.sha256("".join(hashes).encode()).hexdigest()


@functools.cache
def _file_hash(path: Path, size_bytes: int, mtime_ns: int) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, hashlib.sha256).hexdigest()


def pack_spans(spans: Sequence[Span]) -> list[Span]:
    """Neighbouring spans joined as long as they fit into one window."""
    packed: list[Span] = []
    for span in spans:
        if packed and span.end_s - packed[-1].start_s <= WINDOW_S:
            packed[-1] = Span(packed[-1].start_s, max(span.end_s, packed[-1].end_s))
        else:
            packed.append(span)
    return packed


@functools.cache
def _open(folder: Path) -> Any:
    problem = model_problem(folder)
    if problem:
        raise InvalidInput(problem, hint=_HINT)
    import faster_whisper

    try:
        return faster_whisper.WhisperModel(
            str(folder), device="cpu", compute_type="int8", cpu_threads=1, local_files_only=True
        )
    except (RuntimeError, ValueError, OSError, TypeError, KeyError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise InvalidInput(f"the transcription model {folder} cannot be loaded: {reason}", hint=_HINT) from error


def _to_cue(segment: Any, within: Span) -> Cue | None:
    words = [
        Word(text, _moved(word.start, within), _moved(word.end, within))
        for word in segment.words or ()
        if (text := _printable(word.word))
    ]
    span = Span(_moved(segment.start, within), _moved(segment.end, within))
    text = _printable(segment.text)
    return Cue(span, text, None, tuple(words)) if text and span.end_s > span.start_s else None


def _moved(time_s: Any, within: Span) -> float:
    return round(min(within.start_s + float(time_s), within.end_s), 3)


def _printable(text: str) -> str:
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())
