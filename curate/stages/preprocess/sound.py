"""The sound of one source: its channels, the speech in them, its quality, and who speaks."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from curate.errors import InvalidRow
from curate.media.container.decode import Samples, Span, cut_audio, read_channels, read_sound
from curate.media.container.open import AUDIO_RATE_HZ
from curate.media.speech import quality, vad
from curate.media.speech.dnsmos import rate_speech
from curate.media.speech.speaker_changes import MIN_PIECE_S, cut_at_changes
from curate.media.speech.speakers import SpeakerTurn
from curate.media.speech.voices import cluster_voices, find_voice_changes
from curate.stages.preprocess.settings import PreprocessSettings, Quality, Speakers

_SHORT_ID_CHARS = 12
_MIN_VOICE_S = 0.8
REACH_S = 0.4
"""How far subtitles and clustered voices may be from where the speaker changes."""


class Channel(NamedTuple):
    """One voice track of a source: its samples (None for a silent film), and its number if channels are separate.

    ``probabilities`` of speech and ``powers`` have one value for each window of the voice detector.
    """

    samples: Samples | None
    number: int | None
    probabilities: NDArray[np.float32]
    powers: NDArray[np.float32]

    def speech_in(self, span: Span) -> float:
        """Return how much speech a span has, as a sum of probabilities."""
        return float(self.probabilities[int(span.start_s / vad.HOP_S) : int(span.end_s / vad.HOP_S) + 1].sum())

    def columns(self, span: Span, settings: Quality) -> dict[str, Any]:
        """Return the columns of ``items`` that are measured from the sound of a span."""
        if self.samples is None:
            return {}
        measured = quality.sound_quality(self.samples, span, self.probabilities, self.powers)._asdict()
        if settings.dnsmos:
            measured |= rate_speech(cut_audio(self.samples, span))._asdict()
        return {"speech_share": vad.speech_share(self.probabilities, span), "channel": self.number, **measured}


def read_voice_tracks(
    path: Path, settings: PreprocessSettings, *, is_optional: bool, notices: list[str]
) -> list[Channel]:
    """Return the mix or each channel of a file, analysed. If sound is optional, a file without any has a silent one.

    Adds to ``notices`` what was chosen or left out, such as one of several sound tracks.
    """
    try:
        if settings.channels == "separate":
            channels = read_channels(path, language=settings.transcript.language)
            return [_analyse(samples, number) for number, samples in enumerate(channels, start=1)]
        sound = read_sound(path, language=settings.transcript.language)
        notices.extend(sound.notices)
        return [_analyse(sound.samples, None)]
    except InvalidRow as error:
        if not is_optional or error.reason == "unavailable":
            raise
        return [Channel(None, None, np.zeros(0, np.float32), np.zeros(0, np.float32))]


def _analyse(samples: Samples, number: int | None) -> Channel:
    return Channel(samples, number, vad.speech_probabilities(samples), quality.window_powers(samples))


def find_utterances(channel: Channel, settings: PreprocessSettings) -> list[Span]:
    """Return the utterances of a channel, in order."""
    if channel.samples is None:
        return []
    utterances = vad.find_utterances(
        channel.probabilities,
        duration_s=len(channel.samples) / AUDIO_RATE_HZ,
        max_pause_s=settings.max_pause_s,
        min_speech_s=settings.min_speech_s,
        pad_s=settings.pad_s,
        max_utterance_s=settings.max_utterance_s,
        threshold=settings.speech_threshold,
    )
    return [utterance.span for utterance in utterances]


def cut_at_speakers(
    channel: Channel, utterances: Sequence[Span], turns: Sequence[SpeakerTurn], *, min_s: float, reach_s: float = 0.0
) -> list[Span]:
    """Return the utterances of a channel of several voices, cut where the speaker changes.

    ``reach_s`` is how far a cut may be moved to the quietest moment near it.
    """
    if channel.samples is None or channel.number is not None or not turns:
        return list(utterances)

    def quietest(time_s: float) -> float:
        first = max(0, round((time_s - reach_s) / vad.HOP_S))
        levels = channel.powers[first : round((time_s + reach_s) / vad.HOP_S) + 1]
        return (first + int(levels.argmin()) + 0.5) * vad.HOP_S if len(levels) else time_s

    return cut_at_changes(utterances, turns, min_s=max(min_s, MIN_PIECE_S), adjust=quietest if reach_s > 0 else None)


def cut_at_voices(channel: Channel, utterances: Sequence[Span], settings: Speakers) -> list[Span]:
    """Return the utterances cut where the voice changes; as they are unless voices are clustered."""
    if not settings.cluster or channel.samples is None or channel.number is not None:
        return list(utterances)
    changes = find_voice_changes(channel.samples, utterances)
    pieces = cut_at_speakers(channel, utterances, changes, min_s=_MIN_VOICE_S, reach_s=REACH_S)
    voices = cluster_voices(channel.samples, pieces, count=settings.count)
    named = [SpeakerTurn(piece, str(voice)) for piece, voice in zip(pieces, voices, strict=True) if voice is not None]
    return cut_at_speakers(channel, utterances, named, min_s=_MIN_VOICE_S)


def voice_turns(source_id: str, channel: Channel, utterances: Sequence[Span], settings: Speakers) -> list[SpeakerTurn]:
    """Return the utterances of a channel of several voices, named by voice; empty unless voices are clustered.

    Raises ``MissingDependency`` if the model is not installed.
    """
    if not settings.cluster or channel.samples is None or channel.number is not None:
        return []
    voices = cluster_voices(channel.samples, utterances, count=settings.count)
    return [
        SpeakerTurn(span, f"{source_id[:_SHORT_ID_CHARS]}#voice{voice + 1}")
        for span, voice in zip(utterances, voices, strict=True)
        if voice is not None
    ]


def speaker_columns(
    source_id: str, channel: Channel, *, from_file: str | None, subtitled: str | None, clustered: str | None
) -> dict[str, Any]:
    """Return the speaker of an item from the most reliable evidence, and which that is."""
    separate = None if channel.number is None else f"{source_id[:_SHORT_ID_CHARS]}#channel{channel.number}"
    evidence = {"file": from_file, "subtitles": subtitled, "channel": separate, "clustered": clustered}
    source, speaker = next(((source, name) for source, name in evidence.items() if name), ("unknown", None))
    return {"speaker": speaker, "speaker_source": source}
