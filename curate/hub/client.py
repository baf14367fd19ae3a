"""The Hugging Face Hub as far as curate uses it. The only importer of huggingface_hub."""

import json
import os
import re
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, NamedTuple, TypeVar

from curate.errors import InvalidInput, MissingDependency, ServiceConflict, ServiceRefused, ServiceUnavailable

_WAITS_S = (1.0, 2.0, 4.0, 8.0)
_TIMEOUT_S = 120.0
_TRANSIENT = (408, 425, 429)
_MAX_WAIT_S = 60.0
_MAX_CHARS = 300

Gated = Literal["auto", "manual", False]
Result = TypeVar("Result")


class RepoState(NamedTuple):
    """The head commit of a repository's main branch, and who may see it."""

    head: str
    private: bool | None
    gated: Any


class StoredFile(NamedTuple):
    """A file at a revision: the hash of its LFS content if it has any, else of the git blob, and its size in bytes."""

    hash: str
    size: int


class Hub:
    """A server that speaks the Hub's protocol, at ``HF_ENDPOINT`` if that is set.

    Every call is repeated after failures that pass, honours ``Retry-After``, and may raise what ``errors`` makes of
    the client's errors; use it within ``with hub.errors(repo)``. Raises ``MissingDependency`` without a key, which only
    a reader of public data does not need.
    """

    def __init__(self, *, is_reader: bool = False) -> None:
        from huggingface_hub import HfApi, get_token

        self._is_reader = is_reader
        token = get_token()
        if not token and not is_reader:
            raise MissingDependency(
                "the Hugging Face Hub needs a key", hint="set HF_TOKEN, or log in with `hf auth login`"
            )
        endpoint = os.environ.get("HF_ENDPOINT", "").strip().rstrip("/")
        self._api: HfApi = HfApi(endpoint=endpoint or None, token=token or False, library_name="curate")

    def url(self, name: str) -> str:
        """Return the address of a data set's page."""
        return f"{self._api.endpoint}/datasets/{name}"

    def find_repo(self, repo: str) -> tuple[str, RepoState | None]:
        """Return the full name of a repository, and its state; None if it does not exist."""
        from huggingface_hub.errors import RepositoryNotFoundError

        name = repo if "/" in repo else f"{_retry(self._api.whoami)['name']}/{repo}"
        try:
            return name, self.state(name)
        except RepositoryNotFoundError:
            return name, None

    def open_repo(self, repo: str, *, private: bool) -> str:
        """Create a repository if it does not exist, and return its full name."""
        api = self._api
        return str(_retry(lambda: api.create_repo(repo, repo_type="dataset", private=private, exist_ok=True)).repo_id)

    def gate(self, name: str, gated: Gated) -> None:
        """Let people see the data only after they have asked; ``False`` lets everybody."""
        _retry(lambda: self._api.update_repo_settings(name, gated=gated, repo_type="dataset"))

    def state(self, name: str) -> RepoState:
        """Return the state of a repository."""
        info = _retry(lambda: self._api.dataset_info(name))
        return RepoState(info.sha or "", info.private, getattr(info, "gated", None))

    def commit_of(self, name: str, revision: str) -> str:
        """Return the commit that a branch, tag or commit is now."""
        return str(_retry(lambda: self._api.dataset_info(name, revision=revision)).sha)

    def files(self, name: str, revision: str) -> dict[str, StoredFile]:
        """Return the files at a revision."""
        from huggingface_hub.hf_api import RepoFile

        def listed() -> dict[str, StoredFile]:
            entries = self._api.list_repo_tree(name, revision=revision, recursive=True, repo_type="dataset")
            files = (entry for entry in entries if isinstance(entry, RepoFile))
            return {f.path: StoredFile(f.lfs.sha256 if f.lfs else f.blob_id, f.size) for f in files}

        return _retry(listed)

    def tags(self, name: str) -> dict[str, str]:
        """Return the commit of each tag."""
        return {tag.name: tag.target_commit for tag in self._refs(name).tags}

    def converted(self, name: str) -> list[str]:
        """Return the branches with copies that the Hub has made itself, such as ``refs/convert/parquet``."""
        return [branch.ref for branch in self._refs(name).converts]

    def _refs(self, name: str) -> Any:
        return _retry(lambda: self._api.list_repo_refs(name, repo_type="dataset"))

    def commit(
        self,
        name: str,
        files: Mapping[str, Path],
        *,
        delete: Iterable[str] = (),
        message: str,
        parent: str,
    ) -> str:
        """Add and delete files in one commit on top of ``parent``, and return it. Not repeated: see ``retry``."""
        from huggingface_hub import CommitOperationAdd, CommitOperationDelete

        operations: list[Any] = [
            *(CommitOperationAdd(path_in_repo=path, path_or_fileobj=source) for path, source in files.items()),
            *(CommitOperationDelete(path_in_repo=path, is_folder=False) for path in delete),
        ]
        with nullcontext() if self._has_xet(name) else _without_xet():
            commit = self._api.create_commit(
                name, operations, commit_message=message, repo_type="dataset", parent_commit=parent
            )
        return str(commit.oid)

    def create_tag(self, name: str, tag: str, commit: str) -> None:
        """Set a new tag. Not repeated: see ``retry``."""
        self._api.create_tag(name, tag=tag, revision=commit, repo_type="dataset")

    def delete_tag(self, name: str, tag: str) -> None:
        """Delete a tag. Not repeated: see ``retry``."""
        self._api.delete_tag(name, tag=tag, repo_type="dataset")

    def squash(self, name: str, message: str) -> None:
        """Make the main branch one commit without history."""
        _retry(lambda: self._api.super_squash_history(name, commit_message=message, repo_type="dataset"))

    def delete_content(self, name: str, hashes: Iterable[str]) -> int:
        """Delete the stored content with these hashes (SHA-256) for good, and return how many there were."""
        wanted = set(hashes)
        stored = _retry(lambda: list(self._api.list_lfs_files(name, repo_type="dataset")))
        chosen = [file for file in stored if file.file_oid in wanted]
        if chosen:
            _retry(lambda: self._api.permanently_delete_lfs_files(name, chosen, repo_type="dataset"))
        return len(chosen)

    def find_content(self, name: str, hashes: Iterable[str]) -> list[str]:
        """Return those of the hashes (SHA-256) whose content is still stored."""
        stored = _retry(lambda: {file.file_oid for file in self._api.list_lfs_files(name, repo_type="dataset")})
        return sorted(stored & set(hashes))

    def titles(self, name: str) -> list[str]:
        """Return the titles of the main branch's commits, newest first."""
        return [commit.title for commit in _retry(lambda: self._api.list_repo_commits(name, repo_type="dataset"))]

    def download(self, name: str, path: str, revision: str, folder: Path) -> Path:
        """Download a file into ``folder``, without any cache, and return its path there."""
        fetched = _retry(
            lambda: self._api.hf_hub_download(
                name, path, repo_type="dataset", revision=revision, cache_dir=folder / ".cache", force_download=True
            )
        )
        target = folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        Path(fetched).resolve().replace(target)
        return target

    def can_read(self, name: str, revision: str) -> bool:
        """Return whether a revision can still be fetched."""
        from huggingface_hub.errors import RevisionNotFoundError

        try:
            return bool(_retry(lambda: self._api.dataset_info(name, revision=revision)).sha)
        except RevisionNotFoundError:
            return False

    @cached_property
    def _xet_by_name(self) -> dict[str, bool]:
        return {}

    def _has_xet(self, name: str) -> bool:
        """Whether the server stores files with Xet. Self-hosted ones may not, and the client does not ask."""
        from huggingface_hub import constants, get_session

        if constants.HF_HUB_DISABLE_XET:
            return True
        if name not in self._xet_by_name:
            url = f"{self._api.endpoint}/api/datasets/{name}/xet-write-token/main"
            response = _retry(lambda: get_session().get(url, headers={"Authorization": f"Bearer {self._api.token}"}))
            self._xet_by_name[name] = int(response.status_code) != 404
        return self._xet_by_name[name]

    def retry(self, call: Callable[[], Result], *, also: tuple[int, ...] = ()) -> Result:
        """Return the result of ``call``, repeated after failures that pass, and after statuses of ``also``."""
        return _retry(call, also=also)

    @contextmanager
    def errors(self, repo: str) -> Iterator[None]:
        """Turn the client's errors into errors that say what to do, and hide its progress bars."""
        try:
            with _quiet():
                yield
        except _failures() as error:
            raise self._to_error(error, repo) from error

    def _to_error(self, error: Exception, repo: str) -> Exception:
        status = _status(error)
        service = f"the Hub at {self._api.endpoint}"
        detail = _detail(error, str(self._api.token))
        if status in (401, 403, 404) and self._is_reader:
            return ServiceRefused(
                f"{service} does not give {repo} to this reader ({detail})",
                hint="check its name and revision; what is private or gated needs a key that may read it (HF_TOKEN)",
            )
        if status in (401, 403, 404):
            return ServiceRefused(
                f"{service} refuses access to {repo} with this key ({detail})",
                hint="use a key (HF_TOKEN) with write access to that name",
            )
        if status in (409, 412):
            return ServiceConflict(
                f"{repo} keeps being changed by someone else ({detail})",
                hint="wait until that has ended, then publish again",
            )
        if status == 400 or (isinstance(error, ValueError) and not _is_transient(error)):
            return InvalidInput(f"{service} does not accept this: {detail}", hint="fix what it names")
        hint = "check the network and HF_ENDPOINT, then try again"
        if re.search(r"\b(xet|cas)", detail, re.IGNORECASE):
            hint += "; HF_HUB_DISABLE_XET=1 uploads without Xet"
        return ServiceUnavailable(f"{service} cannot be reached or failed: {detail}", hint=hint)


