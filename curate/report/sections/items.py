"""The items of a corpus as cards: face, place, words, what was proposed and what people said."""

import base64
import io
from collections.abc import Iterable, Mapping
from html import escape
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from curate.errors import StorageFailed
from curate.labels import LabelSchema
from curate.report.words import show_span, show_text, show_value
from curate.storage.blobs import Blobs

MOST_ITEMS = 200
_PICTURE_PX = 168

Row = dict[str, Any]


def item_cards(tables: Mapping[str, pa.Table], schema: LabelSchema, blobs: Blobs) -> str:
    """Cards of at most 200 items, evenly spaced over the corpus."""
    sources, items = tables["sources"], tables["items"]
    has_title = pc.greater(pc.utf8_length(pc.fill_null(sources["title"], "")), 0)
    titles = pc.if_else(has_title, sources["title"], sources["file"])
    places = pc.index_in(items["source_id"], value_set=sources["source_id"])
    order = pa.table(
        {"title": titles.take(places), "start_s": pc.fill_null(items["start_s"], 0.0), "id": items["item_id"]}
    )
    ordered = pc.sort_indices(order, [(name, "ascending") for name in order.column_names])
    at = _spread(len(ordered), MOST_ITEMS)
    chosen = ordered.take(pa.array(at, pa.int64()))
    shown = items.take(chosen).to_pylist()
    names = order["title"].take(chosen).to_pylist()
    ids = [item["item_id"] for item in shown]
    labels = {row["item_id"]: row for row in rows_with(tables["labels"], "item_id", ids).to_pylist()}
    rows = rows_with(tables["prelabels"], "item_id", ids)
    failures = {row["item_id"]: row for row in rows.filter(pc.fill_null(rows["final"], False)).to_pylist()}
    prelabels = failures | {row["item_id"]: row for row in reversed(standing(rows).to_pylist())}
    cards = [
        _card(
            item,
            name or "",
            labels.get(item["item_id"], {}),
            prelabels.get(item["item_id"], {}),
            schema,
            _picture(item, blobs),
        )
        for item, name in zip(shown, names, strict=True)
    ]
    if not cards:
        return ""
    note = f"{len(shown)} of {len(ordered):,}, spread over the corpus." if len(shown) < len(ordered) else ""
    return f'<h2>Items</h2><p class="soft">{note}</p><div class="items">{"".join(cards)}</div>'


def standing(prelabels: pa.Table) -> pa.Table:
    """The proposals that stand for their items."""
    return prelabels.filter(pc.and_(pc.fill_null(prelabels["final"], False), pc.equal(prelabels["outcome"], "ok")))


def rows_with(table: pa.Table, column: str, values: Iterable[str]) -> pa.Table:
    """The rows whose column has one of these values."""
    return table.filter(pc.is_in(table[column], value_set=pa.array(list(values), pa.string())))


def _spread(count: int, most: int) -> list[int]:
    """At most ``most`` places, evenly spaced."""
    return list(range(count)) if count <= most else [at * count // most for at in range(most)]


def _card(item: Row, title: str, label: Row, proposal: Row, schema: LabelSchema, picture: str) -> str:
    by = {"human": "human", "model": "model"}.get(label.get("label_source") or "", "none")
    badge = {"human": "people", "model": "model", "none": "no label"}[by]
    lines = []
    for name, field in schema.fields.items():
        now, was = label.get(name), proposal.get(name)
        if now is None and was is None:
            continue
        proposed = f' <span class="soft">proposed: {show_value(field, was)}</span>' if was not in (None, now) else ""
        lines.append(f"<dt>{escape(name)}</dt><dd>{'' if now is None else show_value(field, now)}{proposed}</dd>")
    if proposal.get("outcome", "ok") != "ok":
        why = f": {show_text(proposal['detail'])}" if proposal["detail"] else ""
        lines.append(f'<dt>no proposal</dt><dd class="soft" dir="auto">{show_text(proposal["outcome"])}{why}</dd>')
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
