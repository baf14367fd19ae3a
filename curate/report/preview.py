"""A contact sheet of one source as HTML: shots, sound with utterances and words, face tracks with their crops."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from curate.labels import LabelSchema
from curate.report.page import MediaBudget, media_uri, render_page, show_duration, show_span, thumbnail
from curate.report.sections.items import label_entries
from curate.sentences import count_of
from curate.storage.blobs import Blobs

Row = dict[str, Any]

MAX_STRIPS, MAX_CARDS = 60, 240
_STRIP_S, _WIDTH_PX, _LEFT_PX = 30.0, 1000, 60
# The template draws the sound from 20 to 80 px, the text below it and the faces from 116 px on.
_WAVE_MIDDLE_PX, _WAVE_HALF_PX, _FACES_TOP_PX, _FACE_ROW_PX = 50, 30, 116, 14
_CHARACTER_PX = 5.6
_COLOURS = ("#2f6fde", "#d98b1f", "#23854f", "#a346c4", "#c2453d", "#1b8a9a", "#7a6a2f", "#d0579b")


class Preview(NamedTuple):
    """The rows of one source; ``peaks`` holds the loudest sample (0-1) of each of equal steps of ``step_s``."""

    source: Row
    items: Sequence[Row]
    faces: Sequence[Row]
    shots: Sequence[Row]
    rejections: Sequence[Row]
    peaks: Sequence[float]
    step_s: float
    labels: Mapping[str, Row] = {}
    """The label of each item that has one."""
    proposals: Mapping[str, Row] = {}
    """The final proposal for each item that has one."""
    index_page: str = ""
    """The name of the page that lists all previews."""


class PreviewLink(NamedTuple):
    """What the page of all previews shows of one: its file, title, facts and first picture (a data URI)."""

    file: str
    title: str
    facts: Sequence[str]
    picture: str


def render_index(title: str, links: Sequence[PreviewLink]) -> str:
    """Return the page that lists all previews, as HTML that fetches and runs nothing."""
    return render_page("previews.html", title=f"Previews of {title}", facts=[count_of(len(links), "page")], pages=links)


class _Face(NamedTuple):
    row: Row
    number: int
    colour: str


def describe_source(preview: Preview) -> list[str]:
    """Return the kind, length and size of a source, and what was made of it."""
    source = preview.source
    facts = [
        source["kind"],
        show_duration(source["duration_s"]) if source["duration_s"] else "",
        f"{source['width_px']}×{source['height_px']}" if source["width_px"] else "",
        count_of(len(preview.items), "item"),
        *(count_of(len(rows), noun) for rows, noun in ((preview.faces, "face track"), (preview.shots, "shot")) if rows),
        f"{len(preview.labels):,} labelled" if preview.labels else "",
    ]
    return [fact for fact in facts if fact]


def render_preview(preview: Preview, blobs: Blobs, schema: LabelSchema | None = None) -> str:
    """Return the contact sheet as HTML that fetches and runs nothing; with the schema, labels are shown too."""
    source = preview.source
    tracks = sorted(preview.faces, key=lambda row: row["start_s"])
    faces = [_Face(row, i + 1, _COLOURS[i % len(_COLOURS)]) for i, row in enumerate(tracks)]
    numbers = {face.row["face_id"]: face.number for face in faces}
    items = sorted(preview.items, key=lambda row: (row["start_s"] or 0.0, row["item_id"]))
    room = MediaBudget()
    cards = [_item_card(row, numbers, preview, schema, blobs, room) for row in items[:MAX_CARDS]]
    is_visual = source["kind"] in ("video", "image")
    return render_page(
        "preview.html",
        title=source["title"] or source["file"],
        facts=describe_source(preview),
        index=preview.index_page,
        has_shots=is_visual,
        shows_pictures=is_visual,
        silent=sum(bool(row.get("audio")) and not card["sound"] for row, card in zip(items, cards, strict=False)),
        width=_WIDTH_PX,
        strips=_strips(preview, items, faces),
        items=cards,
        item_count=len(items),
        faces=[_face_card(face, blobs) for face in faces[:MAX_CARDS]],
        face_count=len(faces),
        rejections=preview.rejections[:MAX_CARDS],
    )


class _Strip(NamedTuple):
    """A stretch of the time line and its horizontal scale."""

    start_s: float
    end_s: float

    def x(self, time_s: float) -> float:
        share = (time_s - self.start_s) / (self.end_s - self.start_s)
        return round(_LEFT_PX + (_WIDTH_PX - _LEFT_PX - 6) * min(1.0, max(0.0, share)), 1)

    def span(self, row: Row) -> tuple[float, float]:
        """Return where a row begins, and its length, in pixels."""
        x = self.x(row["start_s"])
        return x, round(self.x(row["end_s"]) - x, 1)

    def overlaps(self, row: Row) -> bool:
        return bool(row["start_s"] < self.end_s and row["end_s"] > self.start_s)


def _strips(preview: Preview, items: Sequence[Row], faces: Sequence[_Face]) -> list[Row]:
    """Return the strips of the time line: 30 s each, or longer for long sources."""
    ends = [preview.source["duration_s"] or 0.0, *(row["end_s"] or 0.0 for row in (*items, *preview.faces))]
    duration_s = max(ends)
    timed = [row for row in items if row["start_s"] is not None and row["end_s"] is not None]
    if duration_s <= 0:
        return []
    length_s = max(min(_STRIP_S, duration_s), duration_s / MAX_STRIPS)
    strips = []
    for index in range(int(-(-duration_s // length_s))):
        strip = _Strip(index * length_s, (index + 1) * length_s)
        visible = [face for face in faces if face.row["start_s"] < strip.end_s and face.row["end_s"] >= strip.start_s]
        marks_s = [strip.start_s + length_s * i / 6 for i in range(6)]
        strips.append(
            {
                "height": _FACES_TOP_PX + _FACE_ROW_PX * len(visible) + 18,
                "shots": [strip.span(row) for row in preview.shots if strip.overlaps(row)],
                "wave": _wave(strip, preview),
                "speech": [_speech(strip, row) for row in timed if strip.overlaps(row)],
                "faces": [_face_bar(strip, face, row) for row, face in enumerate(visible)],
                "axis": [(strip.x(time_s), time_s) for time_s in marks_s],
            }
        )
    return strips


def _wave(strip: _Strip, preview: Preview) -> str:
    """Return the points of the sound's envelope."""
    first, end = int(strip.start_s / preview.step_s), int(strip.end_s / preview.step_s) + 1
    peaks = preview.peaks[first:end]
    points = [(strip.x((first + i) * preview.step_s), peak * _WAVE_HALF_PX) for i, peak in enumerate(peaks)]
    above = [f"{x},{_WAVE_MIDDLE_PX - height:.1f}" for x, height in points]
    below = [f"{x},{_WAVE_MIDDLE_PX + height:.1f}" for x, height in reversed(points)]
    return " ".join([*above, *below])


