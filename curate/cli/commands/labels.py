"""``curate labels``: look at label schemas and taxonomies, check one's own, and see what they compile to."""

import re
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from curate.cli.options import Json
from curate.errors import InvalidInput

if TYPE_CHECKING:
    from curate.labels import Label, LabelSchema, Taxonomy

app = typer.Typer(
    help="Look at label schemas and taxonomies, check your own, and see what they become.", no_args_is_help=True
)

Beside = Annotated[
    Path,
    typer.Option("--beside", metavar="FOLDER", help="Folder of your own schemas and layouts.", show_default="here"),
]
HERE = Path()
Name = Annotated[str, typer.Argument(metavar="NAME", help="Label schema or taxonomy, e.g. ekman7.v1.")]
_SCHEMAS, _TAXONOMIES, _LAYOUTS = "schemas/labels", "schemas/taxonomies", "annotation_ui_configs"
_SYNONYMS_SHOWN = 60


class Form(StrEnum):
    """What a label schema can be turned into."""

    ARROW = "arrow"
    LLM = "llm"
    UI = "ui"
    CARD = "card"


@app.command("list")
def list_command(beside: Beside = HERE, json: Json = False) -> None:
    """List the label schemas and taxonomies, shipped and your own."""
    from curate.cli.output import say, show_json, show_table

    schemas, taxonomies = _overview(_SCHEMAS, beside), _overview(_TAXONOMIES, beside)
    if json:
        show_json({"label_schemas": schemas, "taxonomies": taxonomies})
        return
    for title, size, rows in (("Label schemas", "fields", schemas), ("Taxonomies", "labels", taxonomies)):
        shown = [(row["name"], row["size"], row["from"], row["title"]) for row in rows]
        show_table(["name", size, "from", ""], shown, title=title)
        say("")
    say("curate labels show NAME prints one; a file of your own with the same name wins over a shipped one.")


@app.command("show")
def show_command(name: Name, beside: Beside = HERE, json: Json = False) -> None:
    """Print a taxonomy as a tree of labels, or a label schema as a table of fields."""
    from curate.cli.output import show_json
    from curate.labels import load_labels, load_taxonomy
    from curate.labels.maps import rules_of

    if _is_taxonomy(name, beside):
        taxonomy = load_taxonomy(name, beside)
        if json:
            rules = {target: rule.model_dump() for target, rule in rules_of(taxonomy).items()}
            show_json({**taxonomy.model_dump(exclude_defaults=True), "maps": rules})
        else:
            _show_taxonomy(taxonomy)
        return
    schema = load_labels(name, beside)
    if json:
        show_json(schema.model_dump(by_alias=True))
    else:
        _show_schema(schema)


@app.command("check")
def check_command(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="Label schema, taxonomy, or Label Studio config (XML).")],
    labels: Annotated[
        str | None, typer.Option("--labels", metavar="NAME", help="The label schema that an XML file must ask for.")
    ] = None,
    json: Json = False,
) -> None:
    """Check a file of your own; list every problem with file and line."""
    from curate.cli.output import say, show_json

    if not file.is_file():
        raise InvalidInput(f"{file} is not a file", hint="check the path")
    kind, name, says, notes = _check_config(file, labels) if file.suffix == ".xml" else _check_yaml(file)
    if json:
        show_json({"file": str(file), "kind": kind, "name": name, "problems": [], "notes": notes})
        return
    say(f"{file}: no problems; {kind} {name}: {says}")
    for note in notes:
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
    beside: Beside = HERE,
) -> None:
    """Print what a label schema becomes: columns, a model's JSON schema, an annotation screen, or card text."""
    import json

    from curate.labels import compile_arrow, compile_card, compile_config, load_labels

    schema = load_labels(name, beside)
    if to is Form.ARROW:
        typer.echo("\n".join(f"{column.name}: {column.type}" for column in compile_arrow(schema)))
    elif to is Form.LLM:
        typer.echo(json.dumps(schema.json_schema(), indent=2, ensure_ascii=False))
    elif to is Form.CARD:
        typer.echo(compile_card(schema).rstrip())
    else:
        path = _layout(schema, layout, beside)
        typer.echo(compile_config(schema, _text(path), name=str(path), language=language))


