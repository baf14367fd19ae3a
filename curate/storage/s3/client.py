"""Objects of a bucket on S3 or a compatible server. The only importer of fsspec."""

import importlib.util
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from curate.errors import CurateError, InvalidInput, MissingDependency
from curate.storage.s3.errors import error_code, is_missing_bucket, to_error

_PART = re.compile(r"(?!\.{1,2}$)[A-Za-z0-9_.=+-]+")
_CONNECT_TIMEOUT_S, _READ_TIMEOUT_S, _MAX_ATTEMPTS = 10, 30, 3


def is_url(root: str) -> bool:
    """Whether the root of a workspace is a URL and not a path."""
    return re.match(r"[A-Za-z][A-Za-z0-9+.-]+:/", root) is not None


@dataclass(frozen=True)
class S3Prefix:
    """The objects of a bucket below a prefix, with the keys from the environment of the process that uses it.

    Names are relative, with slashes. An object is written whole or not at all. Every failure is one of the errors of
    ``curate.errors`` and contains no key, except that ``read`` and ``download`` raise ``FileNotFoundError``.
    """

    url: str

    def child(self, name: str) -> "S3Prefix":
        return S3Prefix(f"{self.url}/{name}")

    def read(self, name: str) -> bytes:
        """Read an object."""
        with self._errors():
            return bytes(self._files.cat_file(self._key(name)))

    def read_many(self, names: Sequence[str]) -> dict[str, bytes]:
        """Read several objects at the same time; the result lacks those that do not exist."""
        keys = {self._key(name): name for name in names}
        with self._errors():
            contents = self._files.cat(list(keys), on_error="return") if keys else {}
            for data in contents.values():
                is_missing = isinstance(data, FileNotFoundError) and not is_missing_bucket(data)
                if isinstance(data, BaseException) and not is_missing:
                    raise data
        return {keys[key]: bytes(data) for key, data in contents.items() if isinstance(data, bytes)}

    def write(self, name: str, data: bytes) -> None:
        """Write an object, replacing an older one."""
        with self._errors():
            self._files.pipe_file(self._key(name), data)

    def create(self, name: str, data: bytes) -> bool:
        """Write an object unless it exists; returns whether it was written. Of two callers, exactly one succeeds."""
        with self._errors():
            try:
                self._files.pipe_file(self._key(name), data, mode="create")
            except OSError as error:
                if isinstance(error, FileExistsError) or error_code(error) in ("PreconditionFailed", "412", "409"):
                    return False
                raise
        return True

    def upload(self, path: Path, name: str) -> None:
        """Write the content of a file."""
        with self._errors():
            self._files.put_file(str(path), self._key(name))

    def download(self, name: str, path: Path) -> None:
        """Write an object's content to a file."""
        with self._errors():
            self._files.get_file(self._key(name), str(path))

    def remove(self, name: str) -> None:
        """Delete an object; one that does not exist is no error."""
        with self._errors(), suppress(FileNotFoundError):
            self._files.rm_file(self._key(name))

    def exists(self, name: str) -> bool:
        """Whether there is an object of that name."""
        return self.object_version(name) is not None

    def object_version(self, name: str) -> str | None:
        """Return a text that changes whenever the object does; None if it does not exist."""
        with self._errors():
            try:
                info = self._files.info(self._key(name))
            except FileNotFoundError as error:
                if is_missing_bucket(error):
                    raise
                return None
        if info["type"] != "file":
            return None
        return f"{info['ETag']} {info['LastModified']} {info['size']}"

    def sizes(self) -> Mapping[str, int]:
        """Return the size in bytes of every object below the prefix, by name."""
        with self._errors():
            infos = self._files.find(self._key(""), detail=True)
        prefix = self._key("")
        return {key.removeprefix(prefix): int(info["size"]) for key, info in infos.items() if key != prefix}

    def objects(self) -> Mapping[str, tuple[int, str]]:
        """Return size in bytes, and a text that changes whenever the object does, of every object, by name."""
        with self._errors():
            infos = self._files.find(self._key(""), detail=True)
        prefix = self._key("")
        return {
            key.removeprefix(prefix): (int(info["size"]), f"{info['ETag']} {info['size']}")
            for key, info in infos.items()
            if key != prefix and info["type"] == "file"
        }

    def children(self) -> set[str]:
        """Return the first part of the name of every object below the prefix."""
        with self._errors():
            try:
                keys = self._files.ls(self._key("").rstrip("/"), detail=False)
            except FileNotFoundError as error:
                if is_missing_bucket(error):
                    raise
                return set()
        return {key.rstrip("/").rpartition("/")[2] for key in keys} - {""}

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
            if is_missing_bucket(error):
                raise to_error(self.url, error) from error
            raise
        except CurateError:
            raise
        except (OSError, ValueError) as error:
            raise to_error(self.url, error) from error
        except _client_errors() as error:
            raise to_error(self.url, error) from error


def check_url(url: str) -> str:
    """Return the URL of a workspace in its normal form. Raises ``InvalidInput`` and ``MissingDependency``."""
    try:
        parts = urlsplit(url)
    except ValueError as error:
        raise InvalidInput("the workspace URL is not valid", hint="write s3://bucket/prefix") from error
    if "@" in parts.netloc or parts.query or parts.fragment:
        raise InvalidInput(
            f"the {parts.scheme}:// URL of the workspace has more than a bucket and a prefix",
            hint="write s3://bucket/prefix; keys come from the environment, such as AWS_ACCESS_KEY_ID",
        )
    if parts.scheme != "s3":
        raise InvalidInput(
            f"a workspace cannot be stored at {parts.scheme}://", hint="use a folder, or s3://bucket/prefix"
        )
    names = [parts.netloc, *parts.path.strip("/").split("/")] if parts.path.strip("/") else [parts.netloc]
    if not all(_PART.fullmatch(name) for name in names):
        raise InvalidInput(
            f"{url} is not a valid bucket and prefix",
            hint="write s3://bucket/prefix, using letters, digits and . _ - = +",
        )
    if importlib.util.find_spec("s3fs") is None:
        raise MissingDependency("a workspace at s3:// needs the package s3fs", hint="pip install 'curate[s3]'")
    return f"s3://{'/'.join(names)}"


@cache
def _open(endpoint_url: str | None, region: str | None) -> Any:
    import fsspec

    client_options = {"endpoint_url": endpoint_url, "region_name": region}
    files = fsspec.filesystem(
        "s3",
        client_kwargs={name: value for name, value in client_options.items() if value},
        config_kwargs={
            "connect_timeout": _CONNECT_TIMEOUT_S,
            "read_timeout": _READ_TIMEOUT_S,
            "retries": {"max_attempts": _MAX_ATTEMPTS},
        },
        use_listings_cache=False,
        skip_instance_cache=True,
    )
    # botocore has already retried each of these several times.
    files.retries = 2
    return files


def _client_errors() -> tuple[type[Exception], ...]:
    from botocore.exceptions import BotoCoreError, ClientError

    return BotoCoreError, ClientError
