"""What a folder holds as a corpus: a table of items or judgements, folders for classes, media, posts or dialogues."""

import glob
import os
import re
from collections.abc import Mapping, Sequence
from pathlib import PurePosixPath
from typing import Any, NamedTuple

from curate.annotation.importing.paths import INDEX
from curate.annotation.importing.settings import FILE_COLUMN
from curate.authoring.wizard.columns import Judged, Roles, read_roles
from curate.authoring.wizard.databases import read_database
from curate.authoring.wizard.domains import domain_of
from curate.authoring.wizard.sample import Sample, parsed
from curate.authoring.wizard.survey import MEDIA, TIERS, Survey, globs_for
from curate.authoring.wizard.tiers import read_tiers
from curate.errors import InvalidInput
from curate.sentences import count_of
from curate.stages.tables.delimited import listed
from curate.stages.tables.documents import KEY, VALUE

_UNITS = {"film": "clip", "sound": "clip", "picture": "image", "text": "post"}
_DIALOGUE, _TURN = "dialogue_id", "turn_in_dialogue"
_UTTERANCES = "utterance_emotion.v1"
_MAX_COLUMNS = 12
_MIN_KNOWN = 0.9
_CLASS = r"(?:.*/)?(?P<folder>[^/]+)/[^/]+"
_PART = re.compile(r"train(ing)?|dev|valid(ation)?|val|test|\d+", re.IGNORECASE)
_POST_COLUMNS = frozenset({"text", "speaker", "author", "title", "text_b", "statement"})


class Contents(NamedTuple):
    """How a corpus is taken in: settings of ingest and preprocess, its units, judgements and what to say of it."""

    ingest: Mapping[str, Any]
    units: tuple[str, ...]
    labels: str = _UTTERANCES
    preprocess: Mapping[str, Any] = {}
    judged: Judged | None = None
    has_words: bool = False
    kept_together: tuple[str, ...] = ()
    """Columns of which no value is in two splits, besides speakers and sources"""
    observations: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


def recognise(files: Survey, samples: Sequence[Sample], unread: Sequence[str], *, classes: bool = False) -> Contents:
    """Return what is in a folder; ``unread`` says which tables cannot be read.

    Raises ``InvalidInput`` if there is nothing that curate can take in.
    """
    if databases := files.of("database"):
        return _database(files, databases, [sample.file for sample in samples])
    if tier_files := files.of(TIERS):
        return _tiers(files, tier_files, [sample.file for sample in samples])
    notes = [*unread]
    if dialogues := [sample for sample in samples if _holds_dialogues(sample)]:
        return _dialogues(dialogues, samples)
    media = files.of(*MEDIA)
    tables = [(sample, read_roles(sample, media)) for sample in samples if {*sample.cells} != {KEY, VALUE}]
    usable = [
        (_worth(sample, roles, texts), index, texts)
        for index, (sample, roles) in enumerate(tables)
        if not media or roles.media or files.named
        for texts in [None if roles.is_shown else _texts_of(sample, roles, tables)]
        if roles.is_shown or (roles.key and roles.judged)
    ]
    if usable:
        _, index, texts = max(usable, key=lambda table: table[0])
        return _table(*tables[index], samples, texts, notes)
    columns = [
        f"{sample.file} is not used: its columns are {listed(list(sample.cells)) or 'none'}" for sample in samples
    ]
    notes += columns
    if files.named and columns:
        raise InvalidInput(
            columns[0], hint="it needs a column with a text, or with the names of media files that are there"
        )
    if contents := _classes(files, is_certain=classes) or _media(files):
        return contents._replace(notes=(*contents.notes, *notes))
    # Texts next to a table that cannot be read are rather about it, such as the names of its labels.
    if (texts_alone := files.of("text")) and not unread:
        return Contents({"files": globs_for(texts_alone)}, ("post",), has_words=True, notes=tuple(notes))
    if len(unread) == 1 and not samples:
        raise InvalidInput(unread[0])
    observations = "; ".join(
        [*files.described(), *(f"{count} {suffix}" for suffix, count in files.unread_by_suffix.items() if suffix)]
    )
    raise InvalidInput(
        f"{files.folder} holds no media, no texts and no table of items"
        + (f", but {observations}" if observations else ""),
        problems=tuple(notes),
        hint="a table needs a column with a text, or with the names of media files that are there",
    )


def _database(files: Survey, databases: Sequence[str], others: Sequence[str]) -> Contents:
    database = read_database(files.folder, databases[0])
    kinds = {kind for kind in MEDIA for name in files.of(kind) if name.startswith(database.prefix)}
    unit = "image" if kinds == {"picture"} else "clip"
    return Contents(
        {"licence": database.licence, "tables": [*database.tables]},
        (unit,),
        preprocess={"unit": "clip"} if unit == "clip" else {},
        judged=database.judged,
        observations=database.observations,
        notes=(*database.notes, *(f"{name} is not used" for name in (*databases[1:], *others))),
    )


