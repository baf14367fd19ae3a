"""The pictures of one source: shots, faces, and whose face goes with each item."""

from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

from curate.errors import InvalidRow
from curate.media.container.decode import Samples, Span, merge, read_pictures
from curate.media.container.probe import probe
from curate.media.container.render import render_audio, render_video
from curate.media.faces.crops import Crop
from curate.media.faces.detector import FaceDetector
from curate.media.faces.watch import FaceTrack, Watched, watch
from curate.media.shots import ShotFinder
from curate.media.speech.active_speaker import who_speaks
from curate.stages.contract import Rejection, Tools
from curate.stages.preprocess.rows import Part, face_id
from curate.stages.preprocess.settings import Faces
from curate.stages.preprocess.sound import Channel

_BEFORE_S = 1.0
_SHORTEST_VIDEO_S = 0.5


def cuts_after(path: Path, start_s: float, end_s: float) -> Iterator[float]:
    """When the shots begin that begin between two times, as they are found; none where the video cannot be read."""
    finder = ShotFinder()
    # A cut is told by the few frames before it.
    seen = Span(max(0.0, start_s - _BEFORE_S), end_s)
    try:
        with closing(read_pictures(path, [seen], ahead=True)) as pictures:
            for picture in pictures:
                if finder.see(picture.time_s, picture.to_planes().thumb()) and picture.time_s >= start_s:
                    yield picture.time_s
    except InvalidRow:
        return


def shot_spans(watched: Watched, end_s: float) -> list[Span]:
    """The shots as items, in whole milliseconds, the last one up to where the pictures or the sound end."""
    shots = [Span(round(start_s, 3), round(end_s, 3)) for start_s, end_s in watched.shots]
    return [*shots[:-1], shots[-1]._replace(end_s=round(max(shots[-1].end_s, end_s), 3))] if shots else []


def watch_faces(
    path: Path, spans: Sequence[Span], settings: Faces, detector: FaceDetector, tools: Tools, *, gap_s: float
) -> Watched:
    """The faces and shots seen in the spans, which may overlap; those less than ``gap_s`` apart are seen as one."""
    return watch(
        path,
        merge(spans, gap_s),
        detector,
        every=settings.every,
        min_face_px=settings.min_face_px,
        size_px=settings.size_px,
        crops=settings.keep,
        keep=tools.blobs.put,
    )


def show_faces(
    items: Sequence[dict[str, Any]],
    spans: Sequence[Span],
    heard: Sequence[Span],
    channel: Channel,
    watched: Watched,
    tools: Tools,
) -> None:
    """Give each item the face of who speaks in it, or likeliest does; where nobody does, the face that is seen most.

    Who speaks is asked of the spans ``heard``, in order and apart: the utterances where items are too short to tell.
    """
    answers = who_speaks(watched, channel.samples, heard) if channel.samples is not None and watched.tracks else []
    for item, span in zip(items, spans, strict=True):
        track: FaceTrack | None = None
        place = _most_shared(span, heard)
        if answers and place is not None and item.get("speech_share"):
            answer = answers[place]
            item |= {"face_outcome": answer.outcome, "face_score": answer.score}
            track = None if answer.track is None else watched.tracks[answer.track]
        else:
            here = [one for one in watched.tracks if one.looks_in(span)]
            track = max(here, key=lambda one: (one.looks_in(span), one.size_px), default=None)
        if track is not None:
            item |= face_columns(item["source_id"], track, best_in(track, span), tools)


def _most_shared(span: Span, others: Sequence[Span]) -> int | None:
    """The place of the span, of some in order and apart, that shares most with this one; None where none does."""
    first = bisect_right(others, span.start_s, key=lambda other: other.end_s)
    last = bisect_left(others, span.end_s, key=lambda other: other.start_s)
    shared = [min(span.end_s, one.end_s) - max(span.start_s, one.start_s) for one in others[first:last]]
    return first + shared.index(max(shared)) if shared else None


def best_in(track: FaceTrack, span: Span) -> Crop:
    """The best crop of a track within a span, or of all where there is none."""
    here = [crop for crop in track.best.values() if span.start_s <= crop.time_s <= span.end_s]
    return max(here, key=lambda crop: crop.worth, default=track.crop)


def face_columns(source_id: str, track: FaceTrack, crop: Crop, tools: Tools) -> dict[str, Any]:
    """What an item says of its face."""
    return {
        "face": tools.blobs.put(crop.jpeg, "jpg"),
        "face_id": face_id(source_id, track),
        "face_px": track.size_px,
        "face_sharpness": crop.quality.sharpness,
        "face_brightness": crop.quality.brightness,
    }


def store_media(
    item: dict[str, Any],
    span: Span,
    path: Path,
    samples: Samples | None,
    tools: Tools,
    part: Part,
    *,
    is_video: bool,
) -> None:
    """The media of an item: its exact sound and, where it is long enough to be watched, a viewing copy."""
    if samples is not None:
        item["audio"] = tools.blobs.put(render_audio(samples, span), "flac")
    if is_video and span.end_s - span.start_s >= _SHORTEST_VIDEO_S:
        try:
            item |= _viewing_copy(render_video(path, span, samples), tools)
            item["layout"] = "video"
        except InvalidRow as error:
            if samples is None:
                raise
            subject = f"{item['item_id']}#video"
            part.rejections.append(Rejection(item["source_id"], subject, error.reason, error.message))


def _viewing_copy(mp4: bytes, tools: Tools) -> dict[str, Any]:
    name = tools.blobs.put(mp4, "mp4")
    seen = probe(tools.blobs.path(name))
    return {"video": name, "frame_rate_hz": seen.frame_rate_hz, "width_px": seen.width, "height_px": seen.height}
