"""A proposal for a folder or table: what was seen there, and the files to write."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from curate.authoring.wizard.columns import Judged
from curate.authoring.wizard.contents import Contents, recognise
from curate.authoring.wizard.domains import Domain
from curate.authoring.wizard.sample import read_samples
from curate.authoring.wizard.survey import TIERS, kind_of, survey
from curate.errors import InvalidInput
from curate.labels import load_labels

_HEADER = """\
# yaml-language-server: $schema=recipe.schema.json
# Proposed by `curate recipes new` from what is here:
{seen}
"""
_TABLES = ("table", "database", TIERS)
_NAME = re.compile(r"[^a-z0-9_-]+")
_SPLIT: dict[str, Any] = {"train": 0.8, "validation": 0.1, "test": 0.1, "disjoint_by": ["speaker", "source"]}


class Proposal(NamedTuple):
    """The files to write by name, the recipe first, what was seen, and what a user should know or decide."""

    folder: Path
    recipe: str
    labels: str
    licence: str | None
    files: Mapping[str, str]
    seen: tuple[str, ...]
    notes: tuple[str, ...]


def propose(
    path: Path,
    *,
    name: str | None = None,
    labels: str | None = None,
    licence: str | None = None,
    classes: bool = False,
) -> Proposal:
    """Return a recipe for a folder, or for one table, and the label schema if its judgements need one.

    ``labels`` names the label schema of items that nobody has judged yet; ``classes`` says that folders name what is in
    them, whatever they are called. Raises ``InvalidInput`` if nothing here can be a corpus.
    """
    folder = (path.parent if path.is_file() else path).absolute()
    files = survey(folder)
    if path.is_file():
        if (kind := kind_of(path.name)) not in _TABLES:
            raise InvalidInput(
                f"{path} is not a table",
                hint="name a .csv, .tsv, .json, .jsonl, .parquet, Excel or .eaf file, or a folder",
            )
        others = {name: names for name, names in files.files.items() if name not in _TABLES}
        files = files._replace(files={**others, str(kind): (path.name,)}, named=path.name)
    samples, unread = read_samples(folder, files.of("table"))
    contents = recognise(files, samples, unread, classes=classes)
    slug = _slug(name or (path.stem if path.is_file() else folder.name))
    if name is not None and name != slug:
        raise InvalidInput(f"{name!r} cannot name a recipe", hint=f"small letters, digits, - and _, such as {slug}")
    written, schema = _labels(contents, slug, folder, labels)
    observations = (*files.described(), *contents.observations)
    licence = licence or contents.ingest.get("licence")
    notes = (
        contents.notes
        if licence
        else (*contents.notes, "no licence is named: `publish` needs one (--licence CC-BY-4.0)")
    )
    recipe = {"recipe": slug, "labels": schema, "stages": _stages(contents, licence)}
    comments = "\n".join(f"# - {_plain(line)}" for line in (*observations, *contents.notes))
    text = _HEADER.format(seen=comments) + _dump(recipe)
    return Proposal(folder, slug, schema, licence, {f"{slug}.yaml": text, **written}, observations, notes)


def _labels(contents: Contents, slug: str, folder: Path, labels: str | None) -> tuple[dict[str, str], str]:
    """Return the label schema and taxonomies to write, by file name, and the name of the label schema."""
    if contents.judged is None:
        schema = load_labels(labels or contents.labels, folder)
        if not set(schema.units) & set(contents.units):
            raise InvalidInput(
                f"{schema.name} is asked of {', '.join(schema.units)}; here are {' or '.join(contents.units)}",
                hint="`curate labels list` shows others",
            )
        return {}, schema.name
    if labels is not None:
        raise InvalidInput("--labels is for what nobody has judged; here is a label schema made of the judgements")
    name = f"{_NAME.sub('_', slug).replace('-', '_')}.v1"
    return _own_schema(contents.judged, name, contents.units[0]), name


def _own_schema(judged: Judged, name: str, unit: str) -> dict[str, str]:
    files: dict[str, str] = {}
    fields: dict[str, Any] = {}
    for field, domain in judged.domains.items():
        settings = dict(domain.field)
        if domain.labels:
            settings["taxonomy"] = f"{name.removesuffix('.v1')}_{field}.v1"
            taxonomy = {"taxonomy": settings["taxonomy"], "title": f"{field} of {name}", "labels": _entries(domain)}
            files[f"{settings['taxonomy']}.yaml"] = _dump(taxonomy)
        fields[field] = settings
    schema = {"name": name, "title": f"Judgements of {name.removesuffix('.v1')}", "unit": unit, "fields": fields}
    return {f"{name}.yaml": _dump(schema), **files}


def _entries(domain: Domain) -> list[Any]:
    """Return the labels of a taxonomy as it is written."""
    meanings = domain.definitions
    return [{"name": name, "definition": meanings[name]} if name in meanings else name for name in domain.labels]


def _stages(contents: Contents, licence: str | None) -> list[dict[str, Any]]:
    settings = {name: value for name, value in contents.ingest.items() if name != "licence"}
    ingest = {"stage": "ingest", **({"licence": licence} if licence else {}), **settings}
    annotate = {"stage": "annotate", **({"server": False} if contents.judged else {})}
    preprocess = {"stage": "preprocess", **contents.preprocess}
    prelabel = [{"stage": "prelabel", "model": "offline"}] if contents.has_words and not contents.judged else []
    return [
        ingest,
        preprocess,
        *prelabel,
        annotate,
        {"stage": "aggregate", "method": "majority"},
        {"stage": "export", "split": {**_SPLIT, "disjoint_by": [*_SPLIT["disjoint_by"], *contents.kept_together]}},
    ]


def _plain(text: str) -> str:
    """Return text that ends no comment: names of files and columns may hold any character."""
    return "".join(char if char.isprintable() else " " for char in text)


def _slug(text: str) -> str:
    slug = _NAME.sub("_", text.strip().casefold()).strip("_-")[:60]
    return slug or "corpus"


def _dump(document: Any) -> str:
    return yaml.safe_dump(document, sort_keys=False, allow_unicode=True, width=110, default_flow_style=None)
