"""Objects in a bucket of S3, or of a server that speaks like it. The only importer of fsspec."""

import importlib.util
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from curate.errors import CurateError, InvalidInput, MissingDependency
from curate.storage.s3.errors import code_of, has_no_bucket, to_error

_PART = re.compile(r"(?!\.{1,2}$)[A-Za-z0-9_.=+-]+")
_CONNECT_S, _READ_S, _RETRIES = 10, 30, 3


def is_url(root: str) -> bool:
    """Whether a workspace is named by a URL."""
    return re.match(r"[A-Za-z][A-Za-z0-9+.-]+:/", root) is not None


@dataclass(frozen=True)
class Remote:
    """A prefix of an object store; keys are taken from the environment of whatever process uses it.

    Names are relative, with slashes. An object is there whole or not at all. Every failure is one of the errors of
    ``curate.errors`` and names no key, except that ``read`` and ``download`` raise ``FileNotFoundError``.
    """

    url: str

    def child(self, name: str) -> "Remote":
        return Remote(f"{self.url}/{name}")

    def read(self, name: str) -> bytes:
        """An object's bytes."""
        with self._errors():
            return bytes(self._files.cat_file(self._key(name)))

    def read_many(self, names: Sequence[str]) -> dict[str, bytes]:
        """The bytes of several objects, asked for at the same time; those that are not there are left out."""
        keys = {self._key(name): name for name in names}
        with self._errors():
            found = self._files.cat(list(keys), on_error="return") if keys else {}
            for data in found.values():
                is_missing = isinstance(data, FileNotFoundError) and not has_no_bucket(data)
                if isinstance(data, BaseException) and not is_missing:
                    raise data
        return {keys[key]: bytes(data) for key, data in found.items() if isinstance(data, bytes)}

    def write(self, name: str, data: bytes) -> None:
        """Put an object, in place of another where there is one."""
        with self._errors():
            self._files.pipe_file(self._key(name), data)

    def create(self, name: str, data: bytes) -> bool:
        """Put an object unless there is one; whether it was put. The store decides, so of two callers one wins."""
        with self._errors():
            try:
                self._files.pipe_file(self._key(name), data, mode="create")
            except OSError as error:
                if isinstance(error, FileExistsError) or code_of(error) in ("PreconditionFailed", "412", "409"):
                    return False
                raise
        return True

    def upload(self, path: Path, name: str) -> None:
        """Put the content of a file."""
        with self._errors():
            self._files.put_file(str(path), self._key(name))

    def download(self, name: str, path: Path) -> None:
        """Write an object's content to a file."""
        with self._errors():
            self._files.get_file(self._key(name), str(path))

    def remove(self, name: str) -> None:
        """Delete an object; nothing happens where there is none."""
        with self._errors():
            try:
                self._files.rm_file(self._key(name))
            except FileNotFoundError:
                return

    def exists(self, name: str) -> bool:
        """Whether there is an object of that name."""
        return self.mark(name) is not None

    def mark(self, name: str) -> str | None:
        """What changes whenever the object does, or None where there is none."""
        with self._errors():
            try:
                about = self._files.info(self._key(name))
            except FileNotFoundError as error:
                if has_no_bucket(error):
                    raise
                return None
        if about["type"] != "file":
            return None
        return f"{about['ETag']} {about['LastModified']} {about['size']}"

    def sizes(self) -> Mapping[str, int]:
        """The size in bytes of every object below, by name."""
        with self._errors():
            found = self._files.find(self._key(""), detail=True)
        prefix = self._key("")
        return {key.removeprefix(prefix): int(about["size"]) for key, about in found.items() if key != prefix}

    def children(self) -> set[str]:
        """The first part of the name of every object below."""
        with self._errors():
            try:
                found = self._files.ls(self._key("").rstrip("/"), detail=False)
            except FileNotFoundError as error:
                if has_no_bucket(error):
                    raise
                return set()
        return {key.rstrip("/").rpartition("/")[2] for key in found} - {""}

    @property
    def _files(self) -> Any:
        return _open(os.environ.get("AWS_ENDPOINT_URL"), os.environ.get("AWS_REGION"))

    def _key(self, name: str) -> str:
        return f"{self.url.partition('://')[2]}/{name}"

    @contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except FileNotFoundError as error:
            if has_no_bucket(error):
                raise to_error(self.url, error) from error
            raise
        except CurateError:
            raise
        except (OSError, ValueError) as error:
            raise to_error(self.url, error) from error
        except _client_errors() as error:
            raise to_error(self.url, error) from error


def check_url(url: str) -> str:
    """The URL of a workspace in one form. Raises ``InvalidInput`` and ``MissingDependency`` where it cannot be used."""
    try:
        parts = urlsplit(url)
    except ValueError as error:
        raise InvalidInput("the URL of the workspace is none", hint="write s3://bucket/prefix") from error
    if "@" in parts.netloc or parts.query or parts.fragment:
        raise InvalidInput(
            f"the {parts.scheme}:// URL of the workspace has more in it than a place",
            hint="write s3://bucket/prefix; keys come from the environment, such as AWS_ACCESS_KEY_ID",
        )
    if parts.scheme != "s3":
        raise InvalidInput(f"a workspace cannot lie at {parts.scheme}://", hint="use a folder, or s3://bucket/prefix")
    names = [parts.netloc, *parts.path.strip("/").split("/")] if parts.path.strip("/") else [parts.netloc]
    if not all(_PART.fullmatch(name) for name in names):
        raise InvalidInput(
            f"{url} does not name a place", hint="write s3://bucket/prefix, with letters, digits and . _ - = + in it"
        )
    if importlib.util.find_spec("s3fs") is None:
        raise MissingDependency("a workspace at s3:// needs the package s3fs", hint="pip install 'curate[s3]'")
    return f"s3://{'/'.join(names)}"


@cache
def _open(endpoint_url: str | None, region: str | None) -> Any:
    import fsspec

    given = {"endpoint_url": endpoint_url, "region_name": region}
    patience = {"connect_timeout": _CONNECT_S, "read_timeout": _READ_S, "retries": {"max_attempts": _RETRIES}}
    files = fsspec.filesystem(
        "s3",
        client_kwargs={name: value for name, value in given.items() if value},
        config_kwargs=patience,
        use_listings_cache=False,
        skip_instance_cache=True,
    )
    # Each of these is what botocore has tried several times already.
    files.retries = 2
    return files


def _client_errors() -> tuple[type[Exception], ...]:
    from botocore.exceptions import BotoCoreError, ClientError

    return BotoCoreError, ClientError
