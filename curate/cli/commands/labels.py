"""``curate labels``: list, print, check and compile label schemas and taxonomies."""

import re
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

import typer

from curate.cli.help import WholeHelp
from curate.cli.options import Json
from curate.errors import InvalidInput

if TYPE_CHECKING:
    from curate.labels import Label, LabelSchema, Taxonomy

app = typer.Typer(
    cls=WholeHelp,
    help="Print label schemas and taxonomies, check your own, and see what they compile to.",
    no_args_is_help=True,
)

OwnFolder = Annotated[
    Path,
    typer.Option("--beside", metavar="FOLDER", help="Folder of your own schemas and layouts.", show_default="here"),
]
CURRENT_FOLDER = Path()
Name = Annotated[str, typer.Argument(metavar="NAME", help="Label schema or taxonomy, e.g. ekman7.v1.")]
_SCHEMAS, _TAXONOMIES, _LAYOUTS = "schemas/labels", "schemas/taxonomies", "annotation_ui_configs"
_SYNONYM_CHARS = 60


class Form(StrEnum):
    """The targets that a label schema compiles to."""

    ARROW = "arrow"
    LLM = "llm"
    UI = "ui"
    CARD = "card"


@app.command("list")
def list_command(folder: OwnFolder = CURRENT_FOLDER, json: Json = False) -> None:
    """List the label schemas and taxonomies, shipped and your own."""
    from curate.cli.output import say, show_json, show_table

    schemas, taxonomies = _overview(_SCHEMAS, folder), _overview(_TAXONOMIES, folder)
    if json:
        show_json({"label_schemas": schemas, "taxonomies": taxonomies})
        return
    for title, size, rows in (("Label schemas", "fields", schemas), ("Taxonomies", "labels", taxonomies)):
        cells = [(row["name"], row["size"], row["from"], row["title"]) for row in rows]
        show_table(["name", size, "from", ""], cells, title=title)
        say("")
    say("curate labels show NAME prints one; a file of your own with the same name wins over a shipped one.")


@app.command("show")
def show_command(name: Name, folder: OwnFolder = CURRENT_FOLDER, json: Json = False) -> None:
    """Print a taxonomy as a tree of labels, or a label schema as a table of fields."""
    from curate.cli.output import show_json
    from curate.labels import load_labels, load_taxonomy
    from curate.labels.maps import rules_of

    if _is_taxonomy(name, folder):
        taxonomy = load_taxonomy(name, folder)
        if json:
            rules = {target: rule.model_dump() for target, rule in rules_of(taxonomy).items()}
            show_json({**taxonomy.model_dump(exclude_defaults=True), "maps": rules})
        else:
            _show_taxonomy(taxonomy)
        return
    schema = load_labels(name, folder)
    if json:
        show_json(schema.model_dump(by_alias=True))
    else:
        _show_schema(schema)


@app.command("check")
def check_command(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="Label schema, taxonomy, or Label Studio config (XML).")],
    labels: Annotated[
        str | None, typer.Option("--labels", metavar="NAME", help="The label schema that an XML file must match.")
    ] = None,
    json: Json = False,
) -> None:
    """Check a file of your own and list every problem with file and line."""
    from curate.cli.output import say, show_json

    if not file.is_file():
        raise InvalidInput(f"{file} is not a file", hint="check the path")
    report = _check_config(file, labels) if file.suffix == ".xml" else _check_yaml(file)
    if json:
        facts = {"kind": report.kind, "name": report.name, "problems": [], "notes": report.notes}
        show_json({"file": str(file), **facts})
        return
    say(f"{file}: no problems; {report.kind} {report.name}: {report.summary}")
    for note in report.notes:
        say(f"note: {note}")


@app.command("compile")
def compile_command(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Label schema, e.g. utterance_emotion.v1.")],
    to: Annotated[
        Form,
        typer.Option(
            help="arrow: table columns; llm: JSON schema of a model's answer; ui: Label Studio config; card: Markdown."
        ),
    ],
    layout: Annotated[
        str | None,
        typer.Option(
            metavar="NAME_OR_FILE", help="Layout for ui: a name, or an XML file.", show_default="the unit's one"
        ),
    ] = None,
    language: Annotated[str, typer.Option(metavar="CODE", help="Language of the questions in ui.")] = "en",
    folder: OwnFolder = CURRENT_FOLDER,
) -> None:
    """Print a label schema as table columns, a model's JSON schema, an annotation screen, or card text."""
    import json

    from curate.labels import compile_arrow, compile_card, compile_config, load_labels

    schema = load_labels(name, folder)
    if to is Form.ARROW:
        typer.echo("\n".join(f"{column.name}: {column.type}" for column in compile_arrow(schema)))
    elif to is Form.LLM:
        typer.echo(json.dumps(schema.json_schema(), indent=2, ensure_ascii=False))
    elif to is Form.CARD:
        typer.echo(compile_card(schema).rstrip())
    else:
        path = _find_layout(schema, layout, folder)
        typer.echo(compile_config(schema, _read_text(path), name=str(path), language=language))


