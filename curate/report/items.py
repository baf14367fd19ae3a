"""The items of a corpus as cards: face, place, words, what was proposed and what people said."""

import base64
import io
from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from curate.errors import StorageFailed
from curate.labels import LabelSchema
from curate.report.words import show_span, show_text, show_value
from curate.storage.blobs import Blobs

MOST_ITEMS = 200
_PICTURE_PX = 168

Row = dict[str, Any]


def item_cards(tables: Mapping[str, list[Row]], schema: LabelSchema, blobs: Blobs) -> str:
    """Cards of at most 200 items, evenly spaced over the corpus."""
    titles = {row["source_id"]: row["title"] or row["file"] for row in tables["sources"]}
    labels = {row["item_id"]: row for row in tables["labels"]}
    prelabels: dict[str, Row] = {}
    for row in tables["prelabels"]:
        if row["final"] and row["outcome"] == "ok":
            prelabels.setdefault(row["item_id"], row)

    def order(row: Row) -> tuple[str, float, str]:
        return str(titles.get(row["source_id"])), row["start_s"] or 0, row["item_id"]

    ordered = sorted(tables["items"], key=order)
    shown = spread(ordered, MOST_ITEMS)
    cards = [
        _card(
            item,
            str(titles.get(item["source_id"]) or ""),
            labels.get(item["item_id"], {}),
            prelabels.get(item["item_id"], {}),
            schema,
            _picture(item, blobs),
        )
        for item in shown
    ]
    if not cards:
        return ""
    note = f"{len(shown)} of {len(ordered):,}, spread over the corpus." if len(shown) < len(ordered) else ""
    return f'<h2>Items</h2><p class="soft">{note}</p><div class="items">{"".join(cards)}</div>'


def spread(rows: Sequence[Row], most: int) -> list[Row]:
    """At most ``most`` rows, evenly spaced."""
    if len(rows) <= most:
        return list(rows)
    return [rows[at * len(rows) // most] for at in range(most)]


def _card(item: Row, title: str, label: Row, proposal: Row, schema: LabelSchema, picture: str) -> str:
    by = {"human": "human", "model": "model"}.get(label.get("label_source") or "", "none")
    badge = {"human": "people", "model": "model", "none": "no label"}[by]
    lines = []
    for name in schema.fields:
        now, was = label.get(name), proposal.get(name)
        if now is None and was is None:
            continue
        proposed = f' <span class="soft">proposed: {show_value(was)}</span>' if was not in (None, now) else ""
        lines.append(f"<dt>{escape(name)}</dt><dd>{'' if now is None else show_value(now)}{proposed}</dd>")
    place = " · ".join(show_text(part) for part in (title, show_span(item), item["speaker"]) if part)
    quote = f'<blockquote dir="auto">{show_text(item["text"])}</blockquote>' if item["text"] else ""
    return (
        f'<div class="panel item{"" if picture else " plain"}">{picture}<div><div class="where"><bdi>{place}</bdi> '
        f'<span class="by {by}">{badge}</span></div>{quote}<dl class="values">{"".join(lines)}</dl></div></div>'
    )


def _picture(item: Row, blobs: Blobs) -> str:
    if not item["face"]:
        return '<div class="blank"></div>' if item["layout"] in ("video", "image") else ""
    from PIL import Image, UnidentifiedImageError

    try:
        with Image.open(blobs.path(item["face"])) as picture:
            picture.draft("RGB", (_PICTURE_PX, _PICTURE_PX))
            small = picture.convert("RGB")
        small.thumbnail((_PICTURE_PX, _PICTURE_PX))
        out = io.BytesIO()
        small.save(out, "JPEG", quality=80)
    except (OSError, UnidentifiedImageError, StorageFailed):
        return '<div class="blank"></div>'
    return f'<img alt="" src="data:image/jpeg;base64,{base64.b64encode(out.getvalue()).decode()}">'