@app.command("map")
def map_command(
    source: Annotated[str, typer.Argument(metavar="SOURCE", help="Taxonomy to map from.")],
    target: Annotated[str, typer.Argument(metavar="TARGET", help="Taxonomy to map to.")],
    beside: Beside = HERE,
    json: Json = False,
) -> None:
    """Print where the labels of one taxonomy go in another, over which chain, and what is lost."""
    from curate.cli.output import say, show_json, show_table
    from curate.labels.maps import load_map

    found = load_map(source, target, beside)
    if json:
        facts = {"kind": found.kind, "lossy": found.lossy, "one_way": found.one_way, "sources": found.sources}
        labels = {name: list(found.map_label(name)) for name in found.source.names}
        way = {"source": source, "target": target, "via": found.via}
        show_json({**way, **facts, "dropped": found.dropped, "unreached": found.unreached, "labels": labels})
        return
    back = "one way" if found.one_way else "both ways"
    loss = "lossy" if found.lossy else "nothing is lost"
    say(f"{' > '.join((source, *found.via, target))}: {found.kind.replace('_', ' ')}, {loss}, {back}\n")
    rows = [(name, ", ".join(found.map_label(name)) or "(dropped)") for name in found.source.names]
    show_table([source, target], rows)
    if found.unreached:
        say(f"\nNothing becomes {', '.join(found.unreached)}.")
    for words in found.sources:
        say(f"\n{words}")


def _overview(folder: str, beside: Path) -> list[dict[str, Any]]:
    from curate.assets import shipped_folder
    from curate.labels import load_labels, load_taxonomy

    home = shipped_folder("schemas").resolve()
    rows: list[dict[str, Any]] = []
    for name, path in sorted(_files(folder, beside).items()):
        row: dict[str, Any] = {"name": name, "from": "shipped" if path.resolve().is_relative_to(home) else str(path)}
        try:
            if folder == _TAXONOMIES:
                taxonomy = load_taxonomy(name, beside)
                row |= {"size": len(taxonomy.labels), "title": taxonomy.title}
            else:
                schema = load_labels(name, beside)
                row |= {"size": len(schema.fields), "title": schema.title}
        except InvalidInput as error:
            count = len(error.problems) or 1
            row |= {"size": None, "title": f"{count} problem{'s' * (count > 1)}: curate labels check {path}"}
        rows.append(row)
    return rows


def _files(folder: str, beside: Path) -> dict[str, Path]:
    """Every file of a kind by name; those beside the recipe, among files of all kinds, are told by what they say."""
    from curate.assets import list_assets
    from curate.document import load_document

    found = list_assets(folder, suffix=".yaml", user_folder=beside)
    for path in beside.glob("*.yaml"):
        name = path.name.removesuffix(".yaml")
        if not re.search(r"\.v\d+$", name):
            continue
        try:
            data = load_document(path).data
        except InvalidInput:
            continue
        if ("taxonomy" if folder == _TAXONOMIES else "fields") in data:
            found[name] = path
    return found


def _is_taxonomy(name: str, beside: Path) -> bool:
    from curate.assets import find_asset
    from curate.document import load_document, nearest

    for folder in (_TAXONOMIES, _SCHEMAS):
        try:
            path = find_asset(folder, name, suffix=".yaml", user_folder=beside)
        except InvalidInput:
            continue
        return "taxonomy" in load_document(path).data
    names = [*_files(_SCHEMAS, beside), *_files(_TAXONOMIES, beside)]
    raise InvalidInput(
        f"there is no label schema or taxonomy named {name!r}{nearest(name, names)}",
        hint="curate labels list shows them all",
    )


def _show_taxonomy(taxonomy: "Taxonomy") -> None:
    from curate.cli.output import say, show_table
    from curate.labels.maps import rules_of

    say(f"{taxonomy.taxonomy}: {taxonomy.title}; {len(taxonomy.labels)} labels")
    for words in (taxonomy.description, taxonomy.source, taxonomy.licence, taxonomy.vad_source):
        if words:
            say(f"  {words}")
    say("")
    columns: dict[str, list[str]] = {
        "label": [],
        "group": [],
        "code": [],
        "key": [],
        "v a d": [],
        "opposite": [],
        "meaning": [],
    }
    for name, drawn in _tree(taxonomy):
        label = taxonomy.by_name[name]
        point = (label.valence, label.arousal, label.dominance)
        parts = " + ".join(part.rpartition(":")[2] for part in label.composed_of)
        meaning = [label.definition or "", parts and f"[{parts}]", _few(label)]
        columns["label"].append(drawn)
        columns["group"].append(label.group or "")
        columns["code"].append(label.code or "")
        columns["key"].append(label.hotkey or "")
        columns["v a d"].append(
            "" if point == (None,) * 3 else " ".join("-" if x is None else f"{x:.2f}" for x in point)
        )
        columns["opposite"].append(label.opposite or "")
        columns["meaning"].append(" ".join(filter(None, meaning)))
    shown = {column: cells for column, cells in columns.items() if column == "label" or any(cells)}
    show_table(list(shown), list(zip(*shown.values(), strict=True)))
    say("")
    for target, rule in rules_of(taxonomy).items():
        say(f"maps to {target}: {rule.kind.replace('_', ' ')}{', lossy' if rule.lossy else ''}")
    if taxonomy.ambiguous:
        say(f"\n{_ambiguous(taxonomy)}")