@app.command("map")
def map_command(
    source: Annotated[str, typer.Argument(metavar="SOURCE", help="Taxonomy to map from.")],
    target: Annotated[str, typer.Argument(metavar="TARGET", help="Taxonomy to map to.")],
    folder: OwnFolder = CURRENT_FOLDER,
    json: Json = False,
) -> None:
    """Print the labels of one taxonomy in another, the chain of maps in between, and what is lost."""
    from curate.cli.output import say, show_json, show_table
    from curate.labels.maps import load_map

    mapping = load_map(source, target, folder)
    if json:
        path = {"source": source, "target": target, "via": mapping.via}
        facts = {"kind": mapping.kind, "lossy": mapping.lossy, "one_way": mapping.one_way, "sources": mapping.sources}
        labels = {name: list(mapping.map_label(name)) for name in mapping.source.names}
        show_json({**path, **facts, "dropped": mapping.dropped, "unreached": mapping.unreached, "labels": labels})
        return
    direction = "one way" if mapping.one_way else "both ways"
    loss = "lossy" if mapping.lossy else "lossless"
    say(f"{' > '.join((source, *mapping.via, target))}: {mapping.kind.replace('_', ' ')}, {loss}, {direction}\n")
    rows = [(name, ", ".join(mapping.map_label(name)) or "(dropped)") for name in mapping.source.names]
    show_table([source, target], rows)
    if mapping.unreached:
        say(f"\nNo label becomes {', '.join(mapping.unreached)}.")
    for publication in mapping.sources:
        say(f"\n{publication}")


def _overview(kind: str, folder: Path) -> list[dict[str, Any]]:
    from curate.assets import shipped_folder
    from curate.labels import load_labels, load_taxonomy

    root = shipped_folder("schemas").resolve()
    rows: list[dict[str, Any]] = []
    for name, path in sorted(_files(kind, folder).items()):
        row: dict[str, Any] = {"name": name, "from": "shipped" if path.resolve().is_relative_to(root) else str(path)}
        try:
            if kind == _TAXONOMIES:
                taxonomy = load_taxonomy(name, folder)
                row |= {"size": len(taxonomy.labels), "title": taxonomy.title}
            else:
                schema = load_labels(name, folder)
                row |= {"size": len(schema.fields), "title": schema.title}
        except InvalidInput as error:
            count = len(error.problems) or 1
            row |= {"size": None, "title": f"{count} problem{'s' * (count > 1)}: curate labels check {path}"}
        rows.append(row)
    return rows


def _files(kind: str, folder: Path) -> dict[str, Path]:
    """Return all files of one kind by name. Files next to the recipe are recognised by their content."""
    from curate.assets import list_assets
    from curate.document import load_document

    files = list_assets(kind, suffix=".yaml", user_folder=folder)
    for path in folder.glob("*.yaml"):
        name = path.name.removesuffix(".yaml")
        if not re.search(r"\.v\d+$", name):
            continue
        try:
            data = load_document(path).data
        except InvalidInput:
            continue
        if ("taxonomy" if kind == _TAXONOMIES else "fields") in data:
            files[name] = path
    return files


def _is_taxonomy(name: str, folder: Path) -> bool:
    from curate.assets import find_asset
    from curate.document import load_document, nearest

    for kind in (_TAXONOMIES, _SCHEMAS):
        try:
            path = find_asset(kind, name, suffix=".yaml", user_folder=folder)
        except InvalidInput:
            continue
        return "taxonomy" in load_document(path).data
    names = [*_files(_SCHEMAS, folder), *_files(_TAXONOMIES, folder)]
    raise InvalidInput(
        f"there is no label schema or taxonomy named {name!r}{nearest(name, names)}",
        hint="list them with curate labels list",
    )


def _show_taxonomy(taxonomy: "Taxonomy") -> None:
    from curate.cli.output import say, show_table
    from curate.labels.maps import rules_of

    say(f"{taxonomy.taxonomy}: {taxonomy.title}; {len(taxonomy.labels)} labels")
    for paragraph in (taxonomy.description, taxonomy.source, taxonomy.licence, taxonomy.vad_source):
        if paragraph:
            say(f"  {paragraph}")
    say("")
    rows = [_label_row(taxonomy.by_name[name], branch) for name, branch in _tree(taxonomy)]
    columns = [column for column in rows[0] if column == "label" or any(row[column] for row in rows)]
    show_table(columns, [tuple(row[column] for column in columns) for row in rows])
    say("")
    for target, rule in rules_of(taxonomy).items():
        say(f"maps to {target}: {rule.kind.replace('_', ' ')}{', lossy' if rule.lossy else ''}")
    if taxonomy.ambiguous:
        say(f"\n{_ambiguous_synonyms(taxonomy)}")


