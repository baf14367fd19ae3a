"""The facts that a data card states of a release."""

from collections.abc import Collection, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from curate.corpus.credits import Credits
from curate.corpus.link_names import public_link
from curate.corpus.splitting.separation import Separation
from curate.corpus.view import Corpus
from curate.hub.card_facts import CardFacts
from curate.labels import LabelSchema
from curate.labels.fields.phrases import Words
from curate.media.faces.insightface import licence_note
from curate.release.features import MEDIA
from curate.release.rows import ReleaseTables
from curate.release.write import ManifestHeader, Plan, Written
from curate.sentences import count_of, verb_of

_MAX_NAMED = 3
_ISO_639_1 = 2


def card_facts(
    header: ManifestHeader,
    plan: Plan,
    labels: LabelSchema,
    tables: ReleaseTables,
    separated: Sequence[Separation],
    written: Written,
    notices: Sequence[str],
    makers: Credits,
) -> CardFacts:
    """Return the facts of a card apart from statistics, and from those of ``people_facts``."""
    fields = labels.fields
    taxonomies = [field.scored_taxonomy for field in fields.values() if field.scored_taxonomy is not None]
    languages = _released(tables, plan, "language").drop_null().unique().to_pylist()
    sessions, sources = (_released(tables, plan, name) for name in ("session", "source_id"))
    in_sessions = (sources.filter(sessions.is_valid()), sessions)
    return CardFacts(
        name=makers.title or header.recipe.replace("_", " "),
        version=written.history[-1].version,
        changes=written.history[-1].reason,
        content_sha256=plan.content_sha256,
        recipe=header.recipe,
        label_schema=labels.name,
        fields={name: field.describe() for name, field in fields.items()},
        schemes={name: scheme.model_dump() for name, scheme in header.schemes.items()},
        tool=header.tool,
        separations=separated,
        configurations=written.configurations,
        signals=plan.signals.facts,
        sessions=tuple(pc.count_distinct(values).as_py() for values in in_sessions),
        languages=sorted(language for language in languages if len(language) == _ISO_639_1),
        labels={name: field.labels for name, field in fields.items() if field.labels},
        definitions={
            label.name: label.definition for taxonomy in taxonomies for label in taxonomy.labels if label.definition
        },
        questions={name: _in_all_languages(field.question) for name, field in fields.items() if field.question},
        notices=notices,
        credits=makers,
    )


def licence_notes(corpus: Corpus, tables: ReleaseTables, plan: Plan) -> list[str]:
    """Return the licence notes of the detectors that found the released faces."""
    faces = _released(tables, plan, "face_id").drop_null()
    tracks = corpus.read("faces", ["face_id", "detector"])
    tracks = tracks.filter(pc.is_in(tracks["face_id"], value_set=faces))
    return [note for detector in sorted(tracks["detector"].unique().to_pylist()) if (note := licence_note(detector))]


def losses(corpus: Corpus) -> list[str]:
    """Return what a release lacks because the workers that tried it were killed."""
    rows = corpus.read("rejections", ["stage", "parent_id", "subject", "reason"]).to_pylist()
    lost = [row for row in rows if row["reason"] == "crashed" and row["subject"] == row["parent_id"]]
    if not lost:
        return []
    sources = corpus.read("sources", ["source_id", "file"]).to_pydict()
    files = dict(zip(sources["source_id"], sources["file"], strict=True))
    names = sorted({f"{public_link(files.get(row['parent_id']) or row['parent_id'])} ({row['stage']})" for row in lost})
    quoted = ", ".join(names[:_MAX_NAMED]) + (f" and {len(names) - _MAX_NAMED} more" if len(names) > _MAX_NAMED else "")
    missing = f"{count_of(len(names), 'input')} {verb_of(len(names), 'is', 'are')} missing (crashed)"
    return [f"Incomplete: {missing}, because their worker was killed: {quoted}."]


def withheld_items(count: int, column: str | None = None) -> list[str]:
    """Return what a release says of items that no split can take; ``column`` is the one that divides the files."""
    if not count:
        return []
    if column is not None:
        return [
            f"{count_of(count, 'item')} {verb_of(count, 'is', 'are')} left out: column {column} has no split for them."
        ]
    items = f"{count_of(count, 'new item')} {verb_of(count, 'is', 'are')} withheld"
    return [f"{items}, because each would join items of different splits."]


def media_left_out(corpus: Corpus, media: Collection[str], lacking: Sequence[str]) -> list[str]:
    """Return which media the recipe keeps out of a release, and which viewing copies could not be made."""
    stored = corpus.read("items", list(MEDIA))
    left_out = [name for name in MEDIA if name not in media and stored[name].null_count < stored.num_rows]
    notices = [f"Media left out of this release by its recipe: {', '.join(left_out)}."] if left_out else []
    if lacking:
        verb = verb_of(len(lacking), "is", "are")
        notices.append(f"{len(lacking):,} of {count_of(stored.num_rows, 'item')} {verb} without video: {lacking[0]}.")
    return notices


def _released(tables: ReleaseTables, plan: Plan, column: str) -> pa.ChunkedArray:
    return tables.items[column].take(pa.array(np.concatenate(list(plan.splits.values()))))


def _in_all_languages(words: Words | None) -> str:
    if not isinstance(words, dict):
        return words or ""
    return " / ".join(words.values())
