"""A label schema as the columns of a release."""

from curate.errors import InvalidInput
from curate.labels.columns import EVIDENCE_COLUMNS, ITEM_COLUMNS, JUDGEMENT_MEMBERS, PRELABEL_MEMBERS
from curate.labels.features import Feature, list_of, scalar
from curate.labels.schema import LabelSchema


def compile_features(schema: LabelSchema) -> dict[str, Feature]:
    """Return every column of a release in order, with its Hugging Face feature.

    Raises ``InvalidInput`` if a field is named like another column.
    """
    fields = {name: field.feature for name, field in schema.fields.items()}
    soft = {f"{name}_soft": list_of(scalar("float32")) for name, field in schema.fields.items() if field.soft_labels}
    nested = {"judgements": list_of(JUDGEMENT_MEMBERS | fields), "prelabel": PRELABEL_MEMBERS | fields}
    reserved = {*ITEM_COLUMNS, *soft, *EVIDENCE_COLUMNS, *nested, *JUDGEMENT_MEMBERS, *PRELABEL_MEMBERS}
    if clashes := sorted(reserved & set(fields)):
        raise InvalidInput(
            f"label schema {schema.name}: field {clashes[0]!r} has the name of a column of every release",
            hint=f"rename it, for example to label_{clashes[0]}",
        )
    return ITEM_COLUMNS | fields | soft | EVIDENCE_COLUMNS | nested