def _retry(call: Callable[[], Result], *, also: tuple[int, ...] = ()) -> Result:
    for wait in _WAITS_S:
        try:
            return call()
        except _failures() as error:
            if not _is_transient(error) and _status(error) not in also:
                raise
            time.sleep(max(wait, _retry_after(error)))
    return call()


@contextmanager
def _without_xet() -> Iterator[None]:
    """Upload by LFS until the block ends."""
    from huggingface_hub import constants

    before = constants.HF_HUB_DISABLE_XET
    constants.HF_HUB_DISABLE_XET = True
    try:
        yield
    finally:
        constants.HF_HUB_DISABLE_XET = before


def _failures() -> tuple[type[Exception], ...]:
    """Return the errors that the client raises: HTTP, transport, Xet's runtime errors, and replies without JSON."""
    from huggingface_hub.utils import httpx  # type: ignore[attr-defined]

    return httpx.HTTPError, OSError, RuntimeError, ValueError


def _is_transient(error: Exception) -> bool:
    from huggingface_hub.errors import OfflineModeIsEnabled
    from huggingface_hub.utils import httpx  # type: ignore[attr-defined]

    status = _status(error)
    if status is not None:
        return status in _TRANSIENT or status >= 500
    lost = (httpx.TransportError, ConnectionError, TimeoutError, RuntimeError, json.JSONDecodeError)
    # A download that did not reach the server is reported as a wrong value.
    error = error.__cause__ if isinstance(error.__cause__, lost) else error
    return isinstance(error, lost) and not isinstance(error, OfflineModeIsEnabled | httpx.UnsupportedProtocol)


