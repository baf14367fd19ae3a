"""A contact sheet of one source as HTML: shots, sound with segments and words, face tracks with their crops."""

import base64
import io
from collections.abc import Mapping, Sequence
from html import escape
from importlib.resources import files
from typing import Any, NamedTuple

from curate.errors import StorageFailed
from curate.report.words import show_clock, show_duration, show_span, show_text
from curate.storage.blobs import Blobs

Row = dict[str, Any]

MOST_STRIPS, MOST_CARDS = 60, 240
_STRIP_S, _WIDTH, _LEFT = 30.0, 1000, 60
_SHOT_Y, _WAVE_Y, _TEXT_Y, _FACE_Y, _LANE = 4, 20, 88, 116, 14
_WAVE_PX = 60
_PICTURE_PX = 96
_COLOURS = ("#2f6fde", "#d98b1f", "#23854f", "#a346c4", "#c2453d", "#1b8a9a", "#7a6a2f", "#d0579b")
_STYLE = """
svg { display: block; width: 100%; height: auto; margin: 0 0 .5rem; background: var(--card); border-radius: 8px;
  border: 1px solid var(--line); }
svg text { font: 11px system-ui, sans-serif; fill: var(--ink); } svg .soft { fill: var(--soft); }
svg .shot { fill: var(--chip); stroke: var(--line); } svg .wave { fill: var(--count); }
svg .said { fill: var(--human); fill-opacity: .14; stroke: var(--human); stroke-opacity: .5; }
svg .word { stroke: var(--soft); stroke-opacity: .6; }
.item img { width: 84px; height: 84px; }
"""


class Preview(NamedTuple):
    """What is known of one source; ``peaks`` holds the loudest sample (0-1) of each of equal steps of ``step_s``."""

    source: Row
    items: Sequence[Row]
    faces: Sequence[Row]
    shots: Sequence[Row]
    rejections: Sequence[Row]
    peaks: Sequence[float]
    step_s: float


def render_preview(preview: Preview, blobs: Blobs) -> str:
    """The contact sheet as HTML that fetches nothing and runs nothing; all that comes from outside is escaped."""
    source, faces = preview.source, sorted(preview.faces, key=lambda row: row["start_s"])
    title = show_text(source["title"] or source["file"])
    colours = {row["face_id"]: _COLOURS[at % len(_COLOURS)] for at, row in enumerate(faces)}
    numbers = {row["face_id"]: at + 1 for at, row in enumerate(faces)}
    facts = [
        source["kind"],
        show_duration(source["duration_s"]) if source["duration_s"] else "",
        f"{source['width_px']}×{source['height_px']}" if source["width_px"] else "",
        f"{len(preview.items):,} items, {len(faces):,} face tracks, {len(preview.shots):,} shots",
    ]
    items = sorted(preview.items, key=lambda row: (row["start_s"] or 0.0, row["item_id"]))
    body = [
        f"<h1>{title}</h1><p class='soft'>{' · '.join(show_text(fact) for fact in facts if fact)}</p>",
        *_strips(preview, items, faces, colours, numbers),
        _cards("Items", [_item(row, numbers, blobs) for row in items[:MOST_CARDS]], len(items)),
        _cards("Face tracks", [_face(row, numbers, colours, blobs) for row in faces[:MOST_CARDS]], len(faces)),
        _rejected(preview.rejections),
    ]
    style = files("curate.report").joinpath("run.css").read_text(encoding="utf-8") + _STYLE
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta http-equiv="Content-Security-Policy" content="default-src \'none\'; img-src data:; style-src '
        '\'unsafe-inline\'"><meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{title}</title><style>{style}</style></head><body><main>{''.join(body)}</main></body></html>"
    )


