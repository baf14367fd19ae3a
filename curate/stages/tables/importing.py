"""Import judgements of a table upon items that are in the workspace."""

from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

import pyarrow as pa

from curate.annotation.importing.check import mapping_problems
from curate.annotation.importing.rows import KEY, LINE
from curate.annotation.importing.settings import FILE_COLUMN, ExportFormat, HubTable, Table
from curate.corpus.view import Corpus
from curate.document import load_document, parse_model, sort_problems
from curate.errors import InvalidInput, InvalidRow
from curate.labels import LabelSchema
from curate.stages.tables.export_files import export_files
from curate.stages.tables.guessing import guess_mapping, mapping_of
from curate.stages.tables.mapped import map_tables
from curate.stages.tables.store import append, changes_of, named_items


class Imported(NamedTuple):
    """The judgements of a table, how many are new, changed or withdrawn, and a sentence for each bad row.

    ``left_out`` counts what an export holds and the mapping does not read, ``mapping`` says how an export was read.
    """

    judgements: int
    items: int
    created: int
    updated: int
    deleted: int
    problems: tuple[str, ...]
    left_out: Mapping[str, int] = {}
    mapping: Mapping[str, Any] = {}


def import_table(
    corpus: Corpus,
    table: Path,
    mapping: Path | None = None,
    *,
    tool: ExportFormat | None = None,
    name: str | None = None,
    replaces: bool = False,
    is_strict: bool = False,
) -> Imported:
    """Append the judgements of a table to ``annotations``, in one transaction. The caller holds the workspace's lock.

    With ``tool``, it is an export of this annotation tool, a file or a folder; without a mapping, controls that are
    called like fields are read. Items are named by their ids, the ids that they have in their corpus, or the raw file
    that they are all of; in exports also by their text. Importing a table of the same ``name`` (by default, that of the
    file) again adds nothing twice, and changes what it says otherwise of a named rater's judgement; with ``replaces``,
    it also withdraws what it no longer has. Raises ``InvalidInput`` for a mapping that cannot be used, and with
    ``is_strict`` for any row that cannot.
    """
    if mapping is None and tool is None:
        raise InvalidInput("a table needs a mapping", hint="--map FILE says what its columns mean, or --format TOOL")
    settings = load_mapping(mapping, table.name, corpus.labels, tool) if mapping is not None else None
    tool = tool or (settings.format if settings is not None else None)
    if not (table.is_file() or (tool is not None and table.is_dir())):
        raise InvalidInput(f"there is no table {table}", hint="check the path")
    named = named_items(corpus, with_texts=tool is not None)
    with export_files(table, tool) if tool is not None else nullcontext([(table.name, table)]) as files:

        def find(location: str | HubTable) -> Sequence[tuple[str, Path]]:
            return files if location == table.name else _sibling_table(str(location), table.parent)

        if settings is None and tool is not None:
            settings = guess_mapping(files, tool, table.name, corpus.labels, named)
        mapped = map_tables([settings] if settings is not None else [], find, corpus.labels, named=named)
    problems = [
        f"{row[FILE_COLUMN]}#{row[LINE]}{':' if row['part'] else ''}{row['part']}: {row['sentence']}"
        for row in mapped.problems.sort(LINE, maintain_order=True).iter_rows(named=True)
    ]
    ids = corpus.read("items", ["item_id"])["item_id"]
    items = pa.table({"item_id": ids, "key": ids})
    changes = changes_of(corpus, mapped.judgements, items, origin=f"import:{name or table.name}", withdraws=replaces)
    problems += changes.misfits
    if is_strict and problems:
        raise InvalidInput(f"{table} has rows that cannot be used; nothing was imported", problems=tuple(problems))
    append(corpus, [changes])
    counts = (changes.created, changes.updated, changes.deleted)
    judgements = mapped.judgements.num_rows - len(changes.misfits)
    read_as = mapping_of(settings) if settings is not None and settings.format is not None else {}
    judged_items = len(mapped.judgements[KEY].unique())
    cut = {"judgements with time outside of their item, of which that is left out": changes.outside}
    left_out = {**mapped.left_out, **(cut if changes.outside else {})}
    return Imported(judgements, judged_items, *counts, tuple(problems), left_out, read_as)


def load_mapping(path: Path, table: str, labels: LabelSchema, tool: ExportFormat | None = None) -> Table:
    """Return the mapping of judgements in a YAML file. Raises ``InvalidInput`` with file and line of every mistake."""
    document = load_document(path)
    form = {} if tool is None else {"format": tool}
    settings = parse_model(Table, {"table": table, **form, **document.data}, document)
    problems = [f"{document.location(setting)}: {sentence}" for setting, sentence in mapping_problems(settings, labels)]
    if settings.item is not None:
        sentence = "items come from the recipe's ingest: name `item_id`, the column with the ids of what is judged"
        problems.append(f"{document.location(('item',))}: {sentence}")
    if settings.table != (table,):
        problems.append(f"{document.location(('table',))}: the table is named on the command line: leave it out here")
    if tool is not None and settings.format != tool:
        sentence = f"it says {settings.format}, and the command line {tool}: leave one of them out"
        problems.append(f"{document.location(('format',))}: {sentence}")
    if problems:
        raise InvalidInput(f"the mapping {path} cannot be used", problems=tuple(sort_problems(problems)))
    return settings


def _sibling_table(pattern: str, folder: Path) -> Sequence[tuple[str, Path]]:
    path = folder / pattern
    if ".." in PurePosixPath(pattern).parts or PurePosixPath(pattern).is_absolute() or not path.is_file():
        raise InvalidRow(f"there is no table {pattern!r} beside the table in {folder}")
    return [(pattern, path)]
