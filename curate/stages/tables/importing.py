"""Import judgements of a table upon items that are in the workspace."""

from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath
from typing import NamedTuple

import pyarrow as pa
import pyarrow.compute as pc

from curate.annotation.importing.check import mapping_problems
from curate.annotation.importing.rows import KEY, LINE
from curate.annotation.importing.settings import FILE_COLUMN, HubTable, Table
from curate.corpus.view import Corpus
from curate.document import load_document, parse_model, sort_problems
from curate.errors import InvalidInput, InvalidRow
from curate.labels import LabelSchema
from curate.stages.tables.mapped import map_tables
from curate.stages.tables.store import append, changes_of


class Imported(NamedTuple):
    """The judgements of a table, how many are new, changed or withdrawn, and a sentence for each bad row."""

    judgements: int
    items: int
    created: int
    updated: int
    deleted: int
    problems: tuple[str, ...]


def import_table(
    corpus: Corpus,
    table: Path,
    mapping: Path,
    *,
    name: str | None = None,
    replaces: bool = False,
    is_strict: bool = False,
) -> Imported:
    """Append the judgements of a table to ``annotations``, in one transaction. The caller holds the workspace's lock.

    Items are named by their ids, the ids that they have in their corpus, or the raw file that they are all of.
    Importing a table of the same ``name`` (by default, that of the file) again adds nothing twice, and changes what it
    says otherwise of a named rater's judgement; with ``replaces``, it also withdraws what it no longer has. Raises
    ``InvalidInput`` for a mapping that cannot be used, and with ``is_strict`` for any row that cannot.
    """
    settings = load_mapping(mapping, table.name, corpus.labels)
    if not table.is_file():
        raise InvalidInput(f"there is no table {table}", hint="check the path")

    def find(place: str | HubTable) -> Sequence[tuple[str, Path]]:
        return [(table.name, table)] if place == table.name else _beside(str(place), table.parent)

    named, ambiguous = named_items(corpus)
    keys = pa.concat_arrays([named["key"].combine_chunks(), pa.array(list(ambiguous), pa.string())])
    mapped = map_tables([settings], find, corpus.labels, keys=keys, place="the workspace")
    problems = [
        f"{row[FILE_COLUMN]}#{row[LINE]}{':' if row['part'] else ''}{row['part']}: {row['sentence']}"
        for row in mapped.problems.sort(LINE, maintain_order=True).iter_rows(named=True)
    ]
    changes = changes_of(corpus, mapped.judgements, named, origin=f"import:{name or table.name}", withdraws=replaces)
    is_ambiguous = pc.is_in(mapped.judgements[KEY], value_set=pa.array(list(ambiguous), pa.string()))
    lost = mapped.judgements.filter(is_ambiguous)
    problems += [
        f"{place}#{line}: {key!r} is {ambiguous[key]} items: name them by their ids (`item_id` in the table items)"
        for place, line, key in zip(*(lost[column].to_pylist() for column in (FILE_COLUMN, LINE, KEY)), strict=True)
    ]
    if is_strict and problems:
        raise InvalidInput(f"{table} has rows that cannot be used; nothing was imported", problems=tuple(problems))
    append(corpus, [changes])
    judged = mapped.judgements.num_rows - changes.without_item
    items = len(mapped.judgements[KEY].unique()) - changes.items_without
    return Imported(judged, items, changes.created, changes.updated, changes.deleted, tuple(problems))


def load_mapping(path: Path, table: str, labels: LabelSchema) -> Table:
    """Return the mapping of judgements in a YAML file. Raises ``InvalidInput`` with file and line of every mistake."""
    document = load_document(path)
    settings = parse_model(Table, {"table": table, **document.data}, document)
    problems = [f"{document.location(place)}: {sentence}" for place, sentence in mapping_problems(settings, labels)]
    if settings.item is not None:
        sentence = "items come from the recipe's ingest: name `item_id`, the column with the ids of what is judged"
        problems.append(f"{document.location(('item',))}: {sentence}")
    if settings.table != (table,):
        problems.append(f"{document.location(('table',))}: the table is named on the command line: leave it out here")
    if problems:
        raise InvalidInput(f"the mapping {path} cannot be used", problems=tuple(sort_problems(problems)))
    return settings


def named_items(corpus: Corpus) -> tuple[pa.Table, dict[str, int]]:
    """Return ``item_id`` and ``key``, each name that stands for one item, and how many items other names stand for."""
    items = corpus.read("items", ["item_id", "source_id"])
    sources = corpus.read("sources", ["source_id", "key", "file"])
    rows = pc.index_in(items["source_id"], value_set=sources["source_id"])
    ids = items["item_id"].to_pylist()
    owners: dict[str, set[str]] = {}
    for item_id, key, file in zip(
        ids, sources["key"].take(rows).to_pylist(), sources["file"].take(rows).to_pylist(), strict=True
    ):
        for name in _names(key, file):
            owners.setdefault(name, set()).add(item_id)
    owners |= {item_id: {item_id} for item_id in ids}
    single = {name: next(iter(named)) for name, named in owners.items() if len(named) == 1}
    columns = {"item_id": pa.array(list(single.values()), pa.string()), "key": pa.array(list(single), pa.string())}
    return pa.table(columns), {name: len(named) for name, named in owners.items() if len(named) > 1}


def _names(key: str | None, file: str | None) -> Iterator[str]:
    """Yield the names that an item goes by besides its own id."""
    if key is not None:
        yield key
    if file is not None:
        yield file
        yield PurePosixPath(file).name


def _beside(pattern: str, folder: Path) -> Sequence[tuple[str, Path]]:
    path = folder / pattern
    if ".." in PurePosixPath(pattern).parts or PurePosixPath(pattern).is_absolute() or not path.is_file():
        raise InvalidRow(f"there is no table {pattern!r} beside the table in {folder}")
    return [(pattern, path)]
