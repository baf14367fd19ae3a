"""Which rows of the tables are forgotten, and what other rows quote of them."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from curate.corpus.masking import mask_rows
from curate.corpus.stored import all_blob_names, stored_tables
from curate.corpus.tombstones import MASK, Tombstones
from curate.files import sha256_of
from curate.pipeline.forget.words import present_in, replace_words, spellings
from curate.storage.delta import Table
from curate.storage.workspace import Workspace

_ORDER = (
    "rewritten",
    "labels",
    "rejections",
    "prelabels",
    "faces",
    "shots",
    "annotations",
    "signals",
    "items",
    "sources",
)
"""Rows that others are found by go last, so that an interrupted takedown can be finished."""
_MIN_QUOTED_CHARS = 12
_LINKS = ("server", "project_id", "task_id", "server_annotation_id")


class TableChange(NamedTuple):
    """What forgetting does to one table."""

    path: str
    table: Table
    remaining: pa.Table
    removed: pa.Table
    masked: int
    """Rows that stay without what they quoted, or under another name"""
    renamed: frozenset[str] = frozenset()
    """Raters whose judgements stay under another name"""


class Traces(NamedTuple):
    """What would recognise something forgotten in text files: ids and names, and texts."""

    names: frozenset[str]
    texts: frozenset[str]


def table_changes(workspace: Workspace, tombstones: Tombstones) -> list[TableChange]:
    """Return what the tombstones do to each stored table, in the order in which tables are to be rewritten."""
    stored = stored_tables(workspace)
    order = {name: index for index, name in enumerate(_ORDER)}
    paths = sorted(stored, key=lambda path: (order.get(path.partition("/")[0], -1), path))
    rows = {path: stored[path].read_stored() for path in paths}
    context = _Context.of(rows, tombstones)
    return [_change(path, stored[path], rows[path], context) for path in paths]


class _Context(NamedTuple):
    tombstones: Tombstones
    faces: pa.Array
    """Face tracks that only forgotten items show"""
    annotations: pa.Array
    """Judgements that are removed or get another name"""
    judged: pa.Array
    """Items with a judgement that is removed: texts that were written for their labels may tell it"""
    names: pa.Array
    """Ids and files of forgotten sources and items, by which rejections name them"""
    sources: pa.Array
    """Sources of which parts are forgotten"""
    siblings: pa.Array
    """The other items of these sources"""
    quoted: tuple[str, ...]
    """Texts of these parts"""
    identities: Mapping[str, str]
    """New names of persons that were named by a face track that is removed"""

    @classmethod
    def of(cls, rows: Mapping[str, pa.Table], tombstones: Tombstones) -> "_Context":
        items, sources = _split(rows.get("items"), tombstones), _split(rows.get("sources"), tombstones)
        gone, remaining = (_values(part, "face_id") for part in items)
        tracks = rows.get("faces")
        faces = gone - remaining
        if tracks is not None:
            gone_tracks = tracks.filter(tombstones.forgotten_rows(tracks))
            faces |= set(gone_tracks["face_id"].to_pylist()) | _within(items[0], tracks, remaining)
        acts = [table for path, table in rows.items() if path.partition("/")[0] == "annotations"]
        annotations = {name for table in acts for name in _values(_forgotten_acts(table, tombstones), "annotation_id")}
        judged = {name for table in acts for name in _values(_removed_acts(table, tombstones), "item_id")}
        names = {name for part in (items[0], sources[0]) for column in _IDS for name in _values(part, column)}
        partly = _values(items[0], "source_id") - _values(sources[0], "source_id")
        texts = {text for column in ("text", "text_b", "statement") for text in _values(items[0], column)}
        texts = {form for text in texts if len(text) >= _MIN_QUOTED_CHARS for form in spellings(text)}
        near = pa.array(sorted(partly), pa.string())
        siblings = (
            _values(items[1].filter(pc.is_in(items[1]["source_id"], value_set=near)), "item_id") if partly else ()
        )
        return cls(
            tombstones,
            pa.array(sorted(faces), pa.string()),
            pa.array(sorted(annotations), pa.string()),
            pa.array(sorted(judged), pa.string()),
            pa.array(sorted(names), pa.string()),
            near,
            pa.array(sorted(siblings), pa.string()),
            tuple(sorted(texts, key=len, reverse=True)),
            _identities(tracks, faces),
        )


_IDS = ("item_id", "source_id", "file")
_NAMES = (*_IDS, "signal_file", "face_id", "annotation_id", "judgement_id", "prelabel_id")


def _split(rows: pa.Table | None, tombstones: Tombstones) -> tuple[pa.Table, pa.Table]:
    if rows is None:
        return pa.table({}), pa.table({})
    is_forgotten = tombstones.forgotten_rows(rows)
    return rows.filter(is_forgotten), rows.filter(pc.invert(is_forgotten))


def _values(rows: pa.Table, column: str) -> set[str]:
    return set(rows[column].drop_null().unique().to_pylist()) if column in rows.column_names else set()


def _within(items: pa.Table, tracks: pa.Table, remaining_ids: set[str]) -> set[str]:
    """Return the tracks that lie within the seconds of a forgotten item and that no other item shows."""
    if "start_s" not in items.column_names:
        return set()
    spans: dict[str, list[tuple[float, float]]] = {}
    for row in items.select(["source_id", "start_s", "end_s"]).to_pylist():
        if row["start_s"] is not None and row["end_s"] is not None:
            spans.setdefault(row["source_id"], []).append((row["start_s"], row["end_s"]))
    near = tracks.filter(pc.is_in(tracks["source_id"], value_set=pa.array(sorted(spans), pa.string())))
    return {
        row["face_id"]
        for row in near.select(["face_id", "source_id", "start_s", "end_s"]).to_pylist()
        if row["face_id"] not in remaining_ids
        and any(start <= row["start_s"] and row["end_s"] <= end for start, end in spans[row["source_id"]])
    }


def _identities(tracks: pa.Table | None, removed: set[str]) -> dict[str, str]:
    """Return the new name of each person who was named by a removed track: the least id of those that stay."""
    if tracks is None or "identity" not in tracks.column_names:
        return {}
    people: dict[str, list[str]] = {}
    for row in tracks.select(["face_id", "identity"]).to_pylist():
        if row["identity"] in removed and row["face_id"] not in removed:
            people.setdefault(row["identity"], []).append(row["face_id"])
    return {person: min(faces) for person, faces in people.items()}


def _forgotten_acts(table: pa.Table, tombstones: Tombstones) -> pa.Table:
    return table.filter(tombstones.forgotten_rows(table))


def _removed_acts(table: pa.Table, tombstones: Tombstones) -> pa.Table:
    """Return the judgements of which nothing stays, not even under another name."""
    acts = _forgotten_acts(table, tombstones)
    aliases = tombstones.aliases(acts["annotator"].drop_null().unique().to_pylist())
    return acts.filter(pc.invert(pc.is_in(acts["annotator"], value_set=pa.array(sorted(aliases), pa.string()))))


def _change(path: str, table: Table, rows: pa.Table, context: _Context) -> TableChange:
    kind = path.partition("/")[0]
    if kind == "annotations":
        aliases = context.tombstones.aliases(rows["annotator"].drop_null().unique().to_pylist())
        remaining, removed, masked = _annotations(rows, aliases, context)
    else:
        aliases = {}
        is_gone = context.tombstones.forgotten_rows(rows)
        if kind == "labels":
            is_gone = pc.or_(is_gone, _rests_on(rows, context.annotations))
        if kind == "rewritten":
            is_gone = pc.or_(is_gone, pc.is_in(rows["item_id"], value_set=context.judged))
        if kind == "rejections":
            is_gone = pc.or_(is_gone, _names_any(rows, context.names))
        if "face_id" in rows.column_names and kind == "faces":
            is_gone = pc.or_(is_gone, pc.is_in(rows["face_id"], value_set=context.faces))
        remaining, removed, masked = rows.filter(pc.invert(is_gone)), rows.filter(is_gone), 0
    hidden = _rename_people(mask_rows(kind, remaining, context.tombstones), context)
    masked += _count_differing(remaining, hidden)
    hidden, quoting = _mask_texts(kind, hidden, context)
    return TableChange(path, table, hidden, removed, masked + quoting, frozenset(aliases))


def _annotations(rows: pa.Table, aliases: Mapping[str, str], context: _Context) -> tuple[pa.Table, pa.Table, int]:
    """Return the judgements that stay, those of forgotten items and raters, and how many get another name."""
    items = rows.select([name for name in rows.column_names if name != "annotator"])
    is_renamed = pc.is_in(rows["annotator"], value_set=pa.array(sorted(aliases), pa.string()))
    is_rater = context.tombstones.forgotten_rows(rows.select(["annotator"]))
    is_gone = pc.or_(context.tombstones.forgotten_rows(items), pc.and_(is_rater, pc.invert(is_renamed)))
    remaining = rows.filter(pc.invert(is_gone))
    is_renamed = is_renamed.filter(pc.invert(is_gone))
    renamed = [_unlinked(row, aliases) for row in remaining.filter(is_renamed).to_pylist()]
    unchanged = remaining.filter(pc.invert(is_renamed))
    remaining = (
        pa.concat_tables([unchanged, pa.Table.from_pylist(renamed, schema=rows.schema)]) if renamed else remaining
    )
    return remaining, rows.filter(is_gone), len(renamed)


def _unlinked(row: dict[str, Any], aliases: Mapping[str, str]) -> dict[str, Any]:
    """Return a judgement under a random name, with new ids and without its place on the server."""
    alias = aliases[row["annotator"]]
    ids = {name: sha256_of(f"{alias} {row[name]}")[: len(row[name])] for name in ("annotation_id", "judgement_id")}
    raw = row["raw"].replace(row["annotator"], alias) if row["raw"] else row["raw"]
    return {**row, **ids, **dict.fromkeys(_LINKS), "annotator": alias, "raw": raw}


def _rests_on(rows: pa.Table, annotations: pa.Array) -> pa.Array:
    evidence = rows["evidence"].combine_chunks()
    is_one = pc.is_in(pc.list_flatten(evidence), value_set=annotations)
    indices = pc.list_parent_indices(evidence).filter(is_one)
    return pc.is_in(pa.array(range(rows.num_rows), pa.int64()), value_set=indices.unique())


def _names_any(rows: pa.Table, names: pa.Array) -> pa.Array:
    """Return whether a rejection is of something with one of these names, or a part of it (``name#part``)."""
    subjects = pc.list_element(pc.split_pattern(rows["subject"], "#", max_splits=1), 0)
    by_name = (pc.is_in(column, value_set=names) for column in (rows["subject"], rows["parent_id"], subjects))
    first, second, third = by_name
    return pc.or_(pc.or_(first, second), third)


def _rename_people(rows: pa.Table, context: _Context) -> pa.Table:
    """Return the rows with persons under their new names."""
    for column in ("identity", "face_identity"):
        if context.identities and column in rows.column_names:
            values = [context.identities.get(value, value) for value in rows[column].to_pylist()]
            index = rows.schema.get_field_index(column)
            rows = rows.set_column(index, rows.schema.field(index), pa.array(values, pa.string()))
    return rows


def _count_differing(before: pa.Table, after: pa.Table) -> int:
    """Return how many rows differ between two tables with the same rows in the same order."""
    changed = [name for name in before.column_names if not before[name].equals(after[name])]
    pairs = (zip(before[name].to_pylist(), after[name].to_pylist(), strict=True) for name in changed)
    return len({index for column in pairs for index, (old, new) in enumerate(column) if old != new})


def _mask_texts(kind: str, rows: pa.Table, context: _Context) -> tuple[pa.Table, int]:
    """Return the rows without texts and ids of what is forgotten, and how many quoted some."""
    words = context.quoted
    if kind == "rejections":
        return _mask_details(rows, context.names.to_pylist())
    if "source_id" in rows.column_names:
        is_near = pc.is_in(rows["source_id"], value_set=context.sources)
    elif "item_id" in rows.column_names:
        is_near = pc.is_in(rows["item_id"], value_set=context.siblings)
    else:
        return rows, 0
    if kind == "prelabels":
        is_near = pc.or_(is_near, _quoting(rows, words))
    before = rows.filter(is_near).to_pylist() if words else []
    words = present_in(words, (text for row in before for text in _strings(row)))
    after = [_without(row, words) for row in before]
    count = sum(old != new for old, new in zip(before, after, strict=True))
    if not count:
        return rows, 0
    unaffected = rows.filter(pc.invert(is_near))
    return pa.concat_tables([unaffected, pa.Table.from_pylist(after, schema=rows.schema)]), count


def _mask_details(rows: pa.Table, names: Sequence[str]) -> tuple[pa.Table, int]:
    """Return rejections whose sentences say none of the names, and how many did; ``1.wav`` is no part of ``11.wav``."""
    before = rows["detail"].to_pylist()
    words = present_in(sorted(names, key=len, reverse=True), (detail for detail in before if detail))
    after = [detail and replace_words(detail, words, lambda match: MASK * len(match[0])) for detail in before]
    count = sum(old != new for old, new in zip(before, after, strict=True))
    index = rows.schema.get_field_index("detail")
    return (rows.set_column(index, rows.schema.field(index), pa.array(after, pa.string())) if count else rows), count


def _quoting(rows: pa.Table, words: Sequence[str]) -> pa.Array:
    """Return which proposals say something that a forgotten text says, such as one that was shown as an example."""
    quoting = np.zeros(rows.num_rows, np.bool_)
    if words and {"detail", "extras"} <= set(rows.column_names):
        lengths = pc.fill_null(pc.list_value_length(rows["extras"]), 0)
        candidates = pc.indices_nonzero(pc.or_(pc.is_valid(rows["detail"]), pc.greater(lengths, 0))).to_pylist()
        candidate_rows = rows.select(["detail", "extras"]).take(pa.array(candidates, pa.int64())).to_pylist()
        words = present_in(words, (text for row in candidate_rows for text in _strings(row)))
        for index, row in zip(candidates, candidate_rows, strict=True) if words else ():
            quoting[index] = any(word in text for text in _strings(row) for word in words)
    return pa.array(quoting)


def _strings(value: Any) -> Iterator[str]:
    """Yield the texts in a value, however deep in it."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict | list):
        for part in value.values() if isinstance(value, dict) else value:
            yield from _strings(part)


def _without(value: Any, words: Sequence[str]) -> Any:
    """Return a value without any of the words, however deep in it; its texts keep their length."""
    if isinstance(value, str):
        for word in words:
            value = value.replace(word, MASK * len(word))
        return value
    if isinstance(value, dict):
        return {name: _without(part, words) for name, part in value.items()}
    return [_without(part, words) for part in value] if isinstance(value, list) else value


def traces_of(changes: Iterable[TableChange], tombstones: Tombstones) -> Traces:
    """Return what would recognise in text files the rows that are removed, and the raters that are forgotten."""
    names, texts = set[str](), set[str]()
    for change in changes:
        for column in _NAMES:
            names |= _values(change.removed, column)
        names |= all_blob_names(change.removed)
        names |= tombstones.holds("annotator", _values(change.removed, "annotator")) | change.renamed
        names |= tombstones.holds("participant", _values(change.removed, "participant"))
        for column in ("text", "text_b", "statement", "title", "raw"):
            texts |= _values(change.removed, column)
        if "dialogue" in change.removed.column_names:
            turns = change.removed["dialogue"].to_pylist()
            texts |= {turn["text"] for dialogue in turns for turn in dialogue or () if turn["text"]}
    return Traces(frozenset(names), frozenset(text for text in texts if len(text) >= _MIN_QUOTED_CHARS))