def _speech(strip: _Strip, row: Row) -> Row:
    x, width = strip.span(row)
    text, room = row["text"] or "", int(width / _CHARACTER_PX)
    label = text if len(text) <= room else f"{text[: max(0, room - 1)]}…"
    words = [word for word in row.get("words") or () if strip.start_s <= word["start_s"] < strip.end_s]
    return {
        "x": x,
        "width": width,
        "text": text,
        "label": label if row["start_s"] >= strip.start_s and room > 1 else "",
        "words": [strip.x(word["start_s"]) for word in words],
    }


def _face_bar(strip: _Strip, face: _Face, row: int) -> Row:
    x, width = strip.span(face.row)
    y = _FACES_TOP_PX + _FACE_ROW_PX * row
    return {"x": x, "y": y, "width": max(2.0, width), "number": face.number, "colour": face.colour}


def _item_card(
    row: Row,
    numbers: Mapping[str, int],
    preview: Preview,
    schema: LabelSchema | None,
    blobs: Blobs,
    room: MediaBudget,
) -> Row:
    face = f"face {numbers[row['face_id']]}" if row["face_id"] in numbers else ""
    score = f" ({row['face_score']:.2f})" if row.get("face_score") is not None else ""
    outcome = f"{row['face_outcome']}{score}" if row.get("face_outcome") else ""
    context = [part for part in (show_span(row), row["speaker"], face, outcome) if part]
    label, proposal = (rows.get(row["item_id"], {}) for rows in (preview.labels, preview.proposals))
    return {
        "picture": thumbnail(row["face"], blobs),
        "place": context,
        "text": row["text"],
        "sound": media_uri(row.get("audio"), blobs, room),
        "source": label.get("label_source") or "none",
        "entries": label_entries(label, proposal, schema) if schema else [],
    }


def _face_card(face: _Face, blobs: Blobs) -> Row:
    row = face.row
    scores = row["scores"] or [0.0]
    angles = [f"{row[name]:+.0f}°" for name in ("yaw_deg", "pitch_deg", "roll_deg") if row.get(name) is not None]
    facts = {
        "score": f"{sum(scores) / len(scores):.2f} over {len(scores):,} looks",
        "size": f"{row['size_px']:.0f} px, {100 * (row['visible_share'] or 0):.0f} % inside",
        "sharpness": f"{row['sharpness']:.0f}",
        "turned": " ".join(angles),
        "person": row["identity"][:8] if row.get("identity") else "",
    }
    picture = thumbnail(row["crop"], blobs)
    return {"picture": picture, "number": face.number, "colour": face.colour, "span": show_span(row), "facts": facts}
