"""Take corrected files of tiers back as judgements of the person who corrected them."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

from curate.annotation.importing.values import similar
from curate.corpus.judgements import Judgement, newest_acts, time_after
from curate.corpus.tombstones import Tombstones
from curate.corpus.view import Corpus
from curate.errors import InvalidInput, InvalidRow
from curate.labels import Field, to_context
from curate.media.tiers.contents import QUOTED, TierFile
from curate.media.tiers.open import read_tier_file
from curate.stages.tables.importing import Imported
from curate.stages.tier_files.contents import NOTE_TIER, SUFFIXES, FileNotes, field_of, notes_of, timelines, to_segment

SERVER = "import:tiers"
_ITEM_COLUMNS = ("item_id", "layout", "start_s", "end_s", "frame_rate_hz")
_Row = Mapping[str, Any]


class _Corrected(NamedTuple):
    """What a person says of an item in a file, and where each value started."""

    file: Path
    item_id: str
    rater: str
    values: dict[str, Any]
    origins: dict[str, str]
    prelabel_id: str | None


def import_tiers(corpus: Corpus, path: Path, *, rater: str | None = None, is_strict: bool = False) -> Imported:
    """Append what people corrected in a file of tiers, or in those of a folder, to ``annotations``.

    Who corrected is ``rater``, else the ANNOTATOR of the tier. A value that is as the proposal was counts as well, with
    the origin ``prediction``. Importing a file again adds nothing unless it has changed. Raises ``InvalidInput`` if
    there are no such files or nobody is named, and with ``is_strict`` for anything that cannot be used.
    """
    files = _files(path)
    if not files:
        named = "has no" if path.is_dir() else "is none of the"
        hint = "--map FILE says what the columns of a table mean, and --format TOOL reads what another tool exported"
        raise InvalidInput(f"{path} {named} {' and '.join(SUFFIXES.values())} files", hint=hint)
    fields = timelines(corpus.labels)
    items = {row["item_id"]: row for row in corpus.read("items", _ITEM_COLUMNS).to_pylist()}
    prelabels = {row["prelabel_id"]: row for row in corpus.read("prelabels", ["prelabel_id", *fields]).to_pylist()}
    problems: list[str] = []
    corrected: dict[tuple[str, str], _Corrected] = {}
    for file in files:
        try:
            done = _read(file, fields, items, prelabels, rater, corpus.labels.name, problems)
        except InvalidRow as error:
            problems.append(f"{file.name}: {error.message}")
            continue
        except OSError as error:
            problems.append(f"{file.name} cannot be read: {error.strerror}")
            continue
        if (first := corrected.setdefault((done.item_id, done.rater), done)) is not done:
            problems.append(f"{file.name}: {done.rater} corrected the same item in {first.file.name}, which counts")
    if is_strict and problems:
        raise InvalidInput(f"{path} has files that cannot be used; nothing was imported", problems=tuple(problems))
    counts = _append(corpus, list(corrected.values()), items)
    numbers = (counts["created"], counts["updated"], 0)
    return Imported(len(corrected), len({item_id for item_id, _ in corrected}), *numbers, tuple(problems))


def _files(path: Path) -> list[Path]:
    suffixes = {suffix.lower() for suffix in SUFFIXES.values()}
    paths = sorted(path.iterdir()) if path.is_dir() else [path]
    return [
        file for file in paths if file.suffix.lower() in suffixes and file.is_file() and not file.name.startswith(".")
    ]


def _read(
    file: Path,
    fields: Mapping[str, Field],
    items: Mapping[str, _Row],
    prelabels: Mapping[str, _Row],
    rater: str | None,
    schema: str,
    problems: list[str],
) -> _Corrected:
    """Return what a file says. Raises ``InvalidRow`` if it cannot be used as a whole."""
    tiers = read_tier_file(file)
    notes = notes_of(tiers)
    if notes is None:
        raise InvalidRow("it does not say which item it is of: import it by a table with --map")
    if notes.schema != schema:
        raise InvalidRow(f"it was written for {notes.schema[:QUOTED]}, and the recipe has {schema}: export it again")
    item = items.get(notes.item_id)
    if item is None:
        raise InvalidRow(f"item {notes.item_id[:QUOTED]!r} is not in the workspace any longer")
    own_tiers = [tier for tier in tiers.tiers.values() if field_of(tier.name, fields) is not None]
    annotators = list(dict.fromkeys(tier.annotator.strip() for tier in own_tiers if tier.annotator.strip()))
    if rater is None and len(annotators) != 1:
        raise InvalidRow(
            "its tiers are of " + " and ".join(name[:QUOTED] for name in annotators) + ", and a file is of one person: "
            "add --rater NAME, or give each a file of their own"
            if annotators
            else "it does not say who corrected it: add --rater NAME, or set the tier's annotator in ELAN"
        )
    person = rater or annotators[0]
    problems += [f"{file.name}: {fault.sentence}" for fault in tiers.faults]
    values: dict[str, Any] = {}
    origins: dict[str, str] = {}
    for name, field in fields.items():
        if not any(field_of(tier.name, fields) == name for tier in own_tiers):
            problems.append(f"{file.name}: tier {name} is gone, so that {name} counts as not answered")
            continue
        value = _value(file, tiers, name, fields, item, problems)
        started = prelabels.get(notes.started_from.get(name, ""))
        proposed = None if started is None or started[name] is None else field.check(started[name], to_context(item))
        if value is not None:
            values[name] = value
            origins[name] = (
                "manual" if proposed is None else "prediction" if value == proposed else "prediction-changed"
            )
    if not values and not notes.started_from:
        raise InvalidRow("nothing is marked in it: it counts as not judged")
    others = Counter(
        annotation.tier
        for annotation in tiers.annotations
        if field_of(annotation.tier, fields) is None and "@" not in annotation.tier and annotation.tier != NOTE_TIER
    )
    problems += [
        f"{file.name}: tier {tier[:QUOTED]!r} ({count}) is no field: not read" for tier, count in others.items()
    ]
    return _Corrected(file, notes.item_id, person, values, origins, _prelabel_id(notes, prelabels))


def _prelabel_id(notes: FileNotes, prelabels: Mapping[str, _Row]) -> str | None:
    return next((name for name in notes.started_from.values() if name in prelabels), None)


def _value(file: Path, tiers: TierFile, name: str, fields: Mapping[str, Field], item: _Row, problems: list[str]) -> Any:
    """Return the stretches that lie within the item; those that do not, or have no label, are problems."""
    field, context = fields[name], to_context(item)
    segments: list[dict[str, Any]] = []
    own = (annotation for annotation in tiers.annotations if field_of(annotation.tier, fields) == name)
    for annotation in sorted(own, key=lambda entry: (entry.start_s, entry.end_s)):
        where = f"{file.name}: {f'annotation {annotation.name}' if annotation.name else f'line {annotation.line}'}"
        label = similar(annotation.text, list(field.labels))
        if label is None:
            said = (
                f"{annotation.text[:QUOTED]!r} is not a label of {name}"
                if annotation.text.strip()
                else "it has no label"
            )
            problems.append(f"{where}: {said}")
            continue
        segment = to_segment(annotation, tiers.start_s, label)
        try:
            field.check([*segments[-1:], segment])
        except ValueError as error:
            problems.append(f"{where}: {error}")
            continue
        if field.within([segment], context) is None:
            problems.append(f"{where}: it lies outside of the item")
            continue
        segments.append(segment)
    try:
        return field.within(field.check(segments), context) if segments else None
    except ValueError as error:
        raise InvalidRow(f"tier {name}: {error}") from error


def _append(corpus: Corpus, corrected: Sequence[_Corrected], items: Mapping[str, _Row]) -> Counter[str]:
    """Append the acts that say something new, in one transaction, and return how many of each kind there are."""
    stored = corpus.table("annotations").read(matching=("server", [SERVER]))
    newest = {act["judgement_id"]: act for act in newest_acts(stored).to_pylist()}
    forgotten = Tombstones.read(corpus.workspace).holds("annotator", {done.rater for done in corrected})
    rows = list(_new_rows(corpus, corrected, items, newest, forgotten))
    corpus.append("annotations", rows, metadata={"stage": "annotate", "from": SERVER})
    return Counter("created" if row["action"] == "created" else "updated" for row in rows)


def _new_rows(
    corpus: Corpus,
    corrected: Sequence[_Corrected],
    items: Mapping[str, _Row],
    newest: Mapping[str, _Row],
    forgotten: frozenset[str] | set[str],
) -> Iterator[dict[str, Any]]:
    now = datetime.now(UTC)
    for done in corrected:
        if done.rater in forgotten:
            continue
        judgement = Judgement(
            item_id=done.item_id,
            rater=done.rater,
            identity=(SERVER, done.item_id, done.rater),
            revision=(),
            values=done.values,
            acted_at=now,
            origins=done.origins,
            arm=f"{items[done.item_id]['layout']} {'pre-filled' if done.prelabel_id else 'blind'}",
            prelabel_id=done.prelabel_id,
            server=SERVER,
        )
        last = newest.get(judgement.judgement_id)
        row = judgement.to_row(corpus.labels)
        if last is None:
            yield row
            continue
        is_same = all(last[name] == row[name] for name in corpus.labels.fields)
        if is_same and last["action"] != "deleted":
            continue
        action = "restored" if last["action"] == "deleted" else "updated"
        revised = {"action": action, "acted_at": time_after(last, now)}
        again = Judgement(**{**judgement.__dict__, "revision": (last["annotation_id"],), **revised})
        yield again.to_row(corpus.labels)
