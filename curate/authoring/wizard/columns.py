"""What the columns of a table mean: what is judged, who judged, and how the judgements are laid out."""

import re
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import PurePosixPath
from typing import Any, NamedTuple

from curate.authoring.wizard.domains import Domain, domain_of, known_names
from curate.authoring.wizard.sample import Sample
from curate.authoring.wizard.survey import kind_of

_TEXTS = (
    "text utterance sentence comment post tweet content message body review transcript document description caption"
)
_IDS = (
    "id item_id item clip_id clip utterance_id post_id comment_id text_id sample_id uid uuid key name filename "
    "file_name file image image_name picture video audio path"
)
_RATERS = (
    "rater rater_id annotator annotator_id worker worker_id workerid coder coder_id judge labeler evaluator user_id"
)
_SPEAKERS = "speaker author actor writer character who"
_LABELS = "label labels emotion emotions sentiment class polarity stance mood affect feeling expression"
_SCALES = "valence arousal dominance intensity rating score stars pleasantness"
_LETTERS = frozenset("va")
"""Columns of these names, next to each other, are valence and arousal; with them, d is dominance."""
_MIN_KEYS = 0.98
"""The share of rows with a key of their own, if keys do not repeat: the others are rejected in a run."""
_RATER_STEMS = frozenset(f"{_RATERS} r a ann anno c expert reader person".split())
_NUMBERED = re.compile(r"(?P<stem>.*?)[ _.-]?(?P<number>\d{1,3})")
_MIN_MATCHING = 0.8
_MIN_TEXT_CHARS = 12
_MIN_VOTED = 3
_MIN_DIGITS = 3
_FIELD = re.compile(r"[^a-z0-9_]+")


class Judged(NamedTuple):
    """How judgements are laid out, their mapping and domain by field.

    The form is ``long``, ``wide``, ``votes``, ``ticks`` or ``stretches``.
    """

    form: str
    mapping: dict[str, Any]
    domains: dict[str, Domain]
    columns: tuple[str, ...]


class Roles(NamedTuple):
    """What each column is; None where there is none."""

    text: str | None
    media: str | None
    """A path with columns in braces"""
    media_kind: str | None
    key: str | None
    rater: str | None
    speaker: str | None
    judged: Judged | None
    unused_columns: tuple[str, ...]

    @property
    def is_shown(self) -> bool:
        """Whether the table has what is judged: a text or a file."""
        return bool(self.text or self.media)


def read_roles(sample: Sample, files: Collection[str]) -> Roles:
    """Return what the columns of a table mean, given the media files that are there."""
    media_column, media, kind = _media(sample, files)
    text = _text(sample, but=media_column)
    rater = _named(sample, _RATERS)
    speaker = _named(sample, _SPEAKERS)
    taken = {text, media_column, rater, speaker}
    key = media_column or _key(sample, text, taken, repeats=True)
    judged = judged_columns(sample, [name for name in sample.cells if name not in {*taken, key}])
    if judged is not None and judged.form in ("wide", "votes"):
        rater = None
    if judged is None or judged.form != "long":
        key = media_column or _key(sample, text, taken, repeats=rater is not None)
    if sample.rows is not None:
        key = media_column or sample.key
    used = {text, media_column, rater, speaker, key, *(judged.columns if judged else ())}
    return Roles(text, media, kind, key, rater, speaker, judged, tuple(c for c in sample.cells if c not in used))


def judged_columns(sample: Sample, columns: Sequence[str]) -> Judged | None:
    """Return the judgements in a table; None if no column looks like one."""
    return _wide(sample, columns) or _votes(sample, columns) or _long(sample, columns)


def field_name(column: str) -> str:
    """Return the name of a field for a column."""
    name = _FIELD.sub("_", column.strip().casefold()).strip("_")
    return name[:40] if name[:1].isalpha() else f"field_{name}"[:40]


def _wide(sample: Sample, columns: Sequence[str]) -> Judged | None:
    """Return the judgements of a table with a column for each rater, and each field if they judged several."""
    groups: dict[str, dict[str, str]] = {}
    for column in columns:
        if match := _NUMBERED.fullmatch(column):
            groups.setdefault(match["stem"], {})[column] = match["number"]
    mapping: dict[str, Any] = {}
    domains: dict[str, Domain] = {}
    used: list[str] = []
    for stem, members in groups.items():
        is_rater = stem.casefold() in _RATER_STEMS
        is_named = stem.casefold() in (*_LABELS.split(), *_SCALES.split())
        domain = _domain(sample, tuple(members), is_label=is_rater or stem.casefold() in _LABELS.split())
        if len(members) < 2 or domain is None or not (is_rater or is_named or domain.is_shipped):
            continue
        name = _field_of(domain) if is_rater else field_name(stem)
        if name in mapping:
            continue
        mapping[name] = list(members) if is_rater else members
        domains[name] = domain
        used += members
    return Judged("wide", mapping, domains, tuple(used)) if mapping else None


def _votes(sample: Sample, columns: Sequence[str]) -> Judged | None:
    """Return the judgements of a table with a column for each label, with counts or ticks."""
    counted = [column for column in columns if _are_counts(sample.values(column))]
    matched = known_names(counted)
    if matched is None or len(matched[1]) < _MIN_VOTED:
        return None
    taxonomy, labels = matched
    if further_columns := _completing(sample, list(labels), [column for column in counted if column not in labels]):
        names = [*labels, *further_columns]
        domain = Domain({"type": "category"}, labels=tuple(names))
        return Judged("votes", {"emotion": {name: name for name in names}}, {"emotion": domain}, tuple(names))
    is_ticked = all(cell in ("0", "1") for column in labels for cell in sample.values(column))
    field: dict[str, Any] = {"type": "category", "taxonomy": taxonomy.taxonomy}
    if is_ticked:
        domain = Domain({**field, "multiple": True})
        return Judged("ticks", {"emotion": {"columns": labels}}, {"emotion": domain}, tuple(labels))
    return Judged("votes", {"emotion": labels}, {"emotion": Domain(field)}, tuple(labels))


