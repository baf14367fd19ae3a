"""Write a release in another shape: whole, into a folder that is new or empty."""

import shutil
import tempfile
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import yaml

from curate.errors import InvalidInput, StorageFailed
from curate.files import PARTIAL
from curate.labels import LabelSchema
from curate.release.manifest import read_manifest
from curate.release.shapes.audformat import write_audformat
from curate.release.shapes.chat import write_chat
from curate.release.shapes.csv import write_csv
from curate.release.shapes.fiftyone import write_fiftyone
from curate.release.shapes.preference import write_preference
from curate.release.shapes.released import ReleasedRows
from curate.release.shapes.shape import Shape, Written
from curate.release.shapes.webdataset import write_webdataset
from curate.release.verify import release_damages
from curate.storage.folder import DiskFolder

SHAPES: Mapping[str, Shape] = {
    shape.name: shape
    for shape in (
        Shape("webdataset", "tar archives with media and JSON", write_webdataset),
        Shape("chat", "JSONL of questions, descriptions and reasoning about items", write_chat),
        Shape("preference", "JSONL of prompt, chosen and rejected texts", write_preference),
        Shape("csv", "a table of labels without media", write_csv),
        Shape("audformat", "a folder for audformat with sounds", write_audformat),
        Shape("fiftyone", "a folder for FiftyOne with pictures", write_fiftyone),
    )
}


class Conversion(NamedTuple):
    """What was written to ``folder``, and what was left out, as counts."""

    folder: Path
    counts: dict[str, int]
    left_out: dict[str, int]


def convert_release(
    release: Path, shape: str, target: Path, *, labels: LabelSchema | None = None, reviewed_only: bool = False
) -> Conversion:
    """Write the release in a folder to ``target`` in a shape of ``SHAPES``, with a README that says what it holds.

    ``labels`` is its label schema, which chats and preferences need for their questions. Raises ``InvalidInput`` for a
    damaged release, a folder that has files, and a shape that has nothing to hold; nothing is written then.
    """
    manifest = read_manifest(release)
    if damages := release_damages(DiskFolder(release.absolute())):
        raise InvalidInput(f"release {release} is damaged", problems=tuple(damages), hint="see curate verify")
    if labels is not None and labels.sha256 != manifest.label_schema_sha256:
        labels = None
    rows = ReleasedRows(release, manifest, labels=labels, reviewed_only=reviewed_only)
    _check_target(target)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        building = Path(tempfile.mkdtemp(prefix=f".{target.name}.", suffix=PARTIAL, dir=target.parent))
        try:
            written = SHAPES[shape].write(rows, building)
            if not sum(written.counts.values()):
                reasons = ", ".join(f"{count:,} {reason}" for reason, count in written.left_out.items() if count)
                raise InvalidInput(
                    f"release {manifest.version} has nothing for shape {shape}{f': {reasons}' if reasons else ''}",
                    hint="choose another shape",
                )
            if reviewed_only:
                written.left_out["items that nobody has reviewed"] = rows.not_reviewed
            (building / "README.md").write_text(_readme(rows, shape, written), encoding="utf-8")
            building.chmod(0o755)
            building.replace(target)
        finally:
            shutil.rmtree(building, ignore_errors=True)
    except OSError as error:
        raise StorageFailed(
            f"cannot write {target}: {error.strerror or error}", hint="free some space, or choose another folder"
        ) from error
    return Conversion(
        target, *({name: n for name, n in part.items() if n} for part in (written.counts, written.left_out))
    )


def _check_target(target: Path) -> None:
    if target.is_symlink() or (target.exists() and not target.is_dir()):
        raise InvalidInput(f"{target} is not a folder", hint="name a new folder")
    if target.is_dir() and any(target.iterdir()):
        raise InvalidInput(f"{target} has files already", hint="name a new or an empty folder")


def _readme(rows: ReleasedRows, shape: str, written: Written) -> str:
    manifest = rows.manifest
    header = ""
    if written.files:
        files = [{"split": split, "path": pattern} for split, pattern in written.files.items()]
        header = f"---\n{yaml.safe_dump({'configs': [{'config_name': 'default', 'data_files': files}]})}---\n\n"
    licences: Counter[str] = Counter()
    for split in rows.splits:
        licences.update(row["licence"] or "not stated" for row in rows.rows(split, with_media=False))
    lines = [
        f"# {manifest.recipe} {manifest.version} as {shape}",
        "",
        f"Made by {manifest.tool} from release {manifest.version} of `{manifest.recipe}`, whose content is",
        f"`{manifest.content_sha256}`; its data card says how it came to be.",
        "",
        *(f"- {name}: {count:,}" for name, count in written.counts.items()),
        *(f"- left out: {count:,} {reason}" for reason, count in written.left_out.items() if count),
        *(f"- licence of {count:,} items: {' '.join(name.split())}" for name, count in sorted(licences.items())),
        "",
        written.guide,
        "",
    ]
    return header + "\n".join(lines)
