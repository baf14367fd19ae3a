"""Plan the items of a media file from its sound as a whole: where they are, what is said in them, and by whom."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from curate.errors import InvalidRow
from curate.media import units
from curate.media.container.decode import Span
from curate.media.container.open import AUDIO_RATE_HZ
from curate.media.container.probe import describe_limits
from curate.media.release_memory import release_memory
from curate.media.speech.speakers import SpeakerTurn, find_turn_file, load_turns
from curate.media.words.transcript import assign_cues
from curate.stages.contract import Tools
from curate.stages.preprocess.chunks import Chunk, Voice
from curate.stages.preprocess.marked import marked_spans, marked_texts, marked_transcript, marked_unit
from curate.stages.preprocess.rows import SourceRows
from curate.stages.preprocess.settings import CutBy, ItemsFrom, PreprocessSettings, turns_path
from curate.stages.preprocess.sound import (
    REACH_S,
    cut_at_speakers,
    cut_at_voices,
    find_utterances,
    read_voice_tracks,
    voice_turns,
)
from curate.stages.preprocess.words import SourceTranscript, transcribe_source

_UNITS: dict[CutBy, str] = {
    "speech": "utterance",
    "cue": "utterance",
    "window": "window",
    "shot": "clip",
    "clip": "clip",
}
"""What label schemas call each way to cut."""
_LONG_SOUND_S = 1200.0


def plan_source(row: dict[str, Any], path: Path, settings: PreprocessSettings, tools: Tools, rows: SourceRows) -> Chunk:
    """Return the plan for all of a source, and record in ``rows`` what cannot be used of it.

    Raises ``InvalidRow`` if there will be no items, such as without speech.
    """
    is_marked = bool(row["cuts"])
    cut_by: ItemsFrom = "marked" if is_marked else choose_cut(row["kind"], settings.unit, tools.labels.units)
    unit = marked_unit(row["file"], tools.labels.units, settings.unit) if cut_by == "marked" else _UNITS[cut_by]
    if (row["duration_s"] or 0.0) > _LONG_SOUND_S:
        release_memory()
    is_optional = row["kind"] == "video" and cut_by in ("clip", "shot", "cue", "marked")
    notices = describe_limits(path, row["duration_s"])
    channels = read_voice_tracks(path, settings, is_optional=is_optional, notices=notices)
    if notices:
        rows.reject(f"{row['file']}#part", InvalidRow("; ".join(notices), reason="partial"))
    lengths_s = [len(channel.samples) / AUDIO_RATE_HZ for channel in channels if channel.samples is not None]
    duration_s = round(max(max(lengths_s, default=0.0), row["duration_s"] or 0.0), 3)
    utterances = [find_utterances(channel, settings) for channel in channels]
    turns = _load_turns(row, settings, tools, rows)
    min_s = settings.min_speech_s
    for index, (channel, spans) in enumerate(zip(channels, utterances, strict=True)):
        by_file = cut_at_speakers(channel, spans, turns, min_s=min_s)
        utterances[index] = by_file if turns else cut_at_voices(channel, spans, settings.speakers)
    transcript = marked_transcript(row, len(channels), settings.transcript.language) if is_marked else None
    if transcript is None:
        transcript = transcribe_source(row, channels, utterances, settings, tools, rows)
    for index, (channel, cues) in enumerate(zip(channels, transcript.cues, strict=True)):
        subtitled = [SpeakerTurn(cue.span, cue.speaker) for cue in cues if cue.speaker and not turns]
        utterances[index] = cut_at_speakers(channel, utterances[index], subtitled, min_s=min_s, reach_s=REACH_S)
    if cut_by == "marked":
        item_spans = marked_spans(row, duration_s, channels, rows)
        texts = [marked_texts(row, duration_s, channel_spans) for channel_spans in item_spans]
    else:
        item_spans = _item_spans(cut_by, row, duration_s, utterances, transcript, settings)
        texts = [
            None if cut_by in ("window", "shot") else assign_cues(cues, channel_spans)
            for channel_spans, cues in zip(item_spans, transcript.cues, strict=True)
        ]
    voices = [
        Voice(
            channel,
            channel_spans,
            channel_texts,
            cues,
            speech,
            voice_turns(row["source_id"], channel, speech, settings.speakers),
        )
        for channel, channel_spans, channel_texts, cues, speech in zip(
            channels, item_spans, texts, transcript.cues, utterances, strict=True
        )
    ]
    return Chunk(
        row,
        cut_by,
        unit,
        duration_s,
        span=Span(0.0, math.inf),
        ending="gap",
        watched=[Span(0.0, duration_s)] if cut_by == "shot" else [span for voice in voices for span in voice.spans],
        text_source=transcript.source,
        language=transcript.language,
        turns=turns,
        voices=voices,
    )


def choose_cut(kind: str, unit: CutBy | None, wanted: Sequence[str]) -> CutBy:
    """Return how a source of sound or film is cut. Raises ``InvalidRow`` if the label schema has no such unit."""
    choices: tuple[CutBy, ...] = (unit,) if unit else ("speech", "window", "clip")
    for cut_by in choices:
        if _UNITS[cut_by] in wanted:
            return cut_by
    raise no_unit(f"{kind} cut by {unit}" if unit else kind, wanted)


def no_unit(kind: str, wanted: Sequence[str]) -> InvalidRow:
    """Return the error for a source that cannot give any unit of the label schema."""
    return InvalidRow(f"the label schema asks for {' and '.join(wanted)}, which {kind} cannot give", reason="no_unit")


def no_shots(file: str) -> InvalidRow:
    """Return the error for a source without moving pictures if shots are wanted."""
    return InvalidRow(f"{file} has no moving pictures to find shots in", reason="no_unit")


def _item_spans(
    cut_by: CutBy,
    row: dict[str, Any],
    duration_s: float,
    utterances: list[list[Span]],
    transcript: SourceTranscript,
    settings: PreprocessSettings,
) -> list[list[Span]]:
    """Return the spans of the items of each channel; none yet if they are shots."""
    file = row["file"]
    if cut_by == "speech":
        if not any(utterances):
            raise InvalidRow(f"{file} has no detectable speech", reason="no_speech")
        return utterances
    if cut_by == "cue":
        spans = [units.cue_spans([cue.span for cue in cues], duration_s) for cues in transcript.cues]
        if not any(spans):
            raise InvalidRow(f"{file} has no subtitles to cut it by", reason="no_subtitles")
        return spans
    if cut_by == "window":
        windows = units.windows(duration_s, window_s=settings.window_s, hop_s=settings.hop_s or settings.window_s)
        if not windows:
            raise InvalidRow(f"{file} is shorter than window_s ({settings.window_s:g} s)", reason="too_short")
        return [windows] * len(utterances)
    if cut_by == "shot":
        if row["kind"] != "video":
            raise no_shots(file)
        return [[]] * len(utterances)
    if duration_s > settings.max_clip_s:
        raise InvalidRow(f"{file} is longer than max_clip_s ({settings.max_clip_s:g} s)", reason="too_long")
    return [[Span(0.0, duration_s)]] * len(utterances)


def _load_turns(row: dict[str, Any], settings: PreprocessSettings, tools: Tools, rows: SourceRows) -> list[SpeakerTurn]:
    folder = turns_path(tools.raw, settings.speakers.file)
    turn_file = None if folder is None else find_turn_file(folder, row["file"])
    if turn_file is None:
        return []
    file, is_only_of_media = turn_file
    try:
        turns, problems = load_turns(
            file, row["file"], namesakes=row["namesakes"] or (), is_only_of_media=is_only_of_media
        )
    except InvalidRow as error:
        rows.reject(file.name, error)
        return []
    if problems:
        rows.reject(file.name, InvalidRow("; ".join(problems)))
    return turns
