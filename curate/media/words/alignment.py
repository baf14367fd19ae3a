"""The only module that touches PocketSphinx: when each word of a known English text is said."""

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
    """Whether words can be aligned here: the extra ``alignment`` is optional, as it has no wheel for some Pythons."""
    return find_spec("pocketsphinx") is not None


def is_wanted(setting: bool | None) -> bool:
    """Whether to align words; without a setting, where the extra is installed."""
    return is_installed() if setting is None else setting


def how_to_install() -> str:
    """The command that installs the extra, with a warning where it needs a C compiler."""
    return f"{INSTALL} (no wheel for Python 3.14: needs a C compiler)" if sys.version_info >= (3, 14) else INSTALL


def align_english(samples: Samples, span: Span, text: str) -> list[Word] | None:
    """The words of ``text`` with the times at which they are said within a span of 16 kHz sound.

    None where the text does not fit: no known word, more than a third unknown to the dictionary, or no path through the
    sound. Times are those of PocketSphinx's forced alignment; unknown words share the time up to the next known one. A
    text that was never said may still be aligned. Raises ``MissingDependency`` without the extra ``alignment``.
    """
    sound = cut_audio(samples, span)
    pieces = text.split()
    if not pieces or not 0.1 <= span.end_s - span.start_s <= MAX_ALIGNED_S:
        return None
    decoder = _open()
    tokens = [_TOKEN.findall(piece.lower().replace("’", "'")) for piece in pieces]
    known = [bool(mine) and all(decoder.lookup_word(token) is not None for token in mine) for mine in tokens]
    if sum(known) < len(pieces) * (1 - MAX_UNKNOWN_SHARE) or not any(known):
        return None
    asked = [token for mine, is_known in zip(tokens, known, strict=True) if is_known for token in mine]
    found = _path(decoder, sound, asked)
    if found is None:
        return None
    starts: list[tuple[int, float, float]] = []
    at = 0
    for place, mine in enumerate(tokens):
        if known[place]:
            starts.append((place, found[at][0], found[at + len(mine) - 1][1]))
            at += len(mine)
    return _with_unknown(pieces, starts, span)


def _path(decoder: Any, sound: Samples, asked: Sequence[str]) -> list[tuple[float, float]] | None:
    """Start and end of each token in seconds from the start of the sound."""
    try:
        # The front end carries levels over from what was heard before; times must not depend on that.
        decoder.reinit_feat()
        decoder.set_align_text(" ".join(asked))
        decoder.start_utt()
        decoder.process_raw(_dithered(sound).tobytes(), full_utt=True)
        decoder.end_utt()
        segments = list(decoder.seg() or ())
    except RuntimeError:
        return None
    heard = [one for one in segments if not one.word.startswith(("<", "[", "+"))]
    if [re.sub(r"\(\d+\)$", "", one.word) for one in heard] != list(asked):
        return None
    return [(one.start_frame * _FRAME_S - _PAD_S, (one.end_frame + 1) * _FRAME_S - _PAD_S) for one in heard]


def _dithered(sound: Samples) -> Samples:
    """The sound between pauses, over a trace of noise: the search loses its way in digital silence."""
    padded = np.pad(sound.astype(np.int32), round(_PAD_S * AUDIO_RATE_HZ))
    noise = np.random.default_rng(0).integers(-_DITHER, _DITHER + 1, len(padded))
    return np.clip(padded + noise, -32768, 32767).astype(np.int16)


def _with_unknown(pieces: Sequence[str], known: Sequence[tuple[int, float, float]], span: Span) -> list[Word]:
    """Times of all words: an unknown one shares the time of the known one before it, up to the next."""
    words: list[Word] = []
    for index, (place, start_s, end_s) in enumerate(known):
        first = 0 if index == 0 else place
        last = known[index + 1][0] if index + 1 < len(known) else len(pieces)
        if last > place + 1:
            end_s = known[index + 1][1] if index + 1 < len(known) else span.end_s - span.start_s
        low = 0.0 if first < place else start_s
        within = Span(span.start_s + max(0.0, low), min(span.start_s + end_s, span.end_s))
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
    """The words, their ends drawn back to where the speech that they begin in ends (alignment drifts into noise)."""
    ends = np.asarray([one.end_s for one in speech])
    clipped = []
    for word in words:
        after = ends[ends > word.start_s + 0.05]
        end_s = min(word.end_s, float(after[0]) + 0.05) if len(after) else word.end_s
        clipped.append(word._replace(end_s=round(end_s, 3)))
    return clipped
