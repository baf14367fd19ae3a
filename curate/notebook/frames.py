"""Agreement and consensus as functions on polars frames, with the measures and methods of the commands."""

import json
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_type_hints

import pyarrow as pa

from curate.consensus.aggregate import aggregate as aggregate_tables
from curate.consensus.agreement.rows import AgreementRow, Over, agreement_rows
from curate.consensus.audit.rows import AuditRow
from curate.consensus.scores import ScoreRow
from curate.consensus.settings import FieldSettings, Method, problems_of
from curate.corpus.identity import json_values
from curate.corpus.spec import table_spec
from curate.document import nearest
from curate.errors import InvalidInput
from curate.labels import Field, LabelSchema, load_labels

if TYPE_CHECKING:
    import polars

_DEFAULTS = {"action": "created"}
_IDS = ("annotation_id", "judgement_id")


def agreement(
    judgements: "polars.DataFrame",
    labels: "str | Path | LabelSchema",
    *,
    by: str | None = None,
    draws: int = 0,
    over: Over = "items",
    seed: int = 0,
) -> "polars.DataFrame":
    """Return how far raters agree on each field: a row for each figure, as ``curate agreement`` computes them.

    ``judgements`` has a row for each judgement: ``item_id``, ``annotator`` (null if unnamed) and a column for
    each field of the label schema, as ``CorpusFrames.judgements`` returns them. ``by`` is ``rater``, ``label`` or any
    column of the frame. ``draws`` gives 95 % bootstrap intervals over items, ``over="raters"`` jackknife intervals.

    The columns are ``field``, ``group`` (JSON), ``measure``, ``value`` (null where undefined, with the reason in
    ``note``), ``low``, ``high``, ``items``, ``judgements``, ``raters`` and ``note``. Raises ``InvalidInput`` for
    missing columns and for values that the label schema does not allow.
    """
    schema = open_schema(labels)
    table = to_annotations(judgements, schema, keep=[by] if by not in (None, "rater", "label") else [])
    return rows_frame(agreement_rows(schema, table, by=by, draws=draws, over=over, seed=seed), AgreementRow)


def aggregate(
    judgements: "polars.DataFrame",
    labels: "str | Path | LabelSchema",
    *,
    method: Method = "majority",
    fields: Mapping[str, Mapping[str, Any]] | None = None,
    blind_only: bool = False,
    arms: Collection[str] = (),
    **settings: Any,
) -> "polars.DataFrame":
    """Return one label for each item from the judgements of people, as ``stage: aggregate`` computes them.

    ``judgements`` is a frame as for ``agreement``. ``method`` and ``settings`` are those of the stage (``ties``,
    ``at_least``, ``experts`` …), ``fields`` those of single fields: ``{"valence": {"method": "median"}}``. The columns
    are those of the table ``labels``: the fields, ``raters``, ``soft``, ``agreement``, ``decisions``, ``evidence``.
    Raises ``InvalidInput`` for settings that do not fit the label schema.
    """
    import polars
    from pydantic import ValidationError

    schema = open_schema(labels)
    try:
        chosen = FieldSettings.model_validate({"method": method, **settings})
        by_field = {
            name: FieldSettings.model_validate(field_settings) for name, field_settings in (fields or {}).items()
        }
    except ValidationError as error:
        wrong = ", ".join(f"{'.'.join(map(str, details['loc']))} = {details['input']!r}" for details in error.errors())
        valid = ", ".join(FieldSettings.model_fields)
        raise InvalidInput(f"aggregate does not know {wrong}", hint=f"its settings are {valid}") from None
    if problems := tuple(problems_of(schema, chosen, by_field)):
        raise InvalidInput(f"these settings do not fit {schema.name}", problems=problems)
    proposals = table_spec("prelabels", schema).schema.empty_table()
    table = to_annotations(judgements, schema)
    combined = aggregate_tables(
        schema, table, proposals, settings=chosen, by_field=by_field, blind_only=blind_only, arms=arms
    )
    return to_frame(combined) if combined.num_rows else polars.DataFrame(schema=to_frame(combined).schema)


