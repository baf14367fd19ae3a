"""Inputs of derive: a row for each derived item, with all that its source row needs, and one for what was left out."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import pyarrow as pa

from curate.annotation.importing.acts import FIELDS
from curate.annotation.importing.holding import column_type, to_cell
from curate.annotation.importing.judgements import FACTS
from curate.annotation.importing.rows import KEY, LINE
from curate.annotation.importing.settings import FILE_COLUMN
from curate.corpus.spec import table_columns
from curate.files import digest, sha256_of
from curate.labels import LabelSchema
from curate.release.licences import NOT_STATED, combine_licences
from curate.sentences import count_of
from curate.stages.derive.parents import ParentItem
from curate.stages.derive.view import Derived, LeftOut

_MAX_NAMED = 5
_MAX_IN_KEY = 2
_SOURCE = table_columns("sources")
_RECORDED = (
    *("source_id", "key", "title", "licence", "consent", "consent_until", "participant", "text", "text_b"),
    *("statement", "dialogue", "speaker", "columns", "derived", "parents"),
)
RECORD = "record"
_CUT = pa.struct([("start_s", pa.float64()), ("end_s", pa.float64()), ("still_s", pa.float64())])
INPUTS = pa.schema(
    [
        ("file", pa.string()),
        (RECORD, pa.struct([_SOURCE.field(name) for name in _RECORDED])),
        ("cut", _CUT),
        ("problem", pa.string()),
        ("reason", pa.string()),
    ]
)
"""A row with ``record`` is a derived item, its media still blobs of the parents' workspace, of which ``cut`` is to be
taken; one with ``problem`` says how many items were left out for one reason."""


def to_inputs(made: Iterable[Derived | LeftOut], view: str, corpus: str, collection: str | None) -> pa.Table:
    """Return the inputs of a view, in order of their names."""
    rows: dict[str, dict[str, Any]] = {}
    left_out: dict[tuple[str, str], list[str]] = {}
    for result in made:
        if isinstance(result, LeftOut):
            left_out.setdefault((result.reason, result.sentence), []).append(result.item_id)
        elif (problem := _licence_problem(result.parents)) is not None:
            left_out.setdefault(("forbidden", problem), []).append(result.parents[0].item_id)
        else:
            record = to_record(result, view, corpus, collection)
            name = f"{corpus}/{view}#{record['key']}"
            cut = {"start_s": None, "end_s": None, "still_s": result.still_s}
            if result.cut_s is not None:
                cut |= dict(zip(("start_s", "end_s"), result.cut_s, strict=True))
            rows[name] = {
                "file": name,
                RECORD: record,
                "cut": None if set(cut.values()) == {None} else cut,
            }
    for (reason, sentence), ids in left_out.items():
        named = ", ".join(sorted(set(ids))[:_MAX_NAMED])
        problem = f"{count_of(len(ids), 'item')} left out: {sentence} (such as {named})"
        name = f"{corpus}/{view}#{reason}-{sha256_of(sentence)[:8]}"
        rows[name] = {"file": name, "problem": problem, "reason": reason}
    return pa.Table.from_pylist([rows[name] for name in sorted(rows)], schema=INPUTS)


def to_record(item: Derived, view: str, corpus: str, collection: str | None) -> dict[str, Any]:
    """Return the columns of the source of a derived item; its id follows from its content and its parents."""
    first = item.parents[0]
    derived = {
        "view": view,
        "unit": item.unit,
        "layout": item.layout,
        "start_s": item.start_s,
        "end_s": item.end_s,
        "turn": item.turn,
        **item.media,
        **({name: first.row[name] for name in ("frame_rate_hz", "width_px", "height_px")} if item.media else {}),
    }
    content = {
        "text": item.text,
        "text_b": item.text_b,
        "statement": item.statement,
        "speaker": item.speaker,
        "dialogue": None if item.dialogue is None else [dict(turn) for turn in item.dialogue],
    }
    ids = [parent.item_id for parent in item.parents]
    identity = [view, corpus, collection, ids, item.detail, content, derived, item.cut_s, item.still_s]
    used = {name for answer in item.answers for name in answer.evidence}
    licences = combine_licences(parent.source["licence"] for parent in item.parents)
    ends = [parent.source["consent_until"] for parent in item.parents if parent.source["consent_until"]]
    kept = {"parent": " ".join(ids), **_shared_columns(item.parents), **item.facts}
    return {
        "source_id": digest(identity),
        "key": key_of(item),
        "title": _shared(item.parents, "title"),
        "licence": licences.licence or _shared(item.parents, "licence"),
        "consent": "; ".join(dict.fromkeys(p.source["consent"] for p in item.parents if p.source["consent"])) or None,
        "consent_until": min(ends, default=None),
        "participant": _shared(item.parents, "participant"),
        **content,
        "columns": [{"name": name, "value": value} for name, value in kept.items()],
        "derived": {**derived, "group": item.group or first.group},
        "parents": [_lineage(parent, corpus, used) for parent in item.parents],
    }


def judgement_rows(made: Iterable[Derived], labels: LabelSchema, view: str, corpus: str) -> pa.Table:
    """Return the judgements of derived items, as those of tables are (see ``curate.stages.tables.mapped``)."""
    rows = [row for item in made for row in _judgements(item, labels, f"{corpus}/{view}")]
    kinds = {name: pa.int64() if name == LINE else pa.string() for name in (*FACTS, FIELDS)}
    schema = pa.schema({**kinds, **{name: column_type(field) for name, field in labels.fields.items()}})
    return pa.Table.from_pylist(rows, schema=schema)


def _judgements(item: Derived, labels: LabelSchema, file: str) -> Iterator[dict[str, Any]]:
    key = key_of(item)
    for number, answer in enumerate(item.answers, start=1):
        values = {name: to_cell(labels.fields[name].check(v), labels.fields[name]) for name, v in answer.values.items()}
        facts = {KEY: key, FILE_COLUMN: file, LINE: number, "annotator": answer.rater, "arm": answer.arm}
        yield {**facts, FIELDS: ",".join(sorted(values)), **values}


def key_of(item: Derived) -> str:
    """Return what names a derived item among those of its view: its parents and what tells it from their others."""
    ids = [parent.item_id for parent in item.parents]
    if len(ids) > _MAX_IN_KEY:
        ids = [ids[0], digest(ids)[:16]]
    return ":".join(filter(None, [*ids, item.detail]))


def _lineage(parent: ParentItem, corpus: str, used: set[str]) -> dict[str, Any]:
    own = [name for answer in parent.answers for name in answer.evidence if name in used]
    row = parent.row
    facts = {"participant": parent.source["participant"], "speaker": row["speaker"]}
    ids = {"corpus": corpus, "item_id": parent.item_id, "source_id": row["source_id"]}
    return {**ids, **facts, "judgements": sorted(dict.fromkeys(own))}


def _licence_problem(parents: Sequence[ParentItem]) -> str | None:
    licences = {parent.source["licence"] for parent in parents}
    if len(licences) < 2:
        return None
    combination = combine_licences(licences)
    if combination.problems:
        return combination.problems[0]
    if combination.licence is None:
        return f"{' and '.join(sorted(licence or NOT_STATED for licence in licences))} cannot be combined here"
    return None


def _shared(parents: Sequence[ParentItem], name: str) -> str | None:
    """Return what all parents have in common in a column of their sources; None if they differ."""
    values = {parent.source[name] for parent in parents}
    return values.pop() if len(values) == 1 else None


def _shared_columns(parents: Sequence[ParentItem]) -> Mapping[str, str]:
    """Return the kept columns that all parents have alike, and the collection that they are of."""
    kept = [{entry["name"]: entry["value"] for entry in parent.source["columns"] or ()} for parent in parents]
    shared = {name: value for name, value in kept[0].items() if all(other.get(name) == value for other in kept)}
    collection = _shared(parents, "collection")
    return {**shared, **({"parent_collection": collection} if collection else {})}
