"""The files of an export: one, or those of a folder or an archive that the tool wrote."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from curate.annotation.importing.exports.readers import SUFFIXES
from curate.annotation.importing.settings import ExportFormat
from curate.corpus.archives.unpack import discard, unpack
from curate.errors import InvalidInput, InvalidRow

_ARCHIVES = (".zip", ".tar", ".tar.gz", ".tgz")
_RECORDS = "records.json"
_MAX_FILES = 10_000


@contextmanager
def export_files(path: Path, tool: ExportFormat) -> Iterator[Sequence[tuple[str, Path]]]:
    """Yield names and paths of the files of an export. Raises ``InvalidInput`` if there are none."""
    if path.is_file() and path.name.lower().endswith(_ARCHIVES):
        try:
            unpacked = unpack(path)
            if unpacked.refusals:
                refusal = unpacked.refusals[0]
                raise InvalidInput(f"{path}: {refusal.name or 'the archive'}: {refusal.problem}", hint="unpack it")
            yield _in_folder(unpacked.folder, path.name, tool)
        except InvalidRow as error:
            raise InvalidInput(f"{path} cannot be unpacked: {error.message}", hint="unpack it yourself") from error
        finally:
            discard(path)
    elif path.is_dir():
        yield _in_folder(path, path.name, tool)
    else:
        yield [(path.name, path)]


def _in_folder(folder: Path, name: str, tool: ExportFormat) -> Sequence[tuple[str, Path]]:
    """Return the files that the tool exports; a link that leads out of the folder is none of them."""
    root = folder.resolve()
    files: list[Path] = []
    for file in sorted(folder.rglob("*")):
        inner = file.relative_to(folder).parts
        is_hidden = any(part.startswith((".", "__MACOSX")) for part in inner)
        is_inside = file.is_file() and file.resolve().is_relative_to(root)
        if file.suffix.lower() in SUFFIXES[tool] and not is_hidden and is_inside:
            files.append(file)
    if tool == "argilla":
        files = [file for file in files if file.name == _RECORDS] or files
    if not files or len(files) > _MAX_FILES:
        ends = " or ".join(SUFFIXES[tool])
        number = "more than 10,000 files" if files else "no file"
        raise InvalidInput(f"{name} has {number} that end in {ends}", hint="name the file that was exported")
    return [(f"{name}/{file.relative_to(folder).as_posix()}", file) for file in files]
