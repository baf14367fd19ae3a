"""Upload a release to the Hugging Face Hub as one commit with a tag. The only importer of huggingface_hub."""

import hashlib
import json
import os
import re
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from curate.errors import InvalidInput, MissingDependency, ServiceConflict, ServiceRefused, ServiceUnavailable
from curate.files import read_json_object

if TYPE_CHECKING:
    from huggingface_hub import HfApi

_SHARD = re.compile(r"data/\w+-\d{5}-of-\d{5}\.parquet")
_MANIFEST = "manifest.json"
_OF_A_NEW_REPOSITORY = {".gitattributes": 10_000, "README.md": 500}
"""Files that the Hub puts into a new repository, and how large they may be: a longer card is somebody's work."""
_WAITS_S = (1.0, 2.0, 4.0, 8.0)
_TIMEOUT_S = 120.0
_TRANSIENT = (408, 425, 429)
_MAX_WAIT_S = 60.0
_MAX_CHARS = 300

Result = TypeVar("Result")


class Published(NamedTuple):
    """The place of a published release, and whether this upload changed anything there."""

    url: str
    commit: str
    changed: bool


def upload_release(folder: Path, paths: Sequence[str], *, recipe: str, repo: str, private: bool, tag: str) -> Published:
    """Upload the release's ``paths`` to a dataset repository in one commit, and tag it.

    The repository must be empty or hold an earlier release of ``recipe``, whose other shards are deleted in the same
    commit; files that are not part of a release are left alone. A commit whose reply was lost is recognised and not
    repeated. The server is ``HF_ENDPOINT`` if that is set. Raises ``MissingDependency`` without a token,
    ``ServiceRefused``, ``ServiceUnavailable``, and ``ServiceConflict`` if the repository holds something else, the tag
    exists with other files, others keep changing the repository, or it is public and should be private.
    """
    from huggingface_hub import HfApi, get_token

    token = get_token()
    if not token:
        raise MissingDependency(
            "publishing needs a key for the Hugging Face Hub", hint="set HF_TOKEN, or log in with `hf auth login`"
        )
    endpoint = os.environ.get("HF_ENDPOINT", "").strip().rstrip("/")
    api = HfApi(endpoint=endpoint or None, token=token, library_name="curate")
    with _hub_errors(api, repo), _quiet():
        name = _open_repo(api, repo, private=private)
        without_xet = not _has_xet(api, name)
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
        with _without_xet() if without_xet else nullcontext():
            commit = _commit(api, name, folder, wanted, recipe=recipe, message=f"Release {tag}")
        _set_tag(api, name, tag, commit)
        return Published(url, commit, True)


def _open_repo(api: "HfApi", repo: str, *, private: bool) -> str:
    """Create the repository if it does not exist, and return its full name."""
    name = _retry(lambda: api.create_repo(repo, repo_type="dataset", private=private, exist_ok=True)).repo_id
    if private and _retry(lambda: api.dataset_info(name)).private is False:
        raise ServiceConflict(
            f"{name} is public, and this recipe publishes privately",
            hint="make it private on the Hub, choose another repository, or set private: false",
        )
    return name


def _has_xet(api: "HfApi", name: str) -> bool:
    """Whether the server stores files with Xet. Self-hosted ones may not, and the client does not ask."""
    from huggingface_hub import constants, get_session

    if constants.HF_HUB_DISABLE_XET:
        return False
    url = f"{api.endpoint}/api/datasets/{name}/xet-write-token/main"
    response = _retry(lambda: get_session().get(url, headers={"Authorization": f"Bearer {api.token}"}))
    return int(response.status_code) != 404


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


def _commit(
    api: "HfApi", name: str, folder: Path, wanted: Mapping[str, "_Hashes"], *, recipe: str, message: str
) -> str:
    """Commit the release to the main branch, unless its head holds it already, and return the commit."""
    from huggingface_hub import CommitOperationAdd, CommitOperationDelete

    def attempt() -> str:
        # Only the head shows whether a commit whose reply was lost was applied.
        head = api.dataset_info(name).sha or ""
        current = _tree(api, name, head)
        if _same(current, wanted):
            return head
        _check_ours(api, name, head, current, recipe)
        stale = [path for path in current if _SHARD.fullmatch(path) and path not in wanted]
        operations: list[Any] = [
            *(CommitOperationAdd(path_in_repo=path, path_or_fileobj=folder / path) for path in wanted),
            *(CommitOperationDelete(path_in_repo=path, is_folder=False) for path in stale),
        ]
        commit = api.create_commit(name, operations, commit_message=message, repo_type="dataset", parent_commit=head)
        return str(commit.oid)

    return _retry(attempt, also=(409, 412))