def _tree(taxonomy: "Taxonomy") -> list[tuple[str, str]]:
    """Every label, with its branch drawn before its name."""
    rows: list[tuple[str, str]] = []
    stack = [(name, "", "") for name in reversed(taxonomy.roots)]
    while stack:
        name, before, below = stack.pop()
        rows.append((name, before + name))
        children = taxonomy.children(name)
        for child in reversed(children):
            last = child == children[-1]
            stack.append((child, below + ("└ " if last else "├ "), below + ("  " if last else "│ ")))
    return rows


def _few(label: "Label") -> str:
    """As many synonyms as a line holds, without those that the definition says already."""
    said = (label.definition or "").casefold()
    words = [word for word in label.synonyms if word.casefold() not in said]
    shown: list[str] = []
    for word in words:
        if sum(map(len, shown)) + len(word) > _SYNONYMS_SHOWN:
            return f"({', '.join(shown)}, …)"
        shown.append(word)
    return f"({', '.join(shown)})" if shown else ""


def _ambiguous(taxonomy: "Taxonomy") -> str:
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
            "; ".join(f"{other} is {' or '.join(labels)}" for other, labels in field.when.items()),
            field.question_text(),
        )
        for name, field in schema.fields.items()
    ]
    show_table(["field", "type", "required", "when", "question"], rows)
    say("")
    for field in schema.fields.values():
        say(field.describe().replace("**", "").replace("`", ""))


def _check_yaml(file: Path) -> tuple[str, str, str, list[str]]:
    from curate.document import load_document
    from curate.labels import load_labels
    from curate.labels.maps import check_taxonomy

    if file.suffix != ".yaml":
        raise InvalidInput(
            f"{file} does not end in .yaml", hint="curate finds label schemas and taxonomies by <name>.yaml"
        )
    if "taxonomy" in load_document(file).data:
        taxonomy = check_taxonomy(file, _beside(file))
        notes = [_ambiguous(taxonomy)] if taxonomy.ambiguous else []
        return "taxonomy", taxonomy.taxonomy, f"{len(taxonomy.labels)} labels", notes
    schema = load_labels(file.name.removesuffix(".yaml"), _beside(file))
    return "label schema", schema.name, f"{len(schema.fields)} fields: {', '.join(schema.fields)}", []


def _check_config(file: Path, labels: str | None) -> tuple[str, str, str, list[str]]:
    from curate.labels import check_config, load_labels

    if labels is None:
        raise InvalidInput(f"{file} can only be checked against a label schema", hint="name it with --labels NAME")
    schema = load_labels(labels, _beside(file))
    check_config(schema, _text(file), name=str(file))
    return "config for", schema.name, "it asks for exactly the schema's fields and labels", []


def _beside(file: Path) -> Path:
    """The folder that a file's names are looked up from: its own, or the one that holds ``schemas/…/`` around it."""
    folder = file.parent
    if folder.name in ("labels", "taxonomies") and folder.parent.name == "schemas":
        folder = folder.parent.parent
    return folder if not (folder / file.name).is_file() else file.parent


def _layout(schema: "LabelSchema", layout: str | None, beside: Path) -> Path:
    from curate.assets import find_asset
    from curate.labels import usual_layout

    if layout is None:
        return usual_layout(schema, beside=beside)
    return Path(layout) if layout.endswith(".xml") else find_asset(_LAYOUTS, layout, suffix=".xml", user_folder=beside)


def _text(path: Path) -> str:
    try:
        return path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        raise InvalidInput(f"{path} cannot be read: {why}", hint="check the path") from error