def _status(error: Exception) -> int | None:
    from huggingface_hub.errors import HfHubHTTPError

    return int(error.response.status_code) if isinstance(error, HfHubHTTPError) else None


def _retry_after(error: Exception) -> float:
    from huggingface_hub.errors import HfHubHTTPError

    stated = error.response.headers.get("Retry-After", "") if isinstance(error, HfHubHTTPError) else ""
    return min(float(stated), _MAX_WAIT_S) if stated.isdecimal() else 0.0


def _detail(error: Exception, token: str) -> str:
    """Return the error as one short line, without the key."""
    from huggingface_hub.errors import HfHubHTTPError

    text = error.server_message or f"HTTP {_status(error)}" if isinstance(error, HfHubHTTPError) else str(error)
    line = " ".join(text.replace(token, "***").split()) or type(error).__name__
    return line if len(line) <= _MAX_CHARS else f"{line[: _MAX_CHARS - 1]}…"


@contextmanager
def _quiet() -> Iterator[None]:
    """Hide the client's own progress bars, and let no request hang for ever."""
    from huggingface_hub import get_session
    from huggingface_hub.utils.tqdm import are_progress_bars_disabled, disable_progress_bars, enable_progress_bars

    get_session().timeout = _TIMEOUT_S
    enabled = not are_progress_bars_disabled()
    disable_progress_bars()
    try:
        yield
    finally:
        if enabled:
            enable_progress_bars()