def _check_ours(api: "HfApi", name: str, head: str, current: Mapping[str, str], recipe: str) -> None:
    """Raise ``ServiceConflict`` unless the repository is empty or holds a release of the recipe.

    Other tools name their shards as releases do, so that names say nothing about whose they are.
    """
    if _MANIFEST in current:
        with TemporaryDirectory() as cache:
            path = api.hf_hub_download(name, _MANIFEST, repo_type="dataset", revision=head, cache_dir=cache)
            owner = read_json_object(Path(path)).get("recipe")
        if owner == recipe:
            return
        contents = f"a release of recipe {owner}" if isinstance(owner, str) else "files of another tool"
    else:
        sizes = _sizes(api, name, head)
        files = sorted(path for path, size in sizes.items() if size > _OF_A_NEW_REPOSITORY.get(path, -1))
        if not files:
            return
        contents = f"files that are not of a release, such as {files[0]}"
    raise ServiceConflict(
        f"{name} holds {contents}; publishing would replace its card and its shards",
        hint="choose a new repository (stages.publish.repo), or empty that one",
    )


def _sizes(api: "HfApi", name: str, revision: str) -> dict[str, int]:
    from huggingface_hub.hf_api import RepoFile

    entries = api.list_repo_tree(name, revision=revision, recursive=True, repo_type="dataset")
    return {entry.path: entry.size for entry in entries if isinstance(entry, RepoFile)}


def _set_tag(api: "HfApi", name: str, tag: str, commit: str) -> None:
    def attempt() -> None:
        current = _tags(api, name).get(tag)
        if current is None:
            api.create_tag(name, tag=tag, revision=commit, repo_type="dataset")
        elif current != commit:
            raise ServiceConflict(
                f"tag {tag} of {name} points to another commit", hint="publish under another tag (stages.publish.tag)"
            )

    _retry(attempt, also=(409,))


class _Hashes(NamedTuple):
    """The hashes of a file: as a git blob, and as LFS or Xet content."""

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
    """Return the hash of each file at a revision: of its LFS content if it has any, else of the git blob."""
    from huggingface_hub.hf_api import RepoFile

    entries = api.list_repo_tree(name, revision=revision, recursive=True, repo_type="dataset")
    return {
        entry.path: entry.lfs.sha256 if entry.lfs else entry.blob_id for entry in entries if isinstance(entry, RepoFile)
    }


def _same(current: Mapping[str, str], wanted: Mapping[str, _Hashes]) -> bool:
    shards = {path for path in current if _SHARD.fullmatch(path)}
    return shards <= set(wanted) and all(current.get(path) in hashes for path, hashes in wanted.items())


def _tags(api: "HfApi", name: str) -> dict[str, str]:
    return {tag.name: tag.target_commit for tag in api.list_repo_refs(name, repo_type="dataset").tags}


def _retry(call: Callable[[], Result], *, also: tuple[int, ...] = ()) -> Result:
    """Return the result of ``call``, repeated if the network or the server fails or answers a status of ``also``."""
    for wait in _WAITS_S:
        try:
            return call()
        except _failures() as error:
            if not _is_transient(error) and _status(error) not in also:
                raise
            time.sleep(max(wait, _retry_after(error)))
    return call()


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
    return isinstance(error, lost) and not isinstance(error, OfflineModeIsEnabled | httpx.UnsupportedProtocol)


def _status(error: Exception) -> int | None:
    from huggingface_hub.errors import HfHubHTTPError

    return int(error.response.status_code) if isinstance(error, HfHubHTTPError) else None


def _retry_after(error: Exception) -> float:
    from huggingface_hub.errors import HfHubHTTPError

    stated = error.response.headers.get("Retry-After", "") if isinstance(error, HfHubHTTPError) else ""
    return min(float(stated), _MAX_WAIT_S) if stated.isdecimal() else 0.0


@contextmanager
def _hub_errors(api: "HfApi", repo: str) -> Iterator[None]:
    """Turn the client's errors into errors that say what to do."""
    try:
        yield
    except _failures() as error:
        status = _status(error)
        place = f"the Hub at {api.endpoint}"
        detail = _detail(error, str(api.token))
        if status in (401, 403, 404):
            raise ServiceRefused(
                f"{place} refuses to publish to {repo} with this key ({detail})",
                hint="use a key (HF_TOKEN) with write access to that name",
            ) from error
        if status in (409, 412):
            raise ServiceConflict(
                f"{repo} keeps being changed by someone else ({detail})",
                hint="wait until that has ended, then publish again",
            ) from error
        if status == 400 or (isinstance(error, ValueError) and not _is_transient(error)):
            raise InvalidInput(f"{place} does not accept this release: {detail}", hint="fix what it names") from error
        hint = "check the network and HF_ENDPOINT, then try again"
        if re.search(r"\b(xet|cas)", detail, re.IGNORECASE):
            hint += "; HF_HUB_DISABLE_XET=1 uploads without Xet"
        raise ServiceUnavailable(f"{place} cannot be reached or failed: {detail}", hint=hint) from error


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
