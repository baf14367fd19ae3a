"""What the columns of an export mean where no mapping says it: controls called like fields, and what names items."""

from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from curate.annotation.importing.exports.contract import Export
from curate.annotation.importing.exports.media_names import MEDIA_COLUMN
from curate.annotation.importing.settings import ExportFormat, Table
from curate.annotation.importing.value_settings import Value
from curate.errors import InvalidInput, InvalidRow
from curate.labels import LabelSchema
from curate.stages.tables.delimited import listed
from curate.stages.tables.exports import open_export

if TYPE_CHECKING:
    import polars as pl

_MAX_EXAMPLES, _MAX_CHARS = 3, 40


def guess_mapping(
    files: Sequence[tuple[str, Path]], tool: ExportFormat, name: str, labels: LabelSchema, named: "pl.DataFrame"
) -> Table:
    """Return the mapping of an export whose controls are called like fields and whose tasks name items.

    ``named`` has the names that items go by. Raises ``InvalidInput`` if there is no such control, or no item is named.
    """
    form = Table.model_construct(format=tool, frame_rate_hz=None, offsets=None)
    try:
        exports = [open_export(path, form) for _, path in files]
    except (InvalidRow, OSError) as error:
        reason = error.strerror if isinstance(error, OSError) else error.message
        raise InvalidInput(
            f"{name} cannot be read as an export of {tool}: {reason}", hint="export it again, or correct --format"
        ) from error
    controls = list(dict.fromkeys(c for export in exports for c in export.columns if c in export.controls))
    by_name = {_simple(control): control for control in reversed(controls)}
    long = {field: by_name[field] for field in labels.fields if field in by_name}
    if not long:
        has_controls = f"its controls are {listed(controls)}" if controls else "nobody has answered anything in it"
        raise InvalidInput(
            f"no control of {name} is called like a field of {labels.name}: {has_controls}",
            hint="write which is which into a file for --map, such as `{item_id: <media>, long: {field: control}}`",
        )
    column = _naming_column(exports, controls, named, name)
    return Table.model_validate({"table": name, "format": tool, "item_id": {"column": column}, "long": long})


def _naming_column(exports: Iterable[Export], controls: Sequence[str], named: "pl.DataFrame", name: str) -> str:
    """Return the column whose cells name the most items; of equally good ones the first."""
    from curate.annotation.importing.rows import KEY

    names = set(named.filter(named["items"] == 1)[KEY].to_list())
    hits: Counter[str] = Counter()
    examples: dict[str, dict[str, None]] = {}
    for row in (row for export in exports for row in export.rows if row.made is not None):
        for column in dict.fromkeys((MEDIA_COLUMN, *row.task)):
            cell = (row.task.get(column) or "").strip()
            if cell and (column not in controls or column in row.task):
                hits[column] += cell in names
                examples.setdefault(column, {}).setdefault(cell[:_MAX_CHARS])
    if any(hits.values()):
        return max(hits, key=lambda column: hits[column])
    shown = [f"{column} ({', '.join(list(cells)[:_MAX_EXAMPLES])})" for column, cells in examples.items()]
    raise InvalidInput(
        f"no column of {name} names items of this workspace by id, file name or text: {'; '.join(shown[:8])}",
        hint="name the column with the ids of items in a file for --map, such as `{item_id: data.clip, long: …}`",
    )


def _simple(name: str) -> str:
    """Return the name of a control as fields are called."""
    return "_".join(name.casefold().replace("-", " ").replace("_", " ").split())


def mapping_of(table: Table) -> dict[str, object]:
    """Return what names the items and the fields of a mapping, in the words of a mapping."""
    item = table.item_id or Value(constant="")
    return {"item_id": item.column or item.template, "long": {name: v.column for name, v in table.long.items()}}
