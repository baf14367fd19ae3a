"""What files of tiers hold as a corpus: stretches that raters labelled from a vocabulary, or what is said when."""

import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from copy import deepcopy
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

from curate.authoring.wizard.columns import Judged, field_name
from curate.authoring.wizard.domains import Domain, covering
from curate.authoring.wizard.survey import Survey, globs_for
from curate.errors import InvalidInput, InvalidRow
from curate.media.tiers.contents import Tier, TierFile, Vocabulary
from curate.media.tiers.elan.parse import read_external
from curate.media.tiers.open import read_tier_file
from curate.sentences import count_of
from curate.stages.tables.delimited import listed
from curate.stages.tables.tiers import recording_of

_MAX_FILES = 200
_DEFAULT_CLIP_S, _MAX_CLIP_S = 120, 7_200
_MIN_SEGMENTS = 100
_MAX_SEGMENTS = 10_000
_WHO = re.compile(r"(?P<what>.+?)[ _.@:-]+(?P<who>[^_@:]+)")
_UNKNOWN = "annotator"


class TierCorpus(NamedTuple):
    """The mappings of files of tiers, their judgements (None: each annotation is an item), and what to say of them."""

    tables: tuple[Mapping[str, Any], ...]
    judged: Judged | None
    preprocess: Mapping[str, Any]
    observations: tuple[str, ...]
    notes: tuple[str, ...]


class _Kind(NamedTuple):
    """The tiers that have one vocabulary."""

    vocabulary: Vocabulary
    tiers: dict[str, Tier]


def read_tiers(files: Survey, names: Sequence[str]) -> TierCorpus:
    """Return what files of tiers hold. Raises ``InvalidInput`` if none can be read or all are empty."""
    contents, notes = _read(files.folder, names[:_MAX_FILES])
    if len(names) > _MAX_FILES:
        notes.append(f"only the first {_MAX_FILES} of {len(names):,} files of tiers were looked at")
    if not any(tiers.annotations for tiers in contents.values()):
        raise InvalidInput(
            f"no file of tiers here has an annotation: {'; '.join(notes) or listed(list(contents))}",
            hint="check the files in the tool that wrote them",
        )
    globs = globs_for(list(contents))
    table = {"table": globs[0] if len(globs) == 1 else globs}
    media = _media(files, contents, notes)
    kinds = _kinds(files.folder, contents, notes)
    counts = Counter(annotation.tier for tiers in contents.values() for annotation in tiers.annotations)
    seen = [
        f"{count_of(len(counts), 'tier')}: {', '.join(f'{tier} ({count})' for tier, count in counts.items())[:300]}"
    ]
    if kinds:
        return _judged(table, media, kinds, contents, counts, seen, notes)
    return _spoken(table, media, contents, counts, seen, notes)


def _read(folder: Path, names: Sequence[str]) -> tuple[dict[str, TierFile], list[str]]:
    contents: dict[str, TierFile] = {}
    notes = []
    for name in names:
        try:
            contents[name] = read_tier_file(folder / name)
        except (InvalidRow, OSError) as error:
            notes.append(f"{name} cannot be read: {getattr(error, 'message', error)}")
            continue
        if faults := contents[name].faults:
            notes.append(f"{name}: {count_of(len(faults), 'annotation')} cannot be used, such as {faults[0].sentence}")
    return contents, notes


def _media(files: Survey, contents: Mapping[str, TierFile], notes: list[str]) -> str | None:
    """Return the path of the recordings as a value of a mapping; None if they are not here."""
    present = set(files.of("film", "sound"))
    named = {name: recording_of(tiers, name) for name, tiers in contents.items()}
    if all(recording in present for recording in named.values()):
        return "media"
    stems = {str(PurePosixPath(name).with_suffix("")) for name in contents}
    for suffix in dict.fromkeys(PurePosixPath(name).suffix for name in sorted(present)):
        if all(f"{stem}{suffix}" in present for stem in stems):
            return f"{{stem}}{suffix}"
    absent = [
        f"{name} names {recording or 'no recording'}" for name, recording in named.items() if recording not in present
    ]
    notes.append(
        f"recordings that are not here: {'; '.join(absent[:3])}: put them there, and name them in `item.media`"
    )
    return None


def _kinds(folder: Path, contents: Mapping[str, TierFile], notes: list[str]) -> dict[str, _Kind]:
    """Return the tiers by vocabulary; a vocabulary that is in another file is read if that is beside."""
    kinds: dict[str, _Kind] = {}
    missing: dict[str, str] = {}
    for name, tiers in contents.items():
        vocabularies = {vocabulary.name: vocabulary for vocabulary in tiers.vocabularies}
        for tier in tiers.tiers.values():
            vocabulary = vocabularies.get(tier.vocabulary)
            if vocabulary is not None and vocabulary.external and not vocabulary.entries:
                outside = PurePosixPath(vocabulary.external.replace("\\", "/")).name
                vocabulary = _beside((folder / name).with_name(outside or "-"), tier.vocabulary)
                missing |= {} if vocabulary else {tier.vocabulary: outside}
            if vocabulary is None or not vocabulary.entries:
                continue
            kind = kinds.setdefault(vocabulary.name, _Kind(vocabulary, {}))
            kind.tiers.setdefault(tier.name, tier)
    notes += [
        f"the vocabulary {name} is in {file}, which is not here: its tiers are left out"
        for name, file in missing.items()
    ]
    return kinds


