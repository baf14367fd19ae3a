"""Write timelines of items as files of tiers, for people to correct in ELAN or Praat."""

import mimetypes
import os
import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

from curate.corpus.judgements import current_judgements
from curate.corpus.sources import RawFolders, SourceMissing
from curate.corpus.view import Corpus
from curate.errors import InvalidInput
from curate.files import write_whole
from curate.labels import Field
from curate.media.tiers.contents import Annotation, Entry, Tier, Vocabulary
from curate.media.tiers.elan.write import Recording, to_eaf
from curate.media.tiers.textgrid import write_textgrid
from curate.stages.tier_files.contents import (
    NOTE_TIER,
    SUFFIXES,
    FileNotes,
    Form,
    lane_name,
    timelines,
    to_lanes,
)

_ITEM_COLUMNS = ("item_id", "source_id", "unit", "layout", "start_s", "end_s", "audio", "frame_rate_hz")
_NOT_IN_NAMES = re.compile(r"[^\w.-]+")
_MAX_STEM_CHARS, _ID_CHARS = 80, 12
_Row = dict[str, Any]


class Exported(NamedTuple):
    """The folder, how many files there are, how many of them show a proposal, and what is not in them."""

    folder: Path
    files: int
    proposals: int
    left_out: Mapping[str, int]
    unwritten: tuple[str, ...]
    """The fields that are no timelines"""


class _Said(NamedTuple):
    """What a rater or model said of an item: the value of each timeline; the id of a pre-label that stands for it."""

    who: str
    values: Mapping[str, Any]
    prelabel_id: str | None = None


def export_tiers(corpus: Corpus, raw: RawFolders, form: Form, to: Path) -> Exported:
    """Write a file for each item: a tier to correct for each timeline, and one for each rater and model.

    What is to be corrected starts from the proposal, if there is one. ``.eaf`` files link to the raw files; beside a
    TextGrid is the sound of its item. Raises ``InvalidInput`` if the label schema has no timeline, if no item has a
    length, or if the folder is not empty.
    """
    fields = timelines(corpus.labels)
    if not fields:
        raise InvalidInput(
            f"{corpus.labels.name} has no field of type timeline, and tiers hold nothing else",
            hint="`curate annotate push` sends other fields to Label Studio",
        )
    if to.exists() and (not to.is_dir() or any(to.iterdir())):
        raise InvalidInput(f"{to} is not an empty folder", hint="name a new folder, so that no correction is lost")
    left_out = Counter[str]()
    said = _said(corpus, fields)
    sources = {row["source_id"]: row["file"] for row in corpus.read("sources", ["source_id", "file"]).to_pylist()}
    items = corpus.read("items", _ITEM_COLUMNS).to_pylist()
    timed = [item for item in items if item["end_s"] is not None and item["layout"] in ("video", "audio")]
    if not timed:
        raise InvalidInput("no item has a length in time", hint="run ingest and preprocess on recordings first")
    to.mkdir(parents=True, exist_ok=True)
    proposals = 0
    for item in timed:
        file = sources[item["source_id"]]
        name = f"{_stem(file)}.{item['item_id'][:_ID_CHARS]}"
        by_whom = said.get(item["item_id"], [])
        proposal = next((said_by for said_by in by_whom if said_by.prelabel_id is not None), None)
        proposals += proposal is not None
        notes = FileNotes(
            item["item_id"],
            corpus.labels.name,
            {field: str(proposal.prelabel_id) for field in proposal.values} if proposal else {},
        )
        tiers = list(_tiers(fields, by_whom, proposal, item))
        if form == "elan":
            recording = _recording(file, raw, to, item)
            left_out["items whose recording is not there"] += recording is None
            content = to_eaf(
                tiers,
                recordings=[recording] if recording else [],
                vocabularies=[_vocabulary(name, field) for name, field in fields.items()],
                properties=notes.to_properties(),
                written_at=datetime.now(UTC),
            )
            write_whole(to / f"{name}.eaf", content)
        else:
            length_s = round(item["end_s"] - item["start_s"], 3)
            note = [Annotation(0, NOTE_TIER, 0.0, length_s, notes.to_text())]
            named = [(NOTE_TIER, note), *((tier.name, annotations) for tier, annotations in tiers)]
            write_whole(to / f"{name}{SUFFIXES[form]}", write_textgrid(named, 0.0, length_s))
            if item["audio"]:
                suffix = PurePosixPath(item["audio"]).suffix
                write_whole(to / f"{name}{suffix}", corpus.workspace.blobs.read(item["audio"]))
    left_out["items without a length in time"] += len(items) - len(timed)
    unwritten = tuple(name for name in corpus.labels.fields if name not in fields)
    return Exported(to, len(timed), proposals, {name: count for name, count in left_out.items() if count}, unwritten)


def _said(corpus: Corpus, fields: Mapping[str, Field]) -> dict[str, list[_Said]]:
    """Return what models and raters said of each item; the proposal that stands for it first."""
    by_item: defaultdict[str, list[_Said]] = defaultdict(list)
    columns = ["prelabel_id", "item_id", "labeller", "final", *fields]
    prelabels = sorted(corpus.read("prelabels", columns).to_pylist(), key=lambda row: not row["final"])
    for row in prelabels:
        values = {name: row[name] for name in fields if row[name]}
        if values:
            prelabel_id = row["prelabel_id"] if row["final"] else None
            by_item[row["item_id"]].append(_Said(row["labeller"] or "model", values, prelabel_id))
    for row in current_judgements(corpus.read("annotations")).to_pylist():
        values = {name: row[name] for name in fields if row[name]}
        if values:
            by_item[row["item_id"]].append(_Said(row["annotator"] or "unnamed", values))
    return by_item


def _tiers(
    fields: Mapping[str, Field], by_whom: Sequence[_Said], proposal: _Said | None, item: _Row
) -> Iterator[tuple[Tier, Sequence[Annotation]]]:
    for name in fields:
        value = proposal.values.get(name, ()) if proposal else ()
        for number, lane in enumerate(to_lanes(value, name) or [[]]):
            yield Tier(lane_name(name, number), vocabulary=name), lane
    counts: Counter[str] = Counter()
    for said in by_whom:
        for name, value in said.values.items():
            tier = f"{name}@{said.who}"
            counts[tier] += 1
            tier = tier if counts[tier] == 1 else f"{tier} ({counts[tier]})"
            for number, lane in enumerate(to_lanes(value, tier)):
                yield Tier(lane_name(tier, number), annotator=said.who, vocabulary=name), lane


def _vocabulary(name: str, field: Field) -> Vocabulary:
    described = getattr(field, "taxonomy", None)
    definitions = {label.name: label.definition or "" for label in described.labels} if described else {}
    return Vocabulary(name, [Entry(label, definitions.get(label, "")) for label in field.labels])


def _recording(file: str, raw: RawFolders, to: Path, item: _Row) -> Recording | None:
    try:
        path = raw.path(file)
    except (SourceMissing, InvalidInput):
        return None
    kind = mimetypes.guess_type(path.name)[0] or ("video/*" if item["layout"] == "video" else "audio/*")
    return Recording(Path(os.path.relpath(path, to)).as_posix(), kind, item["start_s"] or 0.0)


def _stem(file: str) -> str:
    """Return a name for a file that is none of a folder, whatever the raw file is called."""
    stem = _NOT_IN_NAMES.sub("_", PurePosixPath(file.rpartition("!")[2]).stem)[:_MAX_STEM_CHARS]
    return stem.strip("._-") or "item"