def _label_row(label: "Label", branch: str) -> dict[str, str]:
    point = (label.valence, label.arousal, label.dominance)
    parts = " + ".join(part.rpartition(":")[2] for part in label.composed_of)
    meaning = [label.definition or "", f"[{parts}]" if parts else "", _first_synonyms(label)]
    return {
        "label": branch,
        "group": label.group or "",
        "code": label.code or "",
        "key": label.hotkey or "",
        "v a d": "" if point == (None,) * 3 else " ".join("-" if x is None else f"{x:.2f}" for x in point),
        "opposite": label.opposite or "",
        "meaning": " ".join(filter(None, meaning)),
    }


def _tree(taxonomy: "Taxonomy") -> list[tuple[str, str]]:
    """Return the name of every label, and the name with its branch drawn before it."""
    rows: list[tuple[str, str]] = []
    stack = [(name, "", "") for name in reversed(taxonomy.roots)]
    while stack:
        name, branch, indent = stack.pop()
        rows.append((name, branch + name))
        children = taxonomy.children(name)
        for child in reversed(children):
            is_last = child == children[-1]
            stack.append((child, indent + ("└ " if is_last else "├ "), indent + ("  " if is_last else "│ ")))
    return rows


def _first_synonyms(label: "Label") -> str:
    """Return as many synonyms as fit in a line, without those in the definition."""
    definition = (label.definition or "").casefold()
    words: list[str] = []
    for word in label.synonyms:
        if word.casefold() in definition:
            continue
        if sum(map(len, words)) + len(word) > _SYNONYM_CHARS:
            return f"({', '.join(words)}, …)"
        words.append(word)
    return f"({', '.join(words)})" if words else ""


def _ambiguous_synonyms(taxonomy: "Taxonomy") -> str:
    words = [f"{word} ({', '.join(names)})" for word, names in taxonomy.ambiguous.items()]
    return f"Synonyms of several labels: {'; '.join(words)}"


def _show_schema(schema: "LabelSchema") -> None:
    from curate.cli.output import say, show_table

    say(f"{schema.name}: {schema.title or schema.name}; asked of {', '.join(schema.units)}\n")
    rows = [
        (
            name,
            field.type,
            "yes" if field.required else "",
            "; ".join(f"{condition} is {' or '.join(labels)}" for condition, labels in field.when.items()),
            field.question_text(),
        )
        for name, field in schema.fields.items()
    ]
    show_table(["field", "type", "required", "when", "question"], rows)
    say("")
    for field in schema.fields.values():
        say(field.describe().replace("**", "").replace("`", ""))


class CheckReport(NamedTuple):
    """What a checked file is and asks for."""

    kind: str
    name: str
    summary: str
    notes: list[str]


def _check_yaml(file: Path) -> CheckReport:
    from curate.document import load_document
    from curate.labels import load_labels
    from curate.labels.maps import check_taxonomy

    if file.suffix != ".yaml":
        raise InvalidInput(
            f"{file} does not end in .yaml", hint="curate finds label schemas and taxonomies by <name>.yaml"
        )
    if "taxonomy" in load_document(file).data:
        taxonomy = check_taxonomy(file, _root_of(file))
        notes = [_ambiguous_synonyms(taxonomy)] if taxonomy.ambiguous else []
        return CheckReport("taxonomy", taxonomy.taxonomy, f"{len(taxonomy.labels)} labels", notes)
    schema = load_labels(file.name.removesuffix(".yaml"), _root_of(file))
    return CheckReport("label schema", schema.name, f"{len(schema.fields)} fields: {', '.join(schema.fields)}", [])


def _check_config(file: Path, labels: str | None) -> CheckReport:
    from curate.labels import check_config, load_labels

    if labels is None:
        raise InvalidInput(f"{file} can only be checked against a label schema", hint="name it with --labels NAME")
    schema = load_labels(labels, _root_of(file))
    check_config(schema, _read_text(file), name=str(file))
    return CheckReport("config for", schema.name, "it asks for exactly the schema's fields and labels", [])


def _root_of(file: Path) -> Path:
    """Return the folder in which names in a file are looked up: its own, or the one with ``schemas/…/`` around it."""
    folder = file.parent
    if folder.name in ("labels", "taxonomies") and folder.parent.name == "schemas":
        folder = folder.parent.parent
    return folder if not (folder / file.name).is_file() else file.parent


def _find_layout(schema: "LabelSchema", layout: str | None, folder: Path) -> Path:
    from curate.assets import find_asset
    from curate.labels import usual_layout

    if layout is None:
        return usual_layout(schema, user_folder=folder)
    return Path(layout) if layout.endswith(".xml") else find_asset(_LAYOUTS, layout, suffix=".xml", user_folder=folder)


def _read_text(path: Path) -> str:
    from curate.document import read_text

    return read_text(path)