def _beside(path: Path, name: str) -> Vocabulary | None:
    with suppress(InvalidRow, OSError):
        if not path.is_symlink():
            return next((entry for entry in read_external(path) if entry.name == name), None)
    return None


def _judged(
    table: Mapping[str, Any],
    media: str | None,
    kinds: Mapping[str, _Kind],
    contents: Mapping[str, TierFile],
    counts: Counter[str],
    seen: list[str],
    notes: list[str],
) -> TierCorpus:
    tables: list[Mapping[str, Any]] = []
    domains: dict[str, Domain] = {}
    item = {"id": "stem", **({"media": media} if media else {})}
    for kind in kinds.values():
        name = field_name(kind.vocabulary.name)
        while name in domains:
            name += "_2"
        domains[name] = _domain(kind, contents)
        labels = listed([entry.value for entry in kind.vocabulary.entries])
        for where, rater in _raters(kind.tiers):
            marks = {name: {"label": "text"}}
            # Each has all of its own: a recipe holds no references.
            tables.append(deepcopy({**table, "where": {"tier": where}, **rater, "item": item, "stretches": marks}))
            seen.append(f"judgements of {name} ({labels}): tiers {listed(where)}, rater {rater['rater']}")
    used = {tier for kind in kinds.values() for tier in kind.tiers}
    if unused := [tier for tier in counts if tier not in used]:
        notes.append(f"tiers without a vocabulary are left out: {listed(unused)}")
    longest_s = max((a.end_s for tiers in contents.values() for a in tiers.annotations), default=0.0)
    preprocess: dict[str, Any] = {"unit": "clip"} if media else {}
    if media and longest_s > _DEFAULT_CLIP_S:
        preprocess["max_clip_s"] = _MAX_CLIP_S
    judged = Judged("stretches", {}, domains, ())
    return TierCorpus(tuple(tables), judged, preprocess, tuple(seen), tuple(notes))


def _domain(kind: _Kind, contents: Mapping[str, TierFile]) -> Domain:
    """Return the timeline of a vocabulary, with a shipped taxonomy if one has its values."""
    per_file = (Counter(a.tier for a in tiers.annotations if a.tier in kind.tiers) for tiers in contents.values())
    most = max((max(counts.values(), default=0) for counts in per_file), default=0)
    settings: dict[str, Any] = {"type": "timeline"}
    if most > _MIN_SEGMENTS:
        settings["max_segments"] = min(_MAX_SEGMENTS, 2 * most)
    labels = tuple(dict.fromkeys(entry.value for entry in kind.vocabulary.entries))
    if (shipped := covering(labels)) is not None:
        return Domain({**settings, "taxonomy": shipped.taxonomy})
    definitions = {entry.value: entry.description for entry in kind.vocabulary.entries if entry.description}
    return Domain(settings, {}, labels, definitions)


def _raters(tiers: Mapping[str, Tier]) -> Iterator[tuple[list[str], dict[str, Any]]]:
    """Yield names of tiers and how a mapping names their raters: by the tier's annotator, its name, or a constant."""
    named = [name for name, tier in tiers.items() if tier.annotator]
    if named:
        yield named, {"rater": "annotator"}
    groups: defaultdict[str, list[str]] = defaultdict(list)
    for name in (name for name in tiers if name not in named):
        match = _WHO.fullmatch(name)
        groups[match["what"] if match else ""].append(name)
    for what, names in groups.items():
        if what and len(names) > 1:
            pattern = re.escape(what).replace("\\ ", " ") + r"[ _.@:-]+(?P<rater>.+)"
            yield names, {"extract": {"tier": pattern}, "rater": "rater"}
        else:
            yield names, {"rater": {"constant": _UNKNOWN}}


def _spoken(
    table: Mapping[str, Any],
    media: str | None,
    contents: Mapping[str, TierFile],
    counts: Counter[str],
    seen: list[str],
    notes: list[str],
) -> TierCorpus:
    """Return the mapping of annotations that are items, with what is said in them."""
    tiers = {name: tier for of_file in contents.values() for name, tier in of_file.tiers.items() if counts[name]}
    tops = [name for name, tier in tiers.items() if not tier.parent]
    if below := [name for name in tiers if name not in tops]:
        notes.append(f"tiers that depend on others are left out: {listed(below)}")
    if media is None:
        raise InvalidInput(
            "annotations without a vocabulary are what is said in recordings, and these are not here",
            problems=tuple(notes),
            hint="put the recordings where the files name them, or beside them under the same name",
        )
    has_ids = all(a.name for of_file in contents.values() for a in of_file.annotations)
    speaker = "participant" if any(tier.participant for tier in tiers.values()) else "tier"
    item = {
        "id": "{stem}#{id}" if has_ids else "{stem}#{tier}#{start_s}",
        "media": media,
        "start_s": "start_s",
        "end_s": "end_s",
        "text": "text",
        "speaker": speaker,
    }
    seen.append(f"each annotation of {listed(tops)} is an item, with what is said in it; speaker: {speaker}")
    return TierCorpus(({**table, "where": {"tier": tops}, "item": item},), None, {}, tuple(seen), tuple(notes))
