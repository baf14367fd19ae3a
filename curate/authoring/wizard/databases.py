"""What an audformat database holds as a corpus: which of its columns people judged, by its header."""

import glob
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

from curate.authoring.wizard.columns import Judged, field_name
from curate.authoring.wizard.domains import Domain, domain_of
from curate.errors import InvalidInput, InvalidRow
from curate.stages.tables.audformat import AudioTable, Column, Header, Scheme, database_columns, load_header
from curate.stages.tables.delimited import listed

_SPEAKER = "speaker"
_FACTS = frozenset(
    {"speaker", "speaker_id", "gender", "sex", "age", "language", "native", "nationality", "duration"}
    | {"transcription", "text"}
)
"""Schemes of what is known of a file, which nobody judged"""


class Database(NamedTuple):
    """The mappings of the tables of a database, its judgements, and what to say of it."""

    prefix: str
    """What the names of its files begin with"""
    licence: str | None
    tables: tuple[Mapping[str, Any], ...]
    judged: Judged | None
    observations: tuple[str, ...]
    notes: tuple[str, ...]


def read_database(folder: Path, file: str) -> Database:
    """Return what a database holds. Raises ``InvalidInput`` if it has no table of files."""
    path = folder / file
    try:
        header = load_header(path)
        files = {name: table for name, table in header.tables.items() if table.type == "filewise"}
        for name in files:
            database_columns(path, name)
    except (InvalidRow, OSError) as error:
        raise InvalidInput(f"{file} cannot be read as a database: {error}", hint="correct the database") from error
    if not files:
        raise InvalidInput(f"{file} has no table of whole files", hint="write the recipe by hand")
    judged_tables = {name: judged for name, table in files.items() if (judged := _judged(header, table)) is not None}
    mappings = tuple(_mapping(file, header, name, judged_tables.get(name)) for name in judged_tables or files)
    judged = _merged(list(judged_tables.values()))
    unused_tables = [name for name in header.tables if name not in (judged_tables or files)]
    notes = [f"table {name} is not used" + _why(header.tables[name]) for name in unused_tables]
    for name, table_judged in judged_tables.items():
        unused_columns = [c for c in files[name].columns if c not in (*table_judged.columns, _SPEAKER)]
        if unused_columns:
            notes.append(
                f"columns of {name} that are left out: {listed(unused_columns)} (`item: {{keep: [...]}}` keeps them)"
            )
    if header.usage and header.usage != "other":
        notes.append(f"its usage is {header.usage}: check that the licence says the same")
    observations = [f"{file}: audformat database {header.name}, tables {listed(list(header.tables))}"]
    if judged is not None:
        observations += [f"judgements ({judged.form}) of {field}: scheme {field}" for field in judged.domains]
    prefix = "" if (parent := PurePosixPath(file).parent.as_posix()) == "." else f"{parent}/"
    return Database(prefix, header.license, mappings, judged, tuple(observations), tuple(notes))


def _why(table: AudioTable) -> str:
    return ": it is about segments of files" if table.type == "segmented" else ": nobody judged anything in it"


def _mapping(file: str, header: Header, name: str, judged: Judged | None) -> dict[str, Any]:
    mapping: dict[str, Any] = {"table": glob.escape(file), "sheet": name, "item": {"id": "file", "media": "file"}}
    if _SPEAKER in header.tables[name].columns:
        mapping["item"]["speaker"] = _SPEAKER
    elif other := next((n for n, t in header.tables.items() if t.type == "filewise" and _SPEAKER in t.columns), None):
        mapping["join"] = [{"table": glob.escape(file), "sheet": other, "by": "file"}]
        mapping["item"]["speaker"] = _SPEAKER
    if header.tables[name].split_id is not None:
        mapping["item"]["keep"] = {"<split>": "split"}
    return mapping if judged is None else {**mapping, judged.form: judged.mapping}


def _judged(header: Header, table: AudioTable) -> Judged | None:
    columns: dict[str, dict[str, Column]] = {}
    domains: dict[str, Domain] = {}
    for name, column in table.columns.items():
        scheme = header.scheme_of(column)
        if scheme is None or column.scheme_id in _FACTS or name in _FACTS:
            continue
        if (domain := _domain(scheme)) is not None:
            field = field_name(str(column.scheme_id))
            columns.setdefault(field, {})[name] = column
            domains[field] = domain
    if not columns:
        return None
    used = tuple(name for members in columns.values() for name in members)
    if all(len(members) == 1 and next(iter(members.values())).rater_id is None for members in columns.values()):
        return Judged("long", {field: next(iter(members)) for field, members in columns.items()}, domains, used)
    return Judged("wide", {field: _raters(members) for field, members in columns.items()}, domains, used)


def _raters(columns: Mapping[str, Column]) -> dict[str, str]:
    """Return the rater of each column: as the header says, or the column if it says nothing or the same of several."""
    raters = {name: column.rater_id or name for name, column in columns.items()}
    return raters if len(set(raters.values())) == len(raters) else {name: name for name in raters}


def _domain(scheme: Scheme) -> Domain | None:
    if isinstance(scheme.labels, list | dict) and len(scheme.labels) > 1:
        return domain_of([str(label) for label in scheme.labels], is_label=True)
    if scheme.dtype == "bool":
        return domain_of(["False", "True"], is_label=True)
    if scheme.dtype in ("int", "float") and scheme.minimum is not None and scheme.maximum is not None:
        level = "ordinal" if scheme.dtype == "int" else "interval"
        return Domain({"type": "scale", "minimum": scheme.minimum, "maximum": scheme.maximum, "level": level})
    return None


def _merged(judged: list[Judged]) -> Judged | None:
    if not judged:
        return None
    domains = {field: domain for table in judged for field, domain in table.domains.items()}
    mapping = {field: value for table in judged for field, value in table.mapping.items()}
    return Judged(judged[0].form, mapping, domains, tuple(name for table in judged for name in table.columns))