def _completing(sample: Sample, labels: Sequence[str], further_columns: Sequence[str]) -> Sequence[str]:
    """Return the columns with further votes: with them, and not without, most rows have equally many votes."""
    if not further_columns:
        return ()
    totals = [Counter(_totals(sample, columns)).most_common(1)[0] for columns in (labels, [*labels, *further_columns])]
    (_, without), (votes, together) = totals
    is_complete = votes > 1 and together > without and together >= _MIN_MATCHING * sample.height
    return further_columns if is_complete else ()


def _totals(sample: Sample, columns: Sequence[str]) -> list[float]:
    return [
        sum(float(cell or 0) for cell in row) for row in zip(*(sample.cells[name] for name in columns), strict=True)
    ]


def _long(sample: Sample, columns: Sequence[str]) -> Judged | None:
    """Return the judgements of a table with a row for each judgement."""
    mapping: dict[str, Any] = {}
    domains: dict[str, Domain] = {}
    used: list[str] = []
    scales = _SCALES.split()
    if {column.strip().casefold() for column in columns} >= _LETTERS:
        scales += [*_LETTERS, "d"]
    for column in columns:
        name = column.strip().casefold()
        is_label = name in _LABELS.split()
        domain = _domain(sample, (column,), is_label=is_label)
        if domain is None or not (is_label or name in scales or domain.is_shipped):
            continue
        field = field_name(column)
        if field not in mapping:
            mapping[field] = {"column": column, **domain.value} if domain.value else column
            domains[field] = domain
            used.append(column)
    return Judged("long", mapping, domains, tuple(used)) if mapping else None


def _domain(sample: Sample, columns: Sequence[str], *, is_label: bool) -> Domain | None:
    domain = domain_of([cell for column in columns for cell in sample.values(column)], is_label=is_label)
    # Only rows of one judgement say what separates several labels in a cell.
    return None if domain is not None and domain.value and len(columns) > 1 else domain


def _field_of(domain: Domain) -> str:
    if domain.field["type"] == "scale":
        return "rating"
    return "emotion" if domain.is_shipped else "label"


def _are_counts(values: Sequence[str]) -> bool:
    return bool(values) and all(value.removesuffix(".0").isdecimal() for value in values)


def _named(sample: Sample, names: str) -> str | None:
    folded = {column.strip().casefold(): column for column in sample.cells}
    return next((folded[name] for name in names.split() if name in folded), None)


def _text(sample: Sample, *, but: str | None) -> str | None:
    named = _named(sample, _TEXTS)
    if named is not None and named != but and sample.values(named):
        return named
    lengths = {
        column: sum(map(len, values)) / len(values)
        for column in sample.cells
        if column != but
        and (values := sample.values(column))
        and sum(" " in value for value in values) * 2 > len(values)
    }
    longest = max(lengths, key=lambda column: lengths[column], default=None)
    return longest if longest is not None and lengths[longest] >= _MIN_TEXT_CHARS else None


def _key(sample: Sample, text: str | None, taken: Collection[str | None], *, repeats: bool) -> str | None:
    """Return the column that names the items; with ``repeats``, an item may have several rows."""
    for column in _keys(sample, taken):
        cells = sample.cells[column]
        texts = sample.cells[text] if text else cells
        needed = _MIN_KEYS * len(cells)
        if sum(map(bool, cells)) < needed or (not repeats and len(set(cells)) < needed):
            continue
        if len(dict(zip(cells, texts, strict=True))) >= _MIN_KEYS * len(set(zip(cells, texts, strict=True))):
            return column
    return None


def _keys(sample: Sample, taken: Collection[str | None]) -> Iterator[str]:
    names = {"_".join(column.casefold().split()): column for column in sample.cells}
    folded: Mapping[str, str] = {name: column for name, column in names.items() if column not in taken}
    yield from (folded[name] for name in _IDS.split() if name in folded)
    yield from (column for name, column in folded.items() if name.endswith("id") and name not in _IDS.split())


def _media(sample: Sample, files: Collection[str]) -> tuple[str | None, str | None, str | None]:
    """Return the column that names media files, their path with columns in braces, and what they are."""
    by_name: dict[str, list[str]] = {}
    for file in files:
        path = PurePosixPath(file)
        for name in {file, path.name, path.stem, path.with_suffix("").as_posix()}:
            # A short number is more likely a number than a name.
            if not (name.isdecimal() and len(name) < _MIN_DIGITS):
                by_name.setdefault(name, []).append(file)
    for column in sample.cells:
        values = list(dict.fromkeys(sample.values(column)))
        matches = [(value, by_name[value][0]) for value in values if len(by_name.get(value, ())) == 1]
        if values and len(matches) >= _MIN_MATCHING * len(values):
            parts = {(file[: file.rindex(value)], file[file.rindex(value) + len(value) :]) for value, file in matches}
            if len(parts) == 1:
                ((before, after),) = parts
                return column, f"{before}{{{column}}}{after}", kind_of(matches[0][1])
    return None, None, None