def rows_frame(rows: Iterable[AgreementRow | AuditRow | ScoreRow], kind: type[Any]) -> "polars.DataFrame":
    """Return rows of a kind as a frame with a column for each member; the group of a figure is JSON."""
    import polars

    types = {int: polars.Int64, float: polars.Float64, float | None: polars.Float64}
    schema = {name: types.get(member, polars.String) for name, member in get_type_hints(kind).items()}
    records = [
        {
            name: json.dumps(value, ensure_ascii=False, default=str) if isinstance(value, dict) else value
            for name, value in row._asdict().items()
        }
        for row in rows
    ]
    return polars.DataFrame(records, schema=schema)


def open_schema(labels: "str | Path | LabelSchema") -> LabelSchema:
    """Return a label schema by its name, or from its file. Raises ``InvalidInput`` if there is none."""
    if isinstance(labels, LabelSchema):
        return labels
    path = Path(labels)
    return load_labels(path.name.removesuffix(".yaml"), path.absolute().parent if path.suffix == ".yaml" else Path())


def to_frame(table: pa.Table) -> "polars.DataFrame":
    """Return an Arrow table as a frame."""
    import polars

    return polars.DataFrame(table)


def to_annotations(
    judgements: "polars.DataFrame", schema: LabelSchema, *, keep: Collection[str | None] = ()
) -> pa.Table:
    """Return a frame as rows of the table ``annotations``; what it does not say is null. ``keep`` names more columns.

    Raises ``InvalidInput`` for missing columns and values that the label schema does not allow.
    """
    fields = [name for name in schema.fields if name in judgements.columns]
    if "item_id" not in judgements.columns or not fields:
        missing = "item_id" if "item_id" not in judgements.columns else f"a field of {schema.name}"
        names = ", ".join(schema.fields)
        raise InvalidInput(
            f"the judgements have no column for {missing}", hint=f"needed: item_id, annotator, and some of {names}"
        )
    if unknown := [name for name in keep if name not in judgements.columns]:
        raise InvalidInput(f"the judgements have no column {unknown[0]}{nearest(str(unknown[0]), judgements.columns)}")
    table, spec = judgements.to_arrow(), table_spec("annotations", schema).schema
    columns: dict[str, Any] = {}
    for field in spec:
        name = field.name
        if name not in table.column_names:
            columns[name] = _default(name, field.type, table.num_rows)
        elif name in schema.fields:
            columns[name] = _checked(schema.fields[name], table[name], field.type)
        else:
            columns[name] = _cast(name, table[name], field.type)
    kept_columns = {str(name): table[str(name)] for name in keep if name not in spec.names}
    return pa.table(columns | kept_columns)


def _default(name: str, kind: pa.DataType, count: int) -> pa.Array:
    if name in _IDS:
        return pa.array([f"row-{number:09d}" for number in range(count)], kind)
    return pa.array([[]] * count, kind) if pa.types.is_list(kind) else pa.array([_DEFAULTS.get(name)] * count, kind)


def _checked(field: Field, values: pa.ChunkedArray, kind: pa.DataType) -> pa.Array:
    """Return the canonical form of the values of a field; each distinct one is checked once."""
    numbers: dict[str, int] = {}
    indices = [numbers.setdefault(text, len(numbers)) for text in json_values(_plain(values))]
    canonical = []
    for text in numbers:
        value = json.loads(text)
        try:
            canonical.append(None if value is None else field.check(value))
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise InvalidInput(f"column {field.name}: {text[:60]} is not a value of this field: {error}") from error
    return pa.array(canonical, kind).take(pa.array(indices, pa.int64()))


def _plain(values: pa.ChunkedArray) -> pa.ChunkedArray:
    """Return values with the types of tables instead of those of polars."""
    return values.cast(_plain_type(values.type))


def _plain_type(kind: pa.DataType) -> pa.DataType:
    if pa.types.is_dictionary(kind):
        return _plain_type(kind.value_type)
    if pa.types.is_large_string(kind) or pa.types.is_string_view(kind):
        return pa.string()
    if pa.types.is_large_list(kind) or pa.types.is_list(kind) or pa.types.is_fixed_size_list(kind):
        return pa.list_(_plain_type(kind.value_type))
    if pa.types.is_struct(kind):
        return pa.struct([pa.field(member.name, _plain_type(member.type)) for member in kind])
    return kind


def _cast(name: str, values: pa.ChunkedArray, kind: pa.DataType) -> pa.ChunkedArray:
    try:
        return _plain(values).cast(kind)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        raise InvalidInput(f"column {name} holds {values.type}, and {kind} is needed") from error
