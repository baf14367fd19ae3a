"""Perceptual hashes: content that looks or sounds the same differs in few bits, whatever its file."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from curate.errors import InvalidRow
from curate.media.container.decode import Samples, Span, read_frames
from curate.media.container.open import AUDIO_RATE_HZ
from curate.media.container.pictures import resize
from curate.media.hamming import Entries, Hashes, first_near

BITS = 256
NEAR_PICTURE_SHARE, NEAR_SOUND_SHARE = 0.12, 0.27
"""Hashes with at most this share of different bits count as the same content; by chance it is one half. Sounds cut
some 30 ms apart, or with noise at 20 dB, differ by up to .27; two sentences of one actor by .37 or more."""
MAX_HASHED_S = 60.0
_BANDS, _SLOTS = 16, 16
_MIN_HZ, _MAX_HZ = 200.0, 4000.0
_POSITIONS = (0.1, 0.35, 0.6, 0.85)


def picture_hash(rgb: NDArray[np.uint8]) -> str | None:
    """Return 256 bits as hexadecimal (difference hash of 17x16 cells), or None for a uniform picture."""
    return _to_hex(_brighter_to_the_right(rgb, 16))


def video_hash(path: Path, duration_s: float) -> str | None:
    """Return 256 bits from four frames spread over a video, or None if none can be read."""
    bits: list[NDArray[np.bool_]] = []
    for position in _POSITIONS:
        start_s = position * duration_s
        try:
            frame = next(iter(read_frames(path, [Span(start_s, start_s + 2.0)])), None)
        except InvalidRow as error:
            if error.reason == "unavailable":
                raise
            frame = None
        bits.append(np.zeros(64, np.bool_) if frame is None else _brighter_to_the_right(frame.rgb, 8))
    return _to_hex(np.concatenate(bits))


def sound_hash(samples: Samples) -> str | None:
    """Return 256 bits from the changes in energy of 17 bands over 17 equal stretches of at most the first minute.

    After Haitsma and Kalker, "A Highly Robust Audio Fingerprinting System" (2002), but over the whole sound instead of
    frame by frame. None for less than a quarter of a second and for silence.
    """
    sound = samples[: round(MAX_HASHED_S * AUDIO_RATE_HZ)]
    if len(sound) < AUDIO_RATE_HZ // 4:
        return None
    window, slots = 1024, _SLOTS + 1
    hop = max(1, min(window // 2, (len(sound) - window) // (4 * slots) or 1))
    frequencies = np.fft.rfftfreq(window, 1 / AUDIO_RATE_HZ)
    edges = np.searchsorted(frequencies, np.geomspace(_MIN_HZ, _MAX_HZ, _BANDS + 2))
    taper = np.hanning(window).astype(np.float32)
    energy = np.zeros((slots, _BANDS + 1))
    starts = np.arange(0, max(1, len(sound) - window), hop)
    for slot, slot_starts in enumerate(np.array_split(starts, slots)):
        frames = np.stack([sound[start : start + window] for start in slot_starts]).astype(np.float32) * taper
        power = (np.abs(np.fft.rfft(frames, axis=1)) ** 2).mean(axis=0)
        energy[slot] = np.add.reduceat(power, edges[:-1])[: _BANDS + 1]
    if energy.max() < 1e5:
        return None
    # A floor keeps near-silence from deciding bits.
    logs = np.log(energy + energy.max() * 1e-6)
    return _to_hex((np.diff(np.diff(logs, axis=0), axis=1) > 0).reshape(-1))


def is_near(a: str, b: str, share: float) -> bool:
    """Return whether two hashes differ in at most ``share`` of their bits."""
    return (int(a, 16) ^ int(b, 16)).bit_count() <= share * BITS


def first_duplicates(
    pictures: Sequence[str | None], sounds: Sequence[str | None], seconds: Sequence[float | None]
) -> list[int | None]:
    """Return for each entry the index of the first earlier original that it repeats, or None.

    Entries have a hash of pictures, of sound, of both or of neither, and a length in seconds or None. Two are
    duplicates if they have the same kinds of hashes, all of them are near, and, where the later one has a length, the
    lengths differ by at most 2 % or half a second. Entries without a hash repeat nothing. Takes seconds for 100,000
    entries, unless these are sounds of equal length.
    """
    columns = (_to_words(pictures), NEAR_PICTURE_SHARE), (_to_words(sounds), NEAR_SOUND_SHARE)
    kinds = [(p is not None, s is not None) for p, s in zip(pictures, sounds, strict=True)]
    lengths_s = np.asarray([np.nan if value is None else value for value in seconds], np.float64)
    firsts = np.full(len(seconds), -1, np.int64)
    for group_kinds in ((True, False), (False, True), (True, True)):
        group = np.asarray([index for index, present in enumerate(kinds) if present == group_kinds], np.int64)
        hashes = [
            Hashes(words[group], int(share * BITS))
            for (words, share), is_present in zip(columns, group_kinds, strict=True)
            if is_present
        ]
        within_group = first_near(Entries(hashes, lengths_s[group]))
        firsts[group] = np.where(within_group < 0, -1, group[within_group])
    return [None if first < 0 else first for first in firsts.tolist()]


def _to_words(column: Sequence[str | None]) -> NDArray[np.uint64]:
    data = b"".join(bytes.fromhex(value) if value else bytes(BITS // 8) for value in column)
    return np.frombuffer(data, np.uint64).reshape(-1, BITS // 64)


def _brighter_to_the_right(rgb: NDArray[np.uint8], side: int) -> NDArray[np.bool_]:
    luma = resize(rgb, side + 1, side).astype(np.float32) @ np.asarray([0.299, 0.587, 0.114], np.float32)
    return np.asarray(np.diff(luma, axis=1) > 1.0).reshape(-1)


def _to_hex(bits: NDArray[np.bool_]) -> str | None:
    return np.packbits(bits).tobytes().hex() if bits.any() else None
