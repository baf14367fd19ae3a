"""``curate convert``: a release in the shape that another tool reads."""

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from curate.cli.commands.releases import Version
from curate.cli.options import WORKSPACE, Json, Workspace

if TYPE_CHECKING:
    from curate.labels import LabelSchema


class ShapeName(StrEnum):
    """The shapes by name, as in ``SHAPES``."""

    WEBDATASET = "webdataset"
    CHAT = "chat"
    PREFERENCE = "preference"
    CSV = "csv"
    AUDFORMAT = "audformat"
    FIFTYONE = "fiftyone"


def convert_command(
    release: Version,
    shape: Annotated[
        ShapeName,
        typer.Option(
            "--as",
            help="webdataset (tar archives with media), chat (JSONL of questions, descriptions and reasoning), "
            "preference (JSONL of chosen and rejected texts), csv (labels without media), audformat, or fiftyone.",
        ),
    ],
    to: Annotated[Path, typer.Option("--to", metavar="FOLDER", help="A new or empty folder.")],
    workspace: Workspace = WORKSPACE,
    reviewed_only: Annotated[
        bool, typer.Option("--reviewed-only", help="Leave out items that nobody has judged.")
    ] = False,
    json: Json = False,
) -> None:
    """Write a release in the shape that another tool reads, and say what that leaves out."""
    from curate.cli.output import say, show_json, show_table
    from curate.notebook.releases import find_release
    from curate.release.shapes.convert import convert_release

    folder = find_release(release, workspace)
    labels = _label_schema(folder, workspace)
    result = convert_release(folder, shape.value, to, labels=labels, reviewed_only=reviewed_only)
    if json:
        show_json(result._asdict())
        return
    counts = [*result.counts.items(), *((f"left out: {reason}", number) for reason, number in result.left_out.items())]
    show_table(["", "number"], counts)
    say(f"{shape.value} is in {result.folder}; its README.md says how to load it")


def _label_schema(folder: Path, workspace: str) -> "LabelSchema | None":
    """Return the label schema of a release from the workspace's recipe folder, or a shipped one; None for neither."""
    from curate.errors import InvalidInput
    from curate.labels import load_labels
    from curate.release.manifest import read_manifest
    from curate.storage.workspace import Workspace as Opened

    opened = Opened(workspace, create=False) if Opened.is_at(workspace) else None
    recipe = Path(opened.recipe_file).parent if opened and opened.recipe_file else None
    try:
        return load_labels(read_manifest(folder).label_schema, recipe)
    except InvalidInput:
        return None
