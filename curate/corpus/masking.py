"""What rows that stay show or quote of forgotten items and speakers, taken out of them."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from curate.corpus.tombstones import MASK, Tombstone, Tombstones, is_cut_from

Row = dict[str, Any]
_TIMED = ("times_s", "boxes", "landmarks", "scores")
"""Columns of face tracks with an entry for each look"""


def mask_rows(table: str, rows: pa.Table, tombstones: Tombstones) -> pa.Table:
    """Return rows of any table without texts, turns, pictures, face positions and signals of forgotten parts.

    Only ``sources``, ``items``, ``faces`` and ``signals`` have such. Texts keep their length, so that positions in them
    stay right.
    """
    if table not in _MASKS or not tombstones:
        return rows
    find_parts = tombstones.measured_parts_by_source if table == "signals" else tombstones.parts_by_source
    parts = find_parts(rows["source_id"])
    speakers = _speakers(rows, tombstones)
    is_near = pc.is_in(rows["source_id"], value_set=pa.array(sorted(parts), pa.string()))
    if speakers:
        is_near = pc.or_(is_near, pc.is_valid(rows["dialogue"]))
    before = rows.filter(is_near).to_pylist()
    mask = _MASKS[table]
    after = [mask(row, parts.get(row["source_id"], ()), speakers) for row in before]
    if after == before:
        return rows
    near = np.asarray(is_near)
    # In the same order as before, which callers rely on.
    positions = np.where(near, np.cumsum(near) - 1 + np.count_nonzero(~near), np.cumsum(~near) - 1)
    unaffected = rows.filter(pc.invert(is_near))
    return pa.concat_tables([unaffected, pa.Table.from_pylist(after, schema=rows.schema)]).take(pa.array(positions))


def _speakers(rows: pa.Table, tombstones: Tombstones) -> frozenset[str]:
    """Return the forgotten participants who speak in the dialogues of these rows."""
    if "dialogue" not in rows.column_names or rows["dialogue"].null_count == rows.num_rows:
        return frozenset()
    names = pc.struct_field(pc.list_flatten(rows["dialogue"]), "speaker").drop_null().unique()
    return frozenset(tombstones.holds("participant", names.to_pylist()))


def _mask_source(row: Row, stones: Sequence[Tombstone], speakers: frozenset[str]) -> Row:
    masked, text = _mask_item(row, stones, speakers), row.get("text")
    if row.get("cuts"):
        masked = {**masked, "cuts": [_mask_cut(cut, stones) for cut in row["cuts"]]}
    if not isinstance(text, str):
        return masked
    for start, end in (stone.chars for stone in stones if stone.chars):
        text = text[:start] + MASK * len(text[start:end]) + text[end:]
    return {**masked, "text": text}


def _mask_item(row: Row, stones: Sequence[Tombstone], speakers: frozenset[str]) -> Row:
    if row.get("dialogue") is None:
        return row
    turns = [_mask_turn(number, turn, stones, speakers) for number, turn in enumerate(row["dialogue"])]
    return {**row, "dialogue": turns}


def _mask_cut(cut: Mapping[str, Any], stones: Sequence[Tombstone]) -> Row:
    """Return a stretch without what was said in it if it overlaps forgotten seconds."""
    is_part = any(is_cut_from(stone, cut["start_s"], cut["end_s"], None, None, None) for stone in stones)
    hidden = {"text": MASK * len(cut["text"] or "") or None, "speaker": None, "statement": None}
    return {**cut, **hidden} if is_part else dict(cut)


def _mask_turn(number: int, turn: Mapping[str, Any], stones: Sequence[Tombstone], speakers: frozenset[str]) -> Row:
    hidden = MASK * len(turn["text"] or "")
    if turn.get("speaker") in speakers:
        return {**turn, "speaker": None, "text": hidden}
    number = turn.get("turn", number)
    is_part = any(is_cut_from(s, turn.get("start_s"), turn.get("end_s"), number, None, None) for s in stones)
    return {**turn, "text": hidden} if is_part else dict(turn)


def _mask_track(row: Row, stones: Sequence[Tombstone], speakers: frozenset[str]) -> Row:
    """Return a face track without what was seen in forgotten seconds; its film shows them, and its crop may be one."""
    spans = [(stone.start_s, stone.end_s) for stone in stones if stone.start_s is not None and stone.end_s is not None]
    if not any(start < row["end_s"] and row["start_s"] < end for start, end in spans):
        return row

    def is_seen(time_s: float | None) -> bool:
        return time_s is None or not any(start <= time_s <= end for start, end in spans)

    masked = {**row, "video": None}
    if not is_seen(row["best_time_s"]):
        masked |= {"crop": None, "embedding": None, "best_time_s": None}
    if row["frames"]:
        masked["frames"] = [frame for frame in row["frames"] if is_seen(frame["time_s"])]
    if row["times_s"]:
        visible = [index for index, time_s in enumerate(row["times_s"]) if is_seen(time_s)]
        masked |= {name: [row[name][index] for index in visible] for name in _TIMED if row[name]}
    return masked


def _mask_signal(row: Row, stones: Sequence[Tombstone], speakers: frozenset[str]) -> Row:
    """Return a signal without its values in forgotten seconds; one value for a whole source is of all its parts."""
    spans = [(stone.start_s, stone.end_s) for stone in stones if stone.start_s is not None and stone.end_s is not None]
    if not spans:
        return row
    if row["times_s"] is None:
        return {**row, "values": [[None] * len(values) for values in row["values"]]}
    times_s = np.asarray(row["times_s"], np.float64)
    is_kept = np.ones(len(times_s), np.bool_)
    for start, end in spans:
        is_kept &= (times_s < start) | (times_s >= end)
    if is_kept.all():
        return row
    kept = np.flatnonzero(is_kept).tolist()
    values = [[column[index] for index in kept] for column in row["values"]]
    return {**row, "times_s": times_s[is_kept].tolist(), "values": values}


_MASKS = {"sources": _mask_source, "items": _mask_item, "faces": _mask_track, "signals": _mask_signal}
