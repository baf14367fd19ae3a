"""Put a folder on the Hugging Face Hub as one commit with a tag. The only importer of huggingface_hub."""

import hashlib
import json
import os
import re
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from curate.errors import InvalidInput, MissingDependency, ServiceConflict, ServiceRefused, ServiceUnavailable

if TYPE_CHECKING:
    from huggingface_hub import HfApi

_SHARD = re.compile(r"data/\w+-\d{5}-of-\d{5}\.parquet")
_WAITS_S = (1.0, 2.0, 4.0, 8.0)
_TIMEOUT_S = 120.0
_TRANSIENT = (408, 425, 429)
_MOST_WAIT_S = 60.0
_MOST_CHARS = 300

Result = TypeVar("Result")


class Published(NamedTuple):
    """Where a release is, and whether it had to be put there."""

    url: str
    commit: str
    changed: bool


def upload_release(folder: Path, paths: Sequence[str], *, repo: str, private: bool, tag: str) -> Published:
    """Make the dataset repository hold exactly the release's ``paths``, in one commit, under ``tag``.

    Shards of earlier releases are deleted in the same commit; other files there are left alone. A commit whose reply
    was lost is found again rather than repeated. The server is ``HF_ENDPOINT`` where that is set. Raises
    ``MissingDependency`` without a token, ``ServiceRefused``, ``ServiceUnavailable``, and ``ServiceConflict`` when the
    tag holds something else, others keep changing the repository, or it is public and should be private.
    """
    from huggingface_hub import HfApi, get_token

    token = get_token()
    if not token:
        raise MissingDependency(
            "publishing needs a key for the Hugging Face Hub", hint="set HF_TOKEN, or log in with `hf auth login`"
        )
    api = HfApi(endpoint=os.environ.get("HF_ENDPOINT") or None, token=token, library_name="curate")
    with _hub_errors(api, repo), _quiet():
        name = _open_repo(api, repo, private=private)
        wanted = {path: _hashes(folder / path) for path in paths}
        url = f"{api.endpoint}/datasets/{name}"
        tagged = _retry(lambda: _tags(api, name)).get(tag)
        if tagged is not None:
            if not _same(_retry(lambda: _tree(api, name, tagged)), wanted):
                raise ServiceConflict(
                    f"tag {tag} of {name} holds other files than this release",
                    hint=f"publish under another tag (stages.publish.tag), or delete the tag at {url}",
                )
            return Published(url, tagged, False)
        commit = _commit(api, name, folder, wanted, message=f"Release {tag}")
        _set_tag(api, name, tag, commit)
        return Published(url, commit, True)


def _open_repo(api: "HfApi", repo: str, *, private: bool) -> str:
    """The full name of the repository, made where it was not there."""
    name = _retry(lambda: api.create_repo(repo, repo_type="dataset", private=private, exist_ok=True)).repo_id
    if private and _retry(lambda: api.dataset_info(name)).private is False:
        raise ServiceConflict(
            f"{name} is public, and this recipe publishes privately",
            hint="make it private on the Hub, choose another repository, or set private: false",
        )
    return name


def _commit(api: "HfApi", name: str, folder: Path, wanted: Mapping[str, "_Hashes"], *, message: str) -> str:
    """The commit on the main branch that holds the release: made here, unless the head holds it already."""
    from huggingface_hub import CommitOperationAdd, CommitOperationDelete

    def attempt() -> str:
        # Whether a commit whose reply was lost has been applied is only known by looking at the head again.
        head = api.dataset_info(name).sha or ""
        there = _tree(api, name, head)
        if _same(there, wanted):
            return head
        stale = [path for path in there if _SHARD.fullmatch(path) and path not in wanted]
        operations: list[Any] = [
            *(CommitOperationAdd(path_in_repo=path, path_or_fileobj=folder / path) for path in wanted),
            *(CommitOperationDelete(path_in_repo=path, is_folder=False) for path in stale),
        ]
        done = api.create_commit(name, operations, commit_message=message, repo_type="dataset", parent_commit=head)
        return str(done.oid)

    return _retry(attempt, also=(409, 412))


def _set_tag(api: "HfApi", name: str, tag: str, commit: str) -> None:
    def attempt() -> None:
        there = _tags(api, name).get(tag)
        if there is None:
            api.create_tag(name, tag=tag, revision=commit, repo_type="dataset")
        elif there != commit:
            raise ServiceConflict(
                f"tag {tag} of {name} points to another commit", hint="publish under another tag (stages.publish.tag)"
            )

    _retry(attempt, also=(409,))


class _Hashes(NamedTuple):
    """A file's two names in git: as a blob of its own, and as LFS or Xet content."""

    git_sha1: str
    sha256: str


