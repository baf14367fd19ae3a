"""The pictures of one source: shots, faces, and whose face goes with each item."""

from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

from curate.errors import InvalidRow
from curate.media.container.decode import Span, decode_frames, merge_spans
from curate.media.container.render import viewing_format
from curate.media.faces.analyse import VideoAnalysis, analyse_video
from curate.media.faces.crops import Crop
from curate.media.faces.detector import FaceDetector
from curate.media.faces.face_track import FaceTrack
from curate.media.shots import Shot, ShotDetector
from curate.media.speech.active_speaker import find_active_speakers
from curate.stages.contract import Tools
from curate.stages.preprocess.rows import face_id
from curate.stages.preprocess.settings import Faces
from curate.stages.preprocess.sound import Channel

_LEAD_IN_S = 1.0
_MIN_VIDEO_S = 0.5
_SLACK_S = 0.5


def find_cuts(path: Path, span: Span, *, exact: bool) -> Iterator[float]:
    """Yield the times within a span at which shots begin; none if the video cannot be read.

    Unless they are to be ``exact``, they may be a few frames late, as in ``analyse_spans``.
    """
    detector = ShotDetector()
    # A cut is detected from the few frames before it.
    decoded = Span(max(0.0, span.start_s - _LEAD_IN_S), span.end_s)
    try:
        with closing(decode_frames(path, [decoded], prefetch=True, sparse=not exact)) as frames:
            for frame in frames:
                if detector.add_frame(frame.time_s, frame.to_planes().thumbnail()) and frame.time_s >= span.start_s:
                    yield frame.time_s
    except InvalidRow:
        return


def shot_spans(video: VideoAnalysis, end_s: float) -> list[Span]:
    """Return the shots as items, in whole milliseconds; the last ends where the pictures or the sound end."""
    shots = [Span(round(start_s, 3), round(end_s, 3)) for start_s, end_s in video.shots]
    return [*shots[:-1], shots[-1]._replace(end_s=round(max(shots[-1].end_s, end_s), 3))] if shots else []


def analyse_spans(
    path: Path,
    spans: Sequence[Span],
    settings: Faces,
    detector: FaceDetector,
    tools: Tools,
    *,
    gap_s: float,
    exact_cuts: bool,
) -> VideoAnalysis:
    """Return the faces and shots in the spans, which may overlap; those less than ``gap_s`` apart are joined."""
    return analyse_video(
        path,
        merge_spans(spans, gap_s),
        detector,
        every=settings.every,
        min_face_px=settings.min_face_px,
        size_px=settings.size_px,
        crops=settings.keep,
        store=tools.blobs.put,
        exact_cuts=exact_cuts,
    )


def assign_faces(
    items: Sequence[dict[str, Any]],
    spans: Sequence[Span],
    speech: Sequence[Span],
    channel: Channel,
    video: VideoAnalysis,
    tools: Tools,
) -> None:
    """Give each item the most likely speaker's face; if nobody speaks, the face that is visible longest.

    The active speaker is determined for the spans of ``speech``, which are in order and do not overlap: the utterances
    if items are too short to tell.
    """
    speakers = []
    if channel.samples is not None and video.tracks:
        speakers = find_active_speakers(video.tracks, channel.samples, speech)
    for item, span in zip(items, spans, strict=True):
        track: FaceTrack | None = None
        index = _most_overlapping(span, speech)
        if speakers and index is not None and item.get("speech_share"):
            speaker = speakers[index]
            item |= {"face_outcome": speaker.outcome, "face_score": speaker.score}
            track = None if speaker.track is None else video.tracks[speaker.track]
        else:
            visible = [track for track in video.tracks if track.detections_in(span)]
            track = max(visible, key=lambda track: (track.detections_in(span), track.size_px), default=None)
        if track is not None:
            item |= face_columns(item["source_id"], track, _best_crop(track, span), tools)


def _most_overlapping(span: Span, ordered: Sequence[Span]) -> int | None:
    """Return the index of the span, of those in order and without overlap, that this one overlaps most, or None."""
    first = bisect_right(ordered, span.start_s, key=lambda candidate: candidate.end_s)
    last = bisect_left(ordered, span.end_s, key=lambda candidate: candidate.start_s)
    overlaps = [
        min(span.end_s, candidate.end_s) - max(span.start_s, candidate.start_s) for candidate in ordered[first:last]
    ]
    return first + overlaps.index(max(overlaps)) if overlaps else None


def _best_crop(track: FaceTrack, span: Span) -> Crop:
    """Return the best crop of a track within a span, or of the whole track if there is none."""
    crops = [crop for crop in track.best.values() if span.start_s <= crop.time_s <= span.end_s]
    return max(crops, key=lambda crop: crop.score, default=track.crop)


def face_columns(source_id: str, track: FaceTrack, crop: Crop, tools: Tools) -> dict[str, Any]:
    """Return the columns of ``items`` that describe a face, and store its crop."""
    return {
        "face": tools.blobs.put(crop.jpeg, "jpg"),
        "face_id": face_id(source_id, track),
        "face_px": track.size_px,
        "face_sharpness": crop.quality.sharpness,
        "face_brightness": crop.quality.brightness,
    }


def copy_columns(path: Path) -> dict[str, Any]:
    """Return the columns of ``items`` that describe viewing copies; these are made when somebody is to see them."""
    shape = viewing_format(path)
    rate_hz = float(shape.frame_rate_hz)
    return {"layout": "video", "frame_rate_hz": rate_hz, "width_px": shape.width_px, "height_px": shape.height_px}


def is_long(span: Span) -> bool:
    """Return whether a span is long enough to be watched."""
    return span.end_s - span.start_s >= _MIN_VIDEO_S


def is_shown(span: Span, shots: Sequence[Shot]) -> bool:
    """Return whether there are pictures in a span."""
    return any(s.start_s - _SLACK_S < span.end_s and span.start_s < s.end_s + _SLACK_S for s in shots)