def _tiers(files: Survey, names: Sequence[str], others: Sequence[str]) -> Contents:
    tiers = read_tiers(files, names)
    return Contents(
        {"tables": [*tiers.tables]},
        ("clip",) if tiers.judged else ("utterance", "window", "clip"),
        preprocess=tiers.preprocess,
        judged=tiers.judged,
        has_words=tiers.judged is None,
        observations=tiers.observations,
        notes=(*tiers.notes, *(f"{name} is not used" for name in others)),
    )


def _worth(sample: Sample, roles: Roles, texts: object) -> tuple[bool, bool, bool, int]:
    """Return what makes a table the one to take: judgements, of what can be shown, one by one, and many."""
    keys = sample.values(roles.key) if roles.key in sample.cells else []
    is_single = roles.judged is not None and (
        roles.judged.form in ("wide", "votes") or roles.rater is not None or len(set(keys)) < len(keys)
    )
    return roles.judged is not None, roles.is_shown or texts is not None, is_single, sample.height


def _texts_of(sample: Sample, roles: Roles, tables: Sequence[tuple[Sample, Roles]]) -> tuple[Sample, Roles] | None:
    """Return the table that has the texts of the items of another, under the same name of the key."""
    for text_sample, text_roles in tables:
        if text_roles.text and text_roles.key == roles.key and roles.key is not None:
            keys = set(text_sample.cells[roles.key])
            if sum(key in keys for key in sample.values(roles.key)) >= _MIN_KNOWN * sample.height:
                return text_sample, text_roles
    return None


def _is_part(file: str, second: str) -> bool:
    """Whether two files with the same columns are parts of one table, by their names."""
    return _PART.sub("", file) == _PART.sub("", second)


def _table(
    sample: Sample,
    roles: Roles,
    samples: Sequence[Sample],
    texts: tuple[Sample, Roles] | None,
    unread: Sequence[str],
) -> Contents:
    alike = [candidate.file for candidate in samples if candidate.cells.keys() == sample.cells.keys()]
    same = [file for file in alike if _is_part(file, sample.file)]
    used = [*same, *([texts[0].file] if texts else [])]
    unit = _UNITS[roles.media_kind or "text"]
    judged = roles.judged
    is_posts = (
        judged is None
        and sample.rows is None
        and roles.text == "text"
        and {*sample.cells} - {*roles.unused_columns} <= {*_POST_COLUMNS, roles.key}
    )
    observations = [_rows(sample), *_meanings(roles)]
    notes = [*unread, *(f"{candidate.file} is not used" for candidate in samples if candidate.file not in used)]
    if more := [file for file in alike if file not in same]:
        notes.append(f"{listed(more)} has the same columns: add it to `table` if it is more of the same")
    if unused := [column for column in roles.unused_columns if column != sample.holder]:
        notes.append(f"columns that are left out: {listed(unused)} (`item: {{keep: [...]}}` keeps them)")
    if judged and any(domain.field["type"] == "scale" for domain in judged.domains.values()):
        notes.append("the ends of scales are those of the numbers in the table: correct them if the scale is wider")
    preprocess = {"unit": "clip"} if unit == "clip" else {}
    if is_posts and all(name.endswith((".csv", ".jsonl")) for name in same):
        return Contents(
            {"files": [*map(glob.escape, same)]},
            ("post",),
            has_words=True,
            observations=tuple(observations),
            notes=tuple(notes),
        )
    item = {"id": roles.key, "media": roles.media, "text": roles.text, "speaker": roles.speaker}
    globs = [*map(glob.escape, same)]
    table: dict[str, Any] = {"table": globs[0] if len(globs) == 1 else globs}
    table |= {"rows": sample.rows} if sample.rows else {}
    tables = [table]
    if texts is not None:
        observations.append(f"the texts are in {texts[0].file}, column {texts[1].text}")
        tables.insert(0, {"table": glob.escape(texts[0].file), "item": {"id": texts[1].key, "text": texts[1].text}})
        table["item_id"] = roles.key
    else:
        table["item"] = {name: value for name, value in item.items() if value is not None}
        if sample.holder:
            table["item"]["keep"] = {sample.holder: _DIALOGUE, INDEX: _TURN}
            observations.append(f"rows of one {sample.holder} stay in one split")
    if judged is not None:
        table |= {"rater": roles.rater} if roles.rater else {}
        table[judged.form] = judged.mapping
    units = (unit,) if judged is not None or roles.media_kind is None else _units_of(roles.media_kind)
    labels = "image_emotion.v1" if unit == "image" else _UTTERANCES
    return Contents(
        {"tables": tables},
        units,
        labels,
        preprocess if judged is not None else {},
        judged,
        roles.text is not None,
        (_DIALOGUE,) if sample.holder else (),
        tuple(observations),
        tuple(notes),
    )


