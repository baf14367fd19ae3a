"""The sound of one source: units, words with their times, speakers and quality."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from curate.errors import InvalidRow
from curate.llm.transport import audio as openai_audio
from curate.media.container.decode import Samples, Span, cut
from curate.media.container.open import AUDIO_RATE_HZ, encode_flac
from curate.media.speech import quality
from curate.media.speech import vad as speech
from curate.media.speech.dnsmos import rate_speech
from curate.media.speech.speakers import Turn
from curate.media.speech.voices import tell_voices
from curate.media.words.alignment import LONGEST_S, align_english, clip_ends
from curate.media.words.language import language_of
from curate.media.words.spread import Word, WordTimes, speech_in, spread
from curate.media.words.subtitles import Cue
from curate.media.words.transcript import (
    Embedded,
    Heard,
    Remote,
    Said,
    Sidecar,
    Transcriber,
    first_transcript,
    words_in,
)
from curate.media.words.whisper import Whisper
from curate.stages.contract import Rejection
from curate.stages.preprocess.rows import Part
from curate.stages.preprocess.settings import Quality, Speakers, Transcript

_SHORT = 12


class Channel(NamedTuple):
    """One voice track of a source: its samples (None for a silent film), the number it has where channels are apart."""

    samples: Samples | None
    number: int | None
    probabilities: NDArray[np.float32]
    powers: NDArray[np.float32]

    def columns(self, span: Span, settings: Quality) -> dict[str, Any]:
        """What is measured of a span, by the columns of ``items``."""
        if self.samples is None:
            return {}
        measured = quality.sound_quality(self.samples, span, self.probabilities, self.powers)._asdict()
        if settings.dnsmos:
            measured |= rate_speech(cut(self.samples, span))._asdict()
        return {"speech_share": speech.speech_share(self.probabilities, span), "channel": self.number, **measured}


class Spoken(NamedTuple):
    """The transcript of a source: the cues of each channel, where they come from, and the language."""

    cues: list[list[Cue]]
    source: str | None
    language: str | None


def listen(samples: Samples | None, number: int | None) -> Channel:
    """A channel with what the voice detector and the level meter say of it."""
    if samples is None:
        return Channel(None, number, np.zeros(0, np.float32), np.zeros(0, np.float32))
    return Channel(samples, number, speech.speech_probabilities(samples), quality.window_powers(samples))


def transcribers(
    row: dict[str, Any], settings: Transcript, folder: Path, whisper: Path | None, answers: Path | None
) -> list[Transcriber]:
    """Where the words of a source may come from, in order; replies of an endpoint are kept in ``answers``."""
    found: list[Transcriber] = []
    for source in settings.order:
        if source == "subtitles":
            if row["subtitles_file"]:
                found.append(Sidecar(folder / row["subtitles_file"]))
            found.append(Embedded(folder / row["file"]))
        elif source == "whisper" and whisper is not None:
            found.append(Whisper(whisper))
        elif source == "endpoint" and settings.endpoint_model:
            found.append(_endpoint(settings.endpoint_model, answers))
    return found


def _endpoint(model: str, answers: Path | None) -> Remote:
    def hear(samples: Samples, language: str | None) -> Heard:
        return Heard(*openai_audio.transcribe(encode_flac(samples), model=model, language=language, answers=answers))

    return Remote(model, hear)


def cues_of(
    row: dict[str, Any],
    channels: Sequence[Channel],
    spoken: Sequence[Sequence[Span]],
    settings: Transcript,
    asked: Sequence[Transcriber],
    part: Part,
) -> Spoken:
    """The cues of each channel, where they come from and their language; what fails to give any is told."""

    def tell(one: Transcriber, error: InvalidRow) -> None:
        subject = row["subtitles_file"] if isinstance(one, Sidecar) else f"{row['file']}#{one.name}"
        part.rejections.append(Rejection(row["source_id"], subject, error.reason, error.message))

    by_channel: list[list[Cue]] = [[] for _ in channels]
    for one in asked:
        if isinstance(one, Sidecar | Embedded):
            found, source = first_transcript([one], None, (), language=settings.language, on_error=tell)
            for cue in found.cues:
                heard = [float(channel.probabilities[_windows(cue.span)].sum()) for channel in channels]
                by_channel[int(np.argmax(heard))].append(cue)
        else:
            source = None
            for place, (channel, spans) in enumerate(zip(channels, spoken, strict=True)):
                found, name = first_transcript([one], channel.samples, spans, language=settings.language, on_error=tell)
                by_channel[place], source = found.cues, source or name
        if source is not None:
            texts = " ".join(cue.text for cues in by_channel for cue in cues)
            return Spoken(by_channel, source, settings.language or found.language or language_of(texts))
    return Spoken(by_channel, None, settings.language)


def timed_by_word(channel: Channel, cues: Sequence[Cue], spans: Sequence[Span], *, align: bool) -> list[Said]:
    """What is said in each span, cues between spans being parted word by word."""
    timed: list[tuple[Word, str | None]] = []
    sources: set[WordTimes] = set()
    for cue in cues:
        words, source = _times(channel, Said(cue.text, None, cue.words, None, (cue,)), cue.span, align=align)
        timed += [(word, cue.speaker) for word in words]
        sources.add(source)
    # Where sources are mixed the weakest is named.
    weakest = next((name for name in ("proportional", "aligned") if name in sources), "native")
    return words_in(timed, spans, weakest)  # type: ignore[arg-type]


def timed_by_span(channel: Channel, asked: Sequence[Said], spans: Sequence[Span], *, align: bool) -> list[Said]:
    """What is said in each span with the times of its words."""
    found = []
    for said, span in zip(asked, spans, strict=True):
        if said.text is None:
            found.append(said)
            continue
        words, source = _times(channel, said, span, align=align)
        found.append(said._replace(words=tuple(words), word_times=source if words else None))
    return found


def utterances_of(channel: Channel, settings: dict[str, float]) -> list[Span]:
    """The utterances of a channel."""
    if channel.samples is None:
        return []
    duration_s = len(channel.samples) / AUDIO_RATE_HZ
    return [one.span for one in speech.utterances(channel.probabilities, duration_s=duration_s, **settings)]


def voice_turns(source_id: str, channel: Channel, uttered: Sequence[Span], settings: Speakers) -> list[Turn]:
    """The utterances of a channel of several voices, each with a name for its voice, where they are to be told apart.

    Raises ``MissingDependency`` where the model is not installed.
    """
    if not settings.cluster or channel.samples is None or channel.number is not None:
        return []
    voices = tell_voices(channel.samples, uttered, count=settings.count)
    named = zip(uttered, voices, strict=True)
    return [Turn(span, f"{source_id[:_SHORT]}#voice{voice + 1}") for span, voice in named if voice is not None]


def speaker_columns(
    source_id: str, told: str | None, subtitled: str | None, voice: str | None, channel: Channel
) -> dict[str, Any]:
    """Who speaks, and how that is known; without any sign nobody is named."""
    apart = None if channel.number is None else f"{source_id[:_SHORT]}#channel{channel.number}"
    signs = {"file": told, "subtitles": subtitled, "channel": apart, "clustered": voice}
    source, name = next(((how, name) for how, name in signs.items() if name), ("unknown", None))
    return {"speaker": name, "speaker_source": source}


def _windows(span: Span) -> slice:
    return slice(int(span.start_s / speech.HOP_S), int(span.end_s / speech.HOP_S) + 1)


def _times(channel: Channel, said: Said, span: Span, *, align: bool) -> tuple[list[Word], WordTimes]:
    """The words of what is said in a span; where parts differ in how their times were found, the weakest is named."""
    if said.words:
        return list(said.words), "native"
    within = [Span(max(cue.span.start_s, span.start_s), min(cue.span.end_s, span.end_s)) for cue in said.cues]
    pieces = [(cue.text, part) for cue, part in zip(said.cues, within, strict=True) if part.end_s > part.start_s]
    # Subtitles are often early or late: the whole item holds their words better, unless it is long.
    is_short = span.end_s - span.start_s <= LONGEST_S
    if align and channel.samples is not None:
        asked = [(said.text or "", span)] if is_short else pieces
        found = [align_english(channel.samples, where, text) for text, where in asked]
        if all(words is not None for words in found):
            words = [word for part in found for word in part or ()]
            return clip_ends(words, speech_in(channel.probabilities, span)), "aligned"
    words = [word for text, part in pieces for word in spread(text, speech_in(channel.probabilities, part))]
    return words, "proportional"
