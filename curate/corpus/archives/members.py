"""Read the members of archives, and media in cells of Parquet files, whatever an archive claims of itself."""

import bz2
import gzip
import lzma
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, BinaryIO, NamedTuple, cast

import pyarrow as pa
from pyarrow import parquet

from curate.corpus.archives.cells import media_columns, parquet_errors, read_files
from curate.errors import InvalidRow

_ZIP, _PARQUET = (".zip",), (".parquet",)
_TAR = (".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tbz2", ".tar.xz", ".txz", ".tar.zst", ".tzst")
SUFFIXES = (*_ZIP, *_TAR)
_MAX_HEADER_BYTES = 1_000_000
_LONG_HEADERS = (tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.SOLARIS_XHDTYPE)
_LONG_NAMES = (tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_LONGLINK)
_CODECS = (zipfile.BadZipFile, tarfile.TarError, zlib.error, lzma.LZMAError)
DAMAGES = (EOFError, OSError, ValueError, RuntimeError, NotImplementedError, *_CODECS)
"""What the readers of archives raise for bytes that are not as they should be."""


class Member(NamedTuple):
    """A file in an archive: its name, and its content unless ``problem`` says why it is not to be had."""

    name: str
    content: IO[bytes] | None
    problem: str = ""
    reason: str = "invalid"


def is_archive(name: str) -> bool:
    """Whether a file is an archive by its name."""
    return name.lower().endswith(SUFFIXES)


@contextmanager
def open_members(path: Path) -> Iterator[Iterator[Member]]:
    """Yield the files of an archive in its order; each is to be read before the next is asked for.

    Raises ``InvalidRow`` if it is no archive. Whatever follows may raise one of ``DAMAGES``.
    """
    with path.open("rb") as file:
        if path.name.lower().endswith(_ZIP):
            try:
                archive = zipfile.ZipFile(file)
            except DAMAGES as error:
                raise InvalidRow(
                    f"it is no zip archive, or its end is missing: {error}", reason="unreadable"
                ) from error
            with archive:
                yield _zip_members(archive)
        elif is_archive(path.name):
            try:
                tar = tarfile.open(  # noqa: SIM115 (it is the context manager below)
                    fileobj=_decompressed(file, path.name), mode="r|", tarinfo=_Header
                )
            except DAMAGES as error:
                raise InvalidRow(f"it is no tar archive: {error}", reason="unreadable") from error
            with tar:
                yield _tar_members(tar)
        elif path.name.lower().endswith(_PARQUET):
            yield _cells(file)
        else:
            raise InvalidRow(f"it is none of {', '.join(SUFFIXES)}", reason="unreadable")


def _zip_members(archive: zipfile.ZipFile) -> Iterator[Member]:
    for info in archive.infolist():
        mode = stat.S_IFMT(info.external_attr >> 16)
        if "\0" in info.orig_filename:
            yield Member(info.filename, None, "its name contains a NUL byte")
        elif info.is_dir() and not info.file_size:
            continue
        elif mode not in (0, stat.S_IFREG):
            yield Member(info.filename, None, "it is a link" if stat.S_ISLNK(mode) else "it is no file but a device")
        elif info.flag_bits & 0x1:
            yield Member(info.filename, None, "it is encrypted: unpack it with its password", "unreadable")
        else:
            try:
                with archive.open(info) as content:
                    yield Member(info.filename, content)
            except NotImplementedError:
                yield Member(info.filename, None, "it is compressed in a way that Python cannot read", "unreadable")
            except DAMAGES as error:
                yield Member(info.filename, None, f"it is damaged: {error}", "unreadable")


def _tar_members(tar: tarfile.TarFile) -> Iterator[Member]:
    for info in tar:
        if info.isdir():
            continue
        if info.issym() or info.islnk():
            yield Member(info.name, None, "it is a link")
        elif not info.isreg():
            yield Member(info.name, None, "it is no file but a device")
        else:
            yield Member(info.name, tar.extractfile(info))
        # The list of all members would grow with the archive.
        cast("Any", tar).members = []


def _cells(file: BinaryIO) -> Iterator[Member]:
    with parquet_errors():
        table = parquet.ParquetFile(file)
        columns = media_columns(table.schema_arrow)
    return (Member(name, content) for name, content in read_files(table, columns))


class _Header(tarfile.TarInfo):
    """A header that ends the reading of an archive if it is damaged, where ``tarfile`` would take that for the end."""

    @classmethod
    def frombuf(cls, buf: bytes | bytearray, encoding: str | None, errors: str) -> "_Header":
        if len(buf) != tarfile.BLOCKSIZE:
            raise tarfile.ReadError("the mark of its end is missing")
        try:
            header = super().frombuf(buf, encoding or "utf-8", errors)
        except tarfile.InvalidHeaderError as error:  # type: ignore[attr-defined]
            raise tarfile.ReadError(str(error)) from error
        if header.type in (*_LONG_HEADERS, *_LONG_NAMES) and header.size > _MAX_HEADER_BYTES:
            raise tarfile.ReadError("a header is longer than 1 MB")
        return header


def _decompressed(file: BinaryIO, name: str) -> IO[bytes]:
    suffix = name.lower().rpartition(".")[2]
    if suffix in ("gz", "tgz"):
        return cast("IO[bytes]", gzip.GzipFile(fileobj=file))
    if suffix in ("bz2", "tbz2"):
        return cast("IO[bytes]", bz2.BZ2File(file))
    if suffix in ("xz", "txz"):
        return cast("IO[bytes]", lzma.LZMAFile(file))
    if suffix in ("zst", "tzst"):
        return cast("IO[bytes]", pa.CompressedInputStream(file, "zstd"))
    return file
