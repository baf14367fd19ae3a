"""The words of one source: its transcript, and when each word is spoken."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from curate.corpus.sources import RawFolders, SourceMissing
from curate.errors import InvalidRow
from curate.llm.prompts.fence import is_visible
from curate.llm.transport import audio as openai_audio
from curate.media.container.decode import Samples, Span
from curate.media.container.encode import encode_flac
from curate.media.words.alignment import MAX_ALIGNED_S, align_english, clip_ends
from curate.media.words.language import detect_language
from curate.media.words.markup import Cue
from curate.media.words.sidecars import choose_sidecar
from curate.media.words.spread import Word, WordTimes, speech_spans, spread_words
from curate.media.words.timing import describe_misfit
from curate.media.words.transcript import (
    EmbeddedSubtitles,
    EndpointTranscriber,
    EndpointTranscript,
    SidecarSubtitles,
    SpanText,
    Transcriber,
    Transcript,
    assign_words,
    first_transcript,
)
from curate.media.words.whisper import Whisper
from curate.sentences import verb_of
from curate.stages.contract import Tools
from curate.stages.preprocess.rows import SourceRows
from curate.stages.preprocess.settings import PreprocessSettings, resolve
from curate.stages.preprocess.sound import Channel

_OVERRUN_S = 0.5
"""How much later than the file its last subtitle may end"""


class SourceTranscript(NamedTuple):
    """The transcript of a source: the cues of each channel, where they come from, and the language."""

    cues: list[list[Cue]]
    source: str | None
    language: str | None


def open_transcribers(row: dict[str, Any], settings: PreprocessSettings, tools: Tools) -> list[Transcriber]:
    """Return the possible origins of the words of a source, in order."""
    transcribers: list[Transcriber] = []
    whisper, endpoint = resolve(tools.folder, settings.transcript.whisper_model), settings.transcript.endpoint_model
    for source in settings.transcript.order:
        if source == "subtitles":
            if (sidecar := _sidecar(row, settings.transcript.language)) is not None:
                transcribers.append(SidecarSubtitles(_path(tools.raw, sidecar["file"]), sidecar["language"]))
            transcribers.append(EmbeddedSubtitles(_path(tools.raw, row["file"])))
        elif source == "whisper" and whisper is not None:
            transcribers.append(Whisper(whisper))
        elif source == "endpoint" and endpoint:
            transcribers.append(_open_endpoint(endpoint, tools.answers))
    return transcribers


def _sidecar(row: dict[str, Any], language: str | None) -> dict[str, Any] | None:
    """Return the subtitle file in the language that is spoken, or the best one if that is not set."""
    sidecars = row["subtitles"] or ()
    index = choose_sidecar([sidecar["language"] for sidecar in sidecars], language)
    return None if index is None else dict(sidecars[index])


def _path(raw: RawFolders, name: str) -> Path:
    """Return the path of a file; if it is not there, reading it says so, and other words can be used."""
    try:
        return raw.path(name)
    except SourceMissing:
        return raw.join(name)


def _language_doubt(row: dict[str, Any], language: str | None) -> str | None:
    """Return a sentence if subtitles are not used because of their language, or may not be what is spoken."""
    sidecars = row["subtitles"] or ()
    names = ", ".join(sidecar["file"] for sidecar in sidecars)
    if sidecars and _sidecar(row, language) is None:
        return f"not used, since transcript.language is {language}: {names}"
    if language is None and len({sidecar["language"] for sidecar in sidecars}) > 1:
        return f"of {names} the first is used; transcript.language chooses another"
    return None


def _open_endpoint(model: str, answers: Path | None) -> EndpointTranscriber:
    def transcribe(samples: Samples, language: str | None) -> EndpointTranscript:
        sound = encode_flac(samples)
        return EndpointTranscript(*openai_audio.transcribe(sound, model=model, language=language, answers=answers))

    return EndpointTranscriber(model, transcribe)


def transcribe_source(
    row: dict[str, Any],
    channels: Sequence[Channel],
    utterances: Sequence[Sequence[Span]],
    settings: PreprocessSettings,
    tools: Tools,
    rows: SourceRows,
) -> SourceTranscript:
    """Return the transcript of the first transcriber that has any words, and record those that fail in ``rows``.

    A cue of subtitles belongs to the channel with most speech in it; other transcribers hear each channel separately.
    """
    language = settings.transcript.language
    doubts: dict[str, list[str]] = {}
    sidecar = _sidecar(row, language)
    if (doubt := _language_doubt(row, language)) is not None:
        doubts[row["subtitles_file"]] = [doubt]

    def name_of(transcriber: Transcriber) -> str:
        is_sidecar = sidecar is not None and isinstance(transcriber, SidecarSubtitles)
        return str(sidecar["file"]) if sidecar and is_sidecar else f"{row['file']}#{transcriber.name}"

    def reject(transcriber: Transcriber, error: InvalidRow) -> None:
        if error.reason == "invalid":
            doubts.setdefault(name_of(transcriber), []).append(error.message)
        else:
            rows.reject(name_of(transcriber), error)

    cues: list[list[Cue]] = [[] for _ in channels]
    transcript, source = Transcript([]), None
    for transcriber in open_transcribers(row, settings, tools):
        if isinstance(transcriber, SidecarSubtitles | EmbeddedSubtitles):
            transcript, source = first_transcript([transcriber], None, (), language=language, on_error=reject)
            transcript = transcript._replace(cues=[cue for cue in transcript.cues if is_visible(cue.text)])
            for cue in transcript.cues:
                cues[int(np.argmax([channel.speech_in(cue.span) for channel in channels]))].append(cue)
            speech = sorted(span for spans in utterances for span in spans)
            if beyond := _describe_overrun(transcript.cues, row["duration_s"] or math.inf):
                doubts.setdefault(name_of(transcriber), []).extend(beyond)
            if (misfit := describe_misfit([cue.span for cue in transcript.cues], speech)) is not None:
                doubts.setdefault(name_of(transcriber), []).append(misfit)
        else:
            for index, (channel, spans) in enumerate(zip(channels, utterances, strict=True)):
                transcript, name = first_transcript(
                    [transcriber], channel.samples, spans, language=language, on_error=reject
                )
                cues[index], source = transcript.cues, source or name
        if source is not None:
            break
    for subject, sentences in doubts.items():
        rows.reject(subject, InvalidRow("; ".join(sentences)))
    if source is None:
        return SourceTranscript(cues, None, language)
    texts = " ".join(cue.text for channel_cues in cues for cue in channel_cues)
    return SourceTranscript(cues, source, language or transcript.language or detect_language(texts))


def _describe_overrun(cues: Sequence[Cue], duration_s: float) -> list[str]:
    """Return sentences on the cues of subtitles that begin or end after the end of the file."""
    late = sum(cue.span.start_s >= duration_s for cue in cues)
    cut = sum(cue.span.start_s < duration_s < cue.span.end_s - _OVERRUN_S for cue in cues)
    sentences = [f"{late} of its cues {verb_of(late, 'begins', 'begin')} after the end of the file"] if late else []
    if cut:
        sentences.append(f"{cut} of its cues {verb_of(cut, 'is', 'are')} cut at the end of the file")
    return sentences


def split_by_word(channel: Channel, cues: Sequence[Cue], spans: Sequence[Span], *, align: bool) -> list[SpanText]:
    """Return what is said in each span; cues that lie in several spans are split by the times of their words."""
    timed: list[tuple[Word, str | None]] = []
    sources: set[WordTimes] = set()
    for cue in cues:
        text = SpanText(cue.text, None, cue.words, None, (cue,))
        words, source = _word_times(channel, text, cue.span, align=align)
        timed += [(word, cue.speaker) for word in words]
        sources.add(source)
    by_reliability: tuple[WordTimes, ...] = ("proportional", "aligned")
    return assign_words(timed, spans, next((source for source in by_reliability if source in sources), "native"))


def time_words(channel: Channel, texts: Sequence[SpanText], spans: Sequence[Span], *, align: bool) -> list[SpanText]:
    """Return the text of each span with the times of its words."""
    timed = []
    for text, span in zip(texts, spans, strict=True):
        if text.text is not None:
            words, source = _word_times(channel, text, span, align=align)
            text = text._replace(words=tuple(words), word_times=source if words else None)
        timed.append(text)
    return timed


def _word_times(channel: Channel, text: SpanText, span: Span, *, align: bool) -> tuple[list[Word], WordTimes]:
    """Return when the words of a span are spoken, by the most reliable method that works for all of them."""
    if text.words:
        return list(text.words), "native"
    pieces = _cues_within(text, span)
    if align and (words := _align(channel, text, pieces, span)) is not None:
        return words, "aligned"
    speech = [(piece, speech_spans(channel.probabilities, part)) for piece, part in pieces]
    return [word for piece, spans in speech for word in spread_words(piece, spans)], "proportional"


def _cues_within(text: SpanText, span: Span) -> list[tuple[str, Span]]:
    parts = [Span(max(cue.span.start_s, span.start_s), min(cue.span.end_s, span.end_s)) for cue in text.cues]
    return [(cue.text, part) for cue, part in zip(text.cues, parts, strict=True) if part.end_s > part.start_s]


def _align(channel: Channel, text: SpanText, pieces: Sequence[tuple[str, Span]], span: Span) -> list[Word] | None:
    if channel.samples is None:
        return None
    # Subtitles are often early or late: the whole item holds their words better, unless it is long.
    if span.end_s - span.start_s <= MAX_ALIGNED_S:
        pieces = [(text.text or "", span)]
    words: list[Word] = []
    for piece, part in pieces:
        aligned = align_english(channel.samples, part, piece)
        if aligned is None:
            return None
        words += aligned
    return clip_ends(words, speech_spans(channel.probabilities, span))