def _hashes(path: Path) -> _Hashes:
    git = hashlib.sha1(f"blob {path.stat().st_size}\0".encode(), usedforsecurity=False)
    sha256 = hashlib.sha256()
    with path.open("rb") as stream:
        while part := stream.read(2**20):
            git.update(part)
            sha256.update(part)
    return _Hashes(git.hexdigest(), sha256.hexdigest())


def _tree(api: "HfApi", name: str, revision: str) -> dict[str, str]:
    """Hashes of the files at a revision: of LFS content where they are that, else of the git blob."""
    from huggingface_hub.hf_api import RepoFile

    entries = api.list_repo_tree(name, revision=revision, recursive=True, repo_type="dataset")
    return {
        entry.path: entry.lfs.sha256 if entry.lfs else entry.blob_id for entry in entries if isinstance(entry, RepoFile)
    }


def _same(there: Mapping[str, str], wanted: Mapping[str, _Hashes]) -> bool:
    shards = {path for path in there if _SHARD.fullmatch(path)}
    return shards <= set(wanted) and all(there.get(path) in hashes for path, hashes in wanted.items())


def _tags(api: "HfApi", name: str) -> dict[str, str]:
    return {tag.name: tag.target_commit for tag in api.list_repo_refs(name, repo_type="dataset").tags}


def _retry(call: Callable[[], Result], *, also: tuple[int, ...] = ()) -> Result:
    """The result of ``call``, asked again a few times when the network or the server fails or answers ``also``."""
    for wait in _WAITS_S:
        try:
            return call()
        except _failures() as error:
            if not _is_transient(error) and _status(error) not in also:
                raise
            time.sleep(max(wait, _retry_after(error)))
    return call()


def _failures() -> tuple[type[Exception], ...]:
    """What the client lets through: HTTP and transport errors, Xet's runtime errors, and replies that are not JSON."""
    from huggingface_hub.utils import httpx  # type: ignore[attr-defined]

    return httpx.HTTPError, OSError, RuntimeError, ValueError


def _is_transient(error: Exception) -> bool:
    from huggingface_hub.errors import OfflineModeIsEnabled
    from huggingface_hub.utils import httpx  # type: ignore[attr-defined]

    status = _status(error)
    if status is not None:
        return status in _TRANSIENT or status >= 500
    lost = (httpx.TransportError, ConnectionError, TimeoutError, RuntimeError, json.JSONDecodeError)
    return isinstance(error, lost) and not isinstance(error, OfflineModeIsEnabled | httpx.UnsupportedProtocol)


def _status(error: Exception) -> int | None:
    from huggingface_hub.errors import HfHubHTTPError

    return int(error.response.status_code) if isinstance(error, HfHubHTTPError) else None


def _retry_after(error: Exception) -> float:
    from huggingface_hub.errors import HfHubHTTPError

    stated = error.response.headers.get("Retry-After", "") if isinstance(error, HfHubHTTPError) else ""
    return min(float(stated), _MOST_WAIT_S) if stated.isdecimal() else 0.0


@contextmanager
def _hub_errors(api: "HfApi", repo: str) -> Iterator[None]:
    """Turn what the client lets through into errors that say what to do."""
    try:
        yield
    except _failures() as error:
        status = _status(error)
        place = f"the Hub at {api.endpoint}"
        said = _said(error, str(api.token))
        if status in (401, 403, 404):
            raise ServiceRefused(
                f"{place} refuses to publish to {repo} with this key ({said})",
                hint="use a key (HF_TOKEN) with write access to that name",
            ) from error
        if status in (409, 412):
            raise ServiceConflict(
                f"{repo} keeps being changed by someone else ({said})",
                hint="wait until that has ended, then publish again",
            ) from error
        if status == 400 or (isinstance(error, ValueError) and not _is_transient(error)):
            raise InvalidInput(f"{place} does not accept this release: {said}", hint="mend what it names") from error
        raise ServiceUnavailable(
            f"{place} cannot be reached or failed: {said}", hint="check the network and HF_ENDPOINT, then try again"
        ) from error


def _said(error: Exception, token: str) -> str:
    """The error in one short line, without the key."""
    from huggingface_hub.errors import HfHubHTTPError

    text = error.server_message or f"HTTP {_status(error)}" if isinstance(error, HfHubHTTPError) else str(error)
    line = " ".join(text.replace(token, "***").split()) or type(error).__name__
    return line if len(line) <= _MOST_CHARS else f"{line[: _MOST_CHARS - 1]}…"


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep the client's own progress bars off the terminal, and let no request hang for ever."""
    from huggingface_hub import get_session
    from huggingface_hub.utils.tqdm import are_progress_bars_disabled, disable_progress_bars, enable_progress_bars

    get_session().timeout = _TIMEOUT_S
    shown = not are_progress_bars_disabled()
    disable_progress_bars()
    try:
        yield
    finally:
        if shown:
            enable_progress_bars()