def _meanings(roles: Roles) -> list[str]:
    """Return what the columns were taken for."""
    words = {"text": roles.text, "media": roles.media, "id": roles.key, "rater": roles.rater, "speaker": roles.speaker}
    lines = [f"{meaning}: {column}" for meaning, column in words.items() if column]
    for field, domain in roles.judged.domains.items() if roles.judged else ():
        if domain.field["type"] == "scale":
            values = f"numbers from {domain.field['minimum']:g} to {domain.field['maximum']:g}"
        else:
            values = f"labels of {domain.field['taxonomy']}" if domain.is_shipped else f"labels {listed(domain.labels)}"
        lines.append(f"judgements ({roles.judged.form if roles.judged else ''}) of {field}: {values}")
    return lines


def _rows(sample: Sample) -> str:
    more = "" if sample.is_whole else "more than "
    within = f" in {sample.rows}" if sample.rows else ""
    columns = listed(list(sample.cells)[:_MAX_COLUMNS])
    return f"{sample.file}: {more}{count_of(sample.height, 'row')}{within}, columns {columns}"


def _classes(files: Survey, *, is_certain: bool) -> Contents | None:
    """Return the corpus of a folder whose folders say what is in them."""
    kinds = [kind for kind in (*MEDIA, "text") if files.of(kind)]
    names = files.of(*kinds)
    parents = {PurePosixPath(name).parent.name for name in names}
    if len(parents) < 2 or "" in parents or len({_UNITS[kind] for kind in kinds}) != 1:
        return None
    domain = domain_of(sorted(parents), is_label=is_certain)
    if domain is None or domain.value:
        return None
    field = "emotion" if domain.is_shipped else "label"
    judged = Judged("long", {field: "folder"}, {field: domain}, ("folder",))
    table = {
        "files": globs_for(names),
        "extract": {FILE_COLUMN: _CLASS},
        "item": {"id": FILE_COLUMN, "media": FILE_COLUMN},
        "long": judged.mapping,
    }
    unit = _UNITS[kinds[0]]
    values = f"labels of {domain.field['taxonomy']}" if domain.is_shipped else "labels"
    return Contents(
        {"tables": [table]},
        (unit,),
        preprocess={"unit": "clip"} if unit == "clip" else {},
        judged=judged,
        observations=(f"the folders {listed(sorted(parents))} are {values}",),
    )


def _media(files: Survey) -> Contents | None:
    spoken, pictures = files.of("film", "sound"), files.of("picture")
    if not spoken and not pictures:
        return None
    names = spoken or pictures
    notes = (
        [f"{count_of(len(pictures), 'picture')} not used: they need a recipe of their own"]
        if spoken and pictures
        else []
    )
    folders = {os.path.dirname(name) for name in names}  # noqa: PTH120
    if len(folders) > 1:
        notes.append("if the folders say what is judged, run this again with --classes")
    if spoken and not files.with_subtitles:
        notes.append(
            "there are no subtitles: words need `transcript: {whisper_model: FOLDER}`, else the text stays null"
        )
    kind = "film" if spoken else "picture"
    labels = _UTTERANCES if spoken else "image_emotion.v1"
    ingest = {"files": globs_for(names)}
    return Contents(ingest, _units_of(kind), labels, has_words=bool(files.with_subtitles), notes=tuple(notes))


def _units_of(kind: str) -> tuple[str, ...]:
    """Return the units that files can be cut into."""
    return ("utterance", "window", "frame", "clip") if kind in ("film", "sound") else (_UNITS[kind],)


def _holds_dialogues(sample: Sample) -> bool:
    turns = parsed(next(iter(sample.values("dialogue")), "")) if "dialogue" in sample.cells else None
    return isinstance(turns, list) and all(isinstance(turn, dict) and "text" in turn for turn in turns)


def _dialogues(dialogues: Sequence[Sample], samples: Sequence[Sample]) -> Contents:
    if wrong := [sample.file for sample in dialogues if not sample.file.endswith(".jsonl")]:
        raise InvalidInput(
            f"{wrong[0]} holds dialogues, which curate reads from .jsonl files only",
            hint="write one JSON object a line",
        )
    used = [sample.file for sample in dialogues]
    notes = [f"{sample.file} is not used" for sample in samples if sample.file not in used]
    cells = (parsed(cell) for sample in dialogues for cell in sample.values("dialogue"))
    turns = sum(len(cell) for cell in cells if isinstance(cell, list))
    return Contents(
        {"files": [*map(glob.escape, used)]},
        ("utterance", "post", "dialogue"),
        has_words=True,
        observations=(
            *map(_rows, dialogues),
            f"{count_of(turns, 'turn')} of dialogue, each an item with the turns around it",
        ),
        notes=tuple(notes),
    )
