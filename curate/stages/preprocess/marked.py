"""Items that a table names as stretches of a recording."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from curate.errors import InvalidRow
from curate.labels.units import Unit
from curate.media.container.decode import Span
from curate.media.words.language import detect_language
from curate.media.words.markup import Cue
from curate.media.words.transcript import SpanText
from curate.stages.preprocess.rows import SourceRows
from curate.stages.preprocess.settings import CutBy
from curate.stages.preprocess.sound import Channel
from curate.stages.preprocess.words import SourceTranscript

_UNITS: tuple[Unit, ...] = ("utterance", "window", "clip")
_CUT_AS: Mapping[CutBy, Unit] = {
    "speech": "utterance",
    "cue": "utterance",
    "window": "window",
    "shot": "clip",
    "clip": "clip",
}
_ROUNDED_S = 0.1
"""By how much ends of recordings are rounded: what tables name beyond that is missing."""
Cut = Mapping[str, Any]


def marked_unit(file: str, wanted: Sequence[str], unit: CutBy | None) -> str:
    """Return which unit of the label schema the stretches are. Raises ``InvalidRow`` if it has none for them."""
    units = _UNITS if unit is None else (_CUT_AS[unit],)
    for name in wanted:
        if name in units:
            return name
    message = f"the label schema asks for {' and '.join(wanted)}, which stretches of {file} cannot give"
    raise InvalidRow(message, reason="no_unit")


def marked_spans(
    row: Mapping[str, Any], duration_s: float, channels: Sequence[Channel], rows: SourceRows
) -> list[list[Span]]:
    """Return the spans of the stretches for each channel, in order: each in the channel where it has most speech.

    Those of which less than half is in the recording are rejected in ``rows``, and those that it cuts are said there.
    Raises ``InvalidRow`` if none is left.
    """
    spans: list[list[Span]] = [[] for _ in channels]
    for cut in row["cuts"]:
        span = _span(cut, duration_s)
        if (problem := _end_problem(cut, span, row["file"], duration_s)) is not None:
            rows.reject(f"{row['file']}#{cut['key']}", problem)
        if span is None:
            continue
        loudest = int(np.argmax([channel.speech_in(span) for channel in channels])) if len(channels) > 1 else 0
        spans[loudest].append(span)
    if not any(spans):
        raise InvalidRow(f"none of the stretches that tables name lies in {row['file']}, which has {duration_s:g} s")
    return [sorted(of_channel) for of_channel in spans]


class MarkedCuts:
    """The stretches of a recording by their spans, to be taken one after the other where several have one span."""

    def __init__(self, row: Mapping[str, Any], duration_s: float) -> None:
        self._by_span: defaultdict[Span, list[Cut]] = defaultdict(list)
        for cut in row.get("cuts") or ():
            if (span := _span(cut, duration_s)) is not None:
                self._by_span[span].append(cut)

    def take(self, span: Span) -> Cut | None:
        """Return the next stretch with this span; None if tables name none."""
        cuts = self._by_span.get(span)
        return cuts.pop(0) if cuts else None


def marked_texts(row: Mapping[str, Any], duration_s: float, spans: Sequence[Span]) -> list[SpanText] | None:
    """Return what tables say is said in each span; None if they say it of no stretch of the recording."""
    if not any(cut["text"] for cut in row["cuts"]):
        return None
    cuts = MarkedCuts(row, duration_s)
    texts = []
    for span in spans:
        cut = cuts.take(span)
        text = None if cut is None else cut["text"]
        texts.append(SpanText(text, cues=(Cue(span, text, None),)) if text else SpanText())
    return texts


def marked_transcript(row: Mapping[str, Any], count: int, language: str | None) -> SourceTranscript | None:
    """Return the transcript of ``count`` channels, whose words tables say; None if they say none."""
    texts = [cut["text"] for cut in row["cuts"] if cut["text"]]
    if not texts:
        return None
    return SourceTranscript([[] for _ in range(count)], "table", language or detect_language(" ".join(texts)))


def columns_of_cut(cut: Cut) -> dict[str, Any]:
    """Return the columns of an item that its stretch decides."""
    columns = {"key": cut["key"]}
    columns |= {"statement": cut["statement"]} if cut["statement"] else {}
    return columns | ({"speaker": cut["speaker"], "speaker_source": "table"} if cut["speaker"] else {})


def _span(cut: Cut, duration_s: float) -> Span | None:
    """Return where a stretch is, cut at the end of the recording; None if less than half of it is before that."""
    start_s, named_end_s = round(cut["start_s"], 3), round(cut["end_s"], 3)
    end_s = min(named_end_s, duration_s)
    return Span(start_s, end_s) if start_s < end_s and end_s - start_s >= (named_end_s - start_s) / 2 else None


def _end_problem(cut: Cut, span: Span | None, file: str, duration_s: float) -> InvalidRow | None:
    """Return what is wrong with the end of a stretch; None if the recording has all of it."""
    if span is not None and cut["end_s"] - duration_s <= _ROUNDED_S:
        return None
    where = f"after the end of {file} at {duration_s:g} s"
    if span is not None:
        message = f"item {cut['key']!r} ends at {cut['end_s']:g} s, {where}: only what is before that is shown"
        return InvalidRow(message, reason="partial")
    if cut["start_s"] >= duration_s:
        return InvalidRow(f"item {cut['key']!r} begins at {cut['start_s']:g} s, {where}")
    times = f"{cut['start_s']:g} to {cut['end_s']:g} s"
    return InvalidRow(f"item {cut['key']!r} is from {times}, most of it {where}: times are in seconds")
