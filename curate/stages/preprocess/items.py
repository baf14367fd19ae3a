"""Make the items of a chunk, with their media, words, speakers and faces."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from curate.errors import InvalidRow
from curate.media.container.decode import Span, cut_audio
from curate.media.container.render import render_audio
from curate.media.duplicates import sound_hash
from curate.media.faces.analyse import VideoAnalysis
from curate.media.faces.open import open_detector
from curate.media.speech.speakers import dominant_speakers
from curate.media.words.alignment import is_wanted
from curate.stages.contract import Tools
from curate.stages.preprocess.chunks import Chunk, Voice, load_sound
from curate.stages.preprocess.filters import filter_items
from curate.stages.preprocess.marked import MarkedCuts, columns_of_cut
from curate.stages.preprocess.rows import SourceRows, face_rows, item_row, shot_rows
from curate.stages.preprocess.settings import Filters, PreprocessSettings, resolve
from curate.stages.preprocess.sound import Channel, speaker_columns
from curate.stages.preprocess.video import analyse_spans, assign_faces, copy_columns, is_long, is_shown, shot_spans
from curate.stages.preprocess.words import split_by_word, time_words

_TOUCHING_S = 0.001


def add_chunk(
    chunk: Chunk, path: Path, settings: PreprocessSettings, filters: Filters, tools: Tools, rows: SourceRows
) -> None:
    """Add the items of a chunk that pass the filters to ``rows``, with their media, and its faces and shots."""
    is_video = chunk.row["kind"] == "video"
    channels = [load_sound(voice.sound, chunk.row["source_id"], tools.blobs) for voice in chunk.voices]
    video = _analyse_pictures(chunk, path, settings, tools, rows) if is_video else None
    shots = [] if video is None else shot_spans(video, min(chunk.span.end_s, chunk.duration_s))
    timed: list[tuple[dict[str, Any], Span]] = []
    for channel, voice in zip(channels, chunk.voices, strict=True):
        spans = shots if chunk.cut_by == "shot" else voice.spans
        items = _make_items(chunk, channel, voice, spans, settings)
        if video is not None:
            speech = voice.utterances if chunk.cut_by == "window" else spans
            assign_faces(items, spans, speech, channel, video, tools)
        timed += zip(items, spans, strict=True)
    timed.sort(key=lambda pair: (pair[1], pair[0].get("channel") or 0))
    passing = {item["item_id"] for item in filter_items([item for item, _ in timed], filters, rows.rejections)}
    samples = {channel.number: channel.samples for channel in channels}
    copy = None if video is None else copy_columns(path)
    for item, span in timed:
        if item["item_id"] not in passing:
            continue
        sound = samples[item.get("channel")]
        if sound is not None:
            item["audio"] = tools.blobs.put(render_audio(sound, span), "flac")
        if copy is not None and video is not None and is_long(span):
            if is_shown(span, video.shots):
                item |= copy
            else:
                message = f"{path.name} has no pictures at {span.start_s:.2f}-{span.end_s:.2f} s"
                rows.reject(f"{item['item_id']}#video", InvalidRow(message, reason="partial"))
        if sound is None and item["layout"] == "audio":
            continue
        rows.items.append(item)


def _make_items(
    chunk: Chunk, channel: Channel, voice: Voice, spans: Sequence[Span], settings: PreprocessSettings
) -> list[dict[str, Any]]:
    align = is_wanted(settings.transcript.align) and chunk.language == "en"
    if voice.texts is None:
        texts = split_by_word(channel, voice.cues, spans, align=align)
    else:
        texts = time_words(channel, voice.texts, spans, align=align)
    from_file, clustered = (dominant_speakers(turns, spans) for turns in (chunk.turns, voice.turns))
    cuts = MarkedCuts(chunk.row, chunk.duration_s)
    items = []
    for index, (span, text) in enumerate(zip(spans, texts, strict=True)):
        cut = cuts.take(span) if chunk.cut_by == "marked" else None
        detail = None if channel.number is None else f"channel {channel.number}"
        if cut is not None:
            # Two people may speak at the same time, so that only the key tells their stretches apart.
            detail = f"key {cut['key']}"
        item = item_row(chunk.row, chunk.unit, "audio", span, detail=detail) | channel.columns(span, settings.quality)
        item |= {"text": text.text, "text_source": chunk.text_source if text.text else None}
        item |= {"language": chunk.language if text.text else None, "word_time_source": text.word_times}
        item["words"] = [{"word": word.text, "start_s": word.start_s, "end_s": word.end_s} for word in text.words]
        item["sound_hash"] = None if channel.samples is None else sound_hash(cut_audio(channel.samples, span))
        item |= speaker_columns(
            chunk.row["source_id"],
            channel,
            from_file=from_file[index],
            subtitled=text.speaker,
            clustered=clustered[index],
        )
        item |= {} if cut is None else columns_of_cut(cut)
        items.append(item)
    return items


def _analyse_pictures(
    chunk: Chunk, path: Path, settings: PreprocessSettings, tools: Tools, rows: SourceRows
) -> VideoAnalysis | None:
    """Return faces and shots, and add their rows; None if the pictures cannot be decoded but the sound is enough."""
    pack, source_id = resolve(tools.folder, settings.faces.model_pack), chunk.row["source_id"]
    detector = open_detector(pack)
    gap_s, exact_cuts = _TOUCHING_S if chunk.cut_by == "window" else 0.0, chunk.cut_by == "shot"
    try:
        video = analyse_spans(path, chunk.watched, settings.faces, detector, tools, gap_s=gap_s, exact_cuts=exact_cuts)
    except InvalidRow as error:
        if chunk.cut_by == "shot":
            raise
        rows.reject(f"{chunk.row['file']}#video", error)
        return None
    rows.faces.extend(face_rows(source_id, video.tracks, detector.name, pack, tools))
    rows.shots.extend(shot_rows(source_id, video.shots))
    return video