def _strips(
    preview: Preview, items: Sequence[Row], faces: Sequence[Row], colours: Mapping[str, str], numbers: Mapping[str, int]
) -> list[str]:
    """The time line, 30 s a strip or more where the source is long."""
    ends = [preview.source["duration_s"] or 0.0, *(row["end_s"] or 0.0 for row in (*items, *faces))]
    duration_s = max(ends)
    timed = [row for row in items if row["start_s"] is not None and row["end_s"] is not None]
    if duration_s <= 0:
        return []
    length_s = max(min(_STRIP_S, duration_s), duration_s / MOST_STRIPS)
    strips = []
    for at in range(int(-(-duration_s // length_s))):
        strip = _Strip(at * length_s, (at + 1) * length_s)
        here = [row for row in faces if row["start_s"] < strip.end_s and row["end_s"] >= strip.start_s]
        parts = [*_shots(strip, preview.shots), *_wave(strip, preview), *_said(strip, timed)]
        for lane, row in enumerate(here):
            parts.append(_lane(strip, lane, row, colours[row["face_id"]], numbers[row["face_id"]]))
        height = _FACE_Y + _LANE * len(here) + 18
        parts += _axis(strip, height)
        strips.append(f'<svg viewBox="0 0 {_WIDTH} {height}" role="img">{"".join(parts)}</svg>')
    return strips


class _Strip(NamedTuple):
    start_s: float
    end_s: float

    def x(self, time_s: float) -> float:
        share = (time_s - self.start_s) / (self.end_s - self.start_s)
        return _LEFT + (_WIDTH - _LEFT - 6) * min(1.0, max(0.0, share))

    def holds(self, row: Row) -> bool:
        return bool(row["start_s"] < self.end_s and row["end_s"] > self.start_s)


def _shots(strip: _Strip, shots: Sequence[Row]) -> list[str]:
    return [
        f'<rect class="shot" x="{strip.x(row["start_s"]):.1f}" y="{_SHOT_Y}" height="12" '
        f'width="{strip.x(row["end_s"]) - strip.x(row["start_s"]):.1f}"/>'
        for row in shots
        if strip.holds(row)
    ]


def _wave(strip: _Strip, preview: Preview) -> list[str]:
    if not preview.peaks:
        return []
    low, high = int(strip.start_s / preview.step_s), int(strip.end_s / preview.step_s) + 1
    peaks, middle = preview.peaks[low:high], _WAVE_Y + _WAVE_PX / 2
    places = [(strip.x((low + at) * preview.step_s), peak * _WAVE_PX / 2) for at, peak in enumerate(peaks)]
    above = [f"{x:.1f},{middle - half:.1f}" for x, half in places]
    below = [f"{x:.1f},{middle + half:.1f}" for x, half in reversed(places)]
    return [f'<polygon class="wave" points="{" ".join([*above, *below])}"/>']


def _said(strip: _Strip, items: Sequence[Row]) -> list[str]:
    parts = []
    for row in items:
        if not strip.holds(row):
            continue
        x0, x1 = strip.x(row["start_s"]), strip.x(row["end_s"])
        height = _TEXT_Y + 16 - _WAVE_Y
        parts.append(f'<rect class="said" x="{x0:.1f}" y="{_WAVE_Y}" width="{x1 - x0:.1f}" height="{height}"/>')
        words = [word for word in row.get("words") or () if strip.start_s <= word["start_s"] < strip.end_s]
        for word in words:
            x = strip.x(word["start_s"])
            parts.append(f'<line class="word" x1="{x:.1f}" x2="{x:.1f}" y1="{_WAVE_Y + _WAVE_PX}" y2="{_TEXT_Y - 2}"/>')
        text, most = row["text"] or "", int((x1 - x0) / 5.6)
        shown = text if len(text) <= most else f"{text[: max(0, most - 1)]}…"
        if row["start_s"] >= strip.start_s and most > 1:
            parts.append(
                f'<text x="{x0 + 3:.1f}" y="{_TEXT_Y + 11}">{escape(shown)}<title>{escape(text)}</title></text>'
            )
    return parts


def _lane(strip: _Strip, lane: int, row: Row, colour: str, number: int) -> str:
    x0, x1, y = strip.x(row["start_s"]), strip.x(row["end_s"]), _FACE_Y + _LANE * lane
    return (
        f'<text class="soft" x="4" y="{y + 9}">face {number}</text>'
        f'<rect x="{x0:.1f}" y="{y}" width="{max(2.0, x1 - x0):.1f}" height="10" rx="3" fill="{colour}"/>'
    )


def _axis(strip: _Strip, height: int) -> list[str]:
    step_s = (strip.end_s - strip.start_s) / 6
    marks = [strip.start_s + step_s * at for at in range(6)]
    labels = [("shots", _SHOT_Y + 10), ("sound", _WAVE_Y + _WAVE_PX // 2 + 4), ("text", _TEXT_Y + 11)]
    return [
        *(f'<text class="soft" x="4" y="{y}">{name}</text>' for name, y in labels),
        *(
            f'<text class="soft" x="{strip.x(time_s):.1f}" y="{height - 4}">{show_clock(time_s)}</text>'
            for time_s in marks
        ),
    ]


def _cards(title: str, cards: Sequence[str], total: int) -> str:
    if not cards:
        return ""
    note = f'<p class="soft">The first {len(cards):,} of {total:,}.</p>' if len(cards) < total else ""
    return f'<h2>{title}</h2>{note}<div class="items">{"".join(cards)}</div>'


def _item(row: Row, numbers: Mapping[str, int], blobs: Blobs) -> str:
    face = f"face {numbers[row['face_id']]}" if row["face_id"] in numbers else ""
    sure = f" ({row['face_score']:.2f})" if row.get("face_score") is not None else ""
    verdict = f"{row['face_outcome']}{sure}" if row.get("face_outcome") else ""
    place = " · ".join(show_text(part) for part in (show_span(row), row["speaker"], face, verdict) if part)
    quote = f'<blockquote dir="auto">{show_text(row["text"])}</blockquote>' if row["text"] else ""
    return (
        f'<div class="panel item">{_picture(row["face"], blobs)}<div><div class="where"><bdi>{place}</bdi></div>'
        f"{quote}</div></div>"
    )


def _face(row: Row, numbers: Mapping[str, int], colours: Mapping[str, str], blobs: Blobs) -> str:
    scores = row["scores"] or [0.0]
    facts = {
        "score": f"{sum(scores) / len(scores):.2f} over {len(scores):,} looks",
        "size": f"{row['size_px']:.0f} px, {100 * (row['visible_share'] or 0):.0f} % inside",
        "sharpness": f"{row['sharpness']:.0f}",
        "turned": " ".join(
            f"{row[name]:+.0f}°" for name in ("yaw_deg", "pitch_deg", "roll_deg") if row.get(name) is not None
        ),
        "person": row["identity"][:8] if row.get("identity") else "",
    }
    lines = "".join(f"<dt>{name}</dt><dd>{show_text(value)}</dd>" for name, value in facts.items() if value)
    colour = colours[row["face_id"]]
    return (
        f'<div class="panel item">{_picture(row["crop"], blobs)}<div><div class="where"><b style="color:{colour}">'
        f'face {numbers[row["face_id"]]}</b> {show_span(row)}</div><dl class="values">{lines}</dl></div></div>'
    )


def _rejected(rows: Sequence[Row]) -> str:
    lines = [f"<li>{show_text(row['reason'])}: {show_text(row['detail'])}</li>" for row in rows[:MOST_CARDS]]
    return f"<h2>Not used</h2><ul>{''.join(lines)}</ul>" if lines else ""


def _picture(blob: str | None, blobs: Blobs) -> str:
    from PIL import Image, UnidentifiedImageError

    if not blob:
        return '<div class="blank"></div>'
    try:
        with Image.open(blobs.path(blob)) as picture:
            picture.draft("RGB", (_PICTURE_PX, _PICTURE_PX))
            small = picture.convert("RGB")
        small.thumbnail((_PICTURE_PX, _PICTURE_PX))
        out = io.BytesIO()
        small.save(out, "JPEG", quality=82)
    except (OSError, UnidentifiedImageError, StorageFailed):
        return '<div class="blank"></div>'
    return f'<img alt="" src="data:image/jpeg;base64,{base64.b64encode(out.getvalue()).decode()}">'
