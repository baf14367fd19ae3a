"""A label schema as instructions for a model."""

from curate.labels.fields import Field
from curate.labels.fields.phrases import DEFAULT_LANGUAGE
from curate.labels.schema import LabelSchema


def describe_labels(schema: LabelSchema, language: str = DEFAULT_LANGUAGE) -> str:
    """Return what is asked as text for a model: for each field its question, its labels and the rules of its answer.

    Questions and the ends of scales are in ``language`` if the schema has them in it. Help texts are left out, because
    they explain how to use a form.
    """
    return "\n\n".join(_instructions(field, language) for field in schema.fields.values())


def _instructions(field: Field, language: str) -> str:
    rules = []
    for condition, labels in field.when.items():
        rules.append(f"Asked only where `{condition}` is {' or '.join(labels)}; null otherwise.")
    if not field.required:
        rules.append("Null where it cannot be told.")
    return "\n".join([f"`{field.name}`: {field.question_text(language)}", *rules, *field.instructions(language)])
