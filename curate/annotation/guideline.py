"""The guideline of a label schema: a Markdown file beside it, shown as the instructions of its projects."""

from pathlib import Path
from typing import NamedTuple

from curate.assets import find_asset
from curate.document import read_text
from curate.errors import InvalidInput
from curate.files import sha256_of
from curate.labels import LabelSchema
from curate.labels.fields.phrases import in_language

_MAX_CHARS = 100_000


class Guideline(NamedTuple):
    """A text for annotators in Markdown, and the meanings of the labels; ``sha256`` identifies both, empty for none."""

    text: str
    definitions: str

    @property
    def sha256(self) -> str:
        return sha256_of(f"{self.text}\n\n{self.definitions}") if self.text or self.definitions else ""

    @property
    def html(self) -> str:
        """The page that annotators see; markup and script in the text are shown as they are written."""
        from markdown_it import MarkdownIt

        converter = MarkdownIt("commonmark", {"html": False}).enable("table").disable("image")
        return str(converter.render(f"{self.text}\n\n{self.definitions}".strip()))


def find_guideline(labels: LabelSchema, language: str, folder: Path, instructions: str = "") -> Guideline:
    """Return the guideline of ``labels`` for annotators who read ``language``.

    It is in ``<name>.<language>.md`` or ``<name>.md``, in the folder of the label schema's file; ``instructions`` of
    the recipe follow it. Raises ``InvalidInput`` for a file that is not text, or too long.
    """
    schema_file = find_asset("schemas/labels", labels.name, suffix=".yaml", user_folder=folder)
    names = (f"{labels.name}.{language}.md", f"{labels.name}.{language.partition('-')[0]}.md", f"{labels.name}.md")
    path = next((path for path in map(schema_file.with_name, names) if path.is_file()), None)
    text = read_text(path) if path else ""
    if len(text) > _MAX_CHARS:
        raise InvalidInput(f"{path} has {len(text)} characters, more than {_MAX_CHARS}", hint="shorten the guideline")
    return Guideline("\n\n".join(filter(None, (text.strip(), instructions.strip()))), _definitions(labels, language))


def _definitions(labels: LabelSchema, language: str) -> str:
    """Return each question with the meaning of its labels, as Markdown."""
    parts = []
    for field in labels.fields.values():
        taxonomy = getattr(field, "taxonomy", None)
        defined = [label for label in taxonomy.labels if label.definition] if taxonomy is not None else []
        if defined and field.labels:
            lines = (f"- **{label.name}**: {in_language(label.definition, language)}" for label in defined)
            parts.append("\n".join([f"### {field.question_text(language)}", "", *lines]))
    return "\n\n".join(parts)
