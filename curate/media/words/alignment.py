"""Align the words of English text with the sound, by PocketSphinx, which no other module imports."""

import functools
import re
import sys
from collections.abc import Sequence
from importlib.util import find_spec
from typing import Any

import numpy as np

from curate.errors import MissingDependency
from curate.media.container.decode import Samples, Span, cut_audio
from curate.media.container.open import AUDIO_RATE_HZ
from curate.media.words.spread import Word, spread_words

INSTALL = "pip install 'curate[alignment]'"
MAX_UNKNOWN_SHARE = 0.34
MAX_ALIGNED_S = 30.0
_FRAME_S = 0.01
_PAD_S, _DITHER = 0.2, 5
_TOKEN = re.compile(r"[a-z]+(?:['’][a-z]+)*")


def is_installed() -> bool:
    """Return whether the optional extra ``alignment`` is installed; it has no wheel for some Pythons."""
    return find_spec("pocketsphinx") is not None


def is_wanted(setting: bool | None) -> bool:
    """Return whether to align words; without a setting, whether the extra is installed."""
    return is_installed() if setting is None else setting


def how_to_install() -> str:
    """Return the command that installs the extra, with a warning if it needs a C compiler."""
    return f"{INSTALL} (no wheel for Python 3.14: needs a C compiler)" if sys.version_info >= (3, 14) else INSTALL


def align_english(samples: Samples, span: Span, text: str) -> list[Word] | None:
    """Return the words of ``text`` with their times within a span of 16 kHz sound.

    None if the text does not fit: no word or less than two thirds of the words are in the dictionary, or there is no
    path through the sound. Times are from forced alignment; an unknown word shares the time up to the next known one. A
    text that was never spoken may still be aligned. Raises ``MissingDependency`` without the extra ``alignment``.
    """
    pieces = text.split()
    if not pieces or not 0.1 <= span.end_s - span.start_s <= MAX_ALIGNED_S:
        return None
    decoder = _open()
    tokens = [_TOKEN.findall(piece.lower().replace("’", "'")) for piece in pieces]
    is_known = [bool(parts) and all(decoder.lookup_word(part) is not None for part in parts) for parts in tokens]
    if sum(is_known) < len(pieces) * (1 - MAX_UNKNOWN_SHARE) or not any(is_known):
        return None
    known_tokens = [
        part for parts, is_word_known in zip(tokens, is_known, strict=True) if is_word_known for part in parts
    ]
    times = _token_times(decoder, cut_audio(samples, span), known_tokens)
    if times is None:
        return None
    known_pieces: list[tuple[int, float, float]] = []
    next_token = 0
    for index, parts in enumerate(tokens):
        if is_known[index]:
            last_token = next_token + len(parts) - 1
            known_pieces.append((index, times[next_token][0], times[last_token][1]))
            next_token = last_token + 1
    return _with_unknown(pieces, known_pieces, span)


def _token_times(decoder: Any, sound: Samples, tokens: Sequence[str]) -> list[tuple[float, float]] | None:
    """Return the start and end of each token in seconds from the start of the sound, or None if they do not fit."""
    try:
        # The front end adapts to levels in earlier sound; times must not depend on that.
        decoder.reinit_feat()
        decoder.set_align_text(" ".join(tokens))
        decoder.start_utt()
        decoder.process_raw(_dithered(sound).tobytes(), full_utt=True)
        decoder.end_utt()
        segments = list(decoder.seg() or ())
    except RuntimeError:
        return None
    spoken = [segment for segment in segments if not segment.word.startswith(("<", "[", "+"))]
    if [re.sub(r"\(\d+\)$", "", segment.word) for segment in spoken] != list(tokens):
        return None
    return [(s.start_frame * _FRAME_S - _PAD_S, (s.end_frame + 1) * _FRAME_S - _PAD_S) for s in spoken]


def _dithered(sound: Samples) -> Samples:
    """Return the sound between pauses, with faint noise: the search fails in digital silence."""
    padded = np.pad(sound.astype(np.int32), round(_PAD_S * AUDIO_RATE_HZ))
    noise = np.random.default_rng(0).integers(-_DITHER, _DITHER + 1, len(padded))
    return np.clip(padded + noise, -32768, 32767).astype(np.int16)


def _with_unknown(pieces: Sequence[str], timed_pieces: Sequence[tuple[int, float, float]], span: Span) -> list[Word]:
    """Return all words with times: an unknown word shares the time of the known one before it, up to the next."""
    words: list[Word] = []
    for number, (index, start_s, end_s) in enumerate(timed_pieces):
        first = 0 if number == 0 else index
        last = timed_pieces[number + 1][0] if number + 1 < len(timed_pieces) else len(pieces)
        if last > index + 1:
            end_s = timed_pieces[number + 1][1] if number + 1 < len(timed_pieces) else span.end_s - span.start_s
        if first < index:
            start_s = 0.0
        within = Span(span.start_s + max(0.0, start_s), min(span.start_s + end_s, span.end_s))
        words += spread_words(" ".join(pieces[first:last]), [within])
    return words


@functools.cache
def _open() -> Any:
    try:
        from pocketsphinx import Decoder
    except ImportError as error:
        raise MissingDependency(
            "words cannot be aligned with the sound: pocketsphinx is not installed",
            hint=f"install it: {how_to_install()}; or remove `align: true` from the recipe",
        ) from error

    return Decoder(lm=None, samprate=AUDIO_RATE_HZ, cmn="batch", loglevel="FATAL")


def clip_ends(words: Sequence[Word], speech: Sequence[Span]) -> list[Word]:
    """Return the words, none longer than the speech in which it begins: alignment drifts into noise."""
    ends = np.asarray([stretch.end_s for stretch in speech])
    clipped = []
    for word in words:
        later = ends[ends > word.start_s + 0.05]
        end_s = min(word.end_s, float(later[0]) + 0.05) if len(later) else word.end_s
        clipped.append(word._replace(end_s=round(end_s, 3)))
    return clipped
