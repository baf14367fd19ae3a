"""Transcribe with a local faster-whisper model; no other module imports faster-whisper."""

import functools
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from curate.errors import InvalidInput, MissingDependency
from curate.files import sha256_of, sha256_of_file
from curate.media.container.decode import Samples, Span, cut_audio
from curate.media.words.markup import Cue
from curate.media.words.spread import Word
from curate.media.words.transcript import Transcript

WINDOW_S = 29.0
"""Whisper processes 30 s at a time and pads shorter sound, so utterances are packed to fill a window."""
MAX_COMPRESSION = 2.4
"""Text that compresses better is a repetition loop of the model (Radford et al. 2022)."""
_NEEDED = ("model.bin", "config.json", "tokenizer.json")
_HINT = "a CTranslate2 folder has model.bin, config.json, tokenizer.json and vocabulary.json (or .txt)"


class Whisper(NamedTuple):
    """A faster-whisper model in a local folder; nothing is ever downloaded."""

    folder: Path

    @property
    def name(self) -> str:
        return f"faster-whisper:{self.folder.name}"

    def transcribe(self, samples: Samples | None, spans: Sequence[Span], *, language: str | None) -> Transcript:
        """Return the transcript of the spans, with the word times of the model.

        Raises ``InvalidInput`` if the folder is not a model.
        """
        model = _open(self.folder)
        if language is not None and language not in model.supported_languages:
            raise InvalidInput(f"the model {self.folder} does not support the language {language!r}")
        cues: list[Cue] = []
        for span in pack_spans(spans) if samples is not None else ():
            sound = cut_audio(np.asarray(samples), span).astype(np.float32) / np.float32(32768)
            # Only at temperature 0 does equal sound give equal words.
            segments, info = model.transcribe(
                sound,
                language=language,
                word_timestamps=True,
                condition_on_previous_text=False,
                beam_size=5,
                temperature=0.0,
            )
            plausible = [segment for segment in segments if segment.compression_ratio <= MAX_COMPRESSION]
            cues += [cue for segment in plausible if (cue := _to_cue(segment, span)) is not None]
            language = language or info.language
        return Transcript(cues, language)


def model_problem(folder: Path) -> str | None:
    """Return why a folder is not a faster-whisper model, in one sentence, or None if it looks like one."""
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
                return f"the transcription model {folder} has a {name} that is not a JSON object"
        except (OSError, ValueError, RecursionError):
            return f"the transcription model {folder} has a {name} that cannot be read"
    return None


def model_files(folder: Path) -> list[Path]:
    """Return the files that the results of a model depend on."""
    return sorted(path for path in folder.glob("*") if path.is_file() and path.suffix in (".bin", ".json", ".txt"))


def model_hash(folder: Path) -> str:
    """Return one hash over all files of a model."""
    states = [(path, path.stat()) for path in model_files(folder)]
    hashes = (_file_hash(path, state.st_size, state.st_mtime_ns) for path, state in states)
    return sha256_of("".join(hashes))


@functools.cache
def _file_hash(path: Path, size_bytes: int, mtime_ns: int) -> str:
    return sha256_of_file(path)


def pack_spans(spans: Sequence[Span]) -> list[Span]:
    """Return the spans, neighbours joined as long as they fit into one window."""
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
    try:
        import faster_whisper
    except ImportError as error:
        raise MissingDependency(
            "transcripts with a Whisper model need faster-whisper", hint='pip install "curate[whisper]"'
        ) from error
    try:
        return faster_whisper.WhisperModel(
            str(folder), device="cpu", compute_type="int8", cpu_threads=1, local_files_only=True
        )
    except (RuntimeError, ValueError, OSError, TypeError, KeyError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise InvalidInput(f"the transcription model {folder} cannot be loaded: {reason}", hint=_HINT) from error


def _to_cue(segment: Any, within: Span) -> Cue | None:
    words = [
        Word(text, _shift(word.start, within), _shift(word.end, within))
        for word in segment.words or ()
        if (text := _printable(word.word))
    ]
    span = Span(_shift(segment.start, within), _shift(segment.end, within))
    text = _printable(segment.text)
    return Cue(span, text, None, tuple(words)) if text and span.end_s > span.start_s else None


def _shift(time_s: Any, within: Span) -> float:
    return round(min(within.start_s + float(time_s), within.end_s), 3)


def _printable(text: str) -> str:
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())
