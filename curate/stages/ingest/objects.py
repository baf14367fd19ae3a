"""Raw files on an object store: listed by each run, and copied into the workspace once, as links are."""

import os
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from curate.corpus.fetched import LINKS, LISTINGS, FetchRecord, link_copy, link_key
from curate.corpus.sources import OBJECTS
from curate.errors import CurateError, Interrupted, InvalidInput, ServiceRefused
from curate.files import sha256_of_file
from curate.sentences import count_of, verb_of
from curate.stages.contract import Tools
from curate.stages.ingest.matching import matches_glob
from curate.stages.ingest.urls.listing import LinkInputs, stored_results
from curate.stages.ingest.urls.outcomes import Result

_AT_A_TIME = 16
_GLOB = frozenset("*?[")


def is_remote(pattern: str) -> bool:
    """Whether a pattern is one of files on an object store."""
    return pattern.startswith(OBJECTS)


def object_problem(pattern: str) -> str | None:
    """Return why a pattern cannot be listed, without asking; None if it can be."""
    scheme, mark, rest = pattern.partition("://")
    if not mark:
        return None
    if scheme in ("http", "https"):
        return f"{pattern!r} is a link: name it in `urls`"
    if scheme == "gs":
        return (
            f"{pattern!r}: name the bucket as s3://, with AWS_ENDPOINT_URL=https://storage.googleapis.com and HMAC keys"
        )
    if scheme != "s3":
        return f"{pattern!r}: files are in folders or at s3://"
    bucket, _, keys = rest.partition("/")
    if not bucket or not keys or _GLOB & set(bucket) or "@" in bucket:
        return f"{pattern!r} is not a bucket and a pattern such as s3://bucket/raw/**/*.mp4"
    if find_spec("s3fs") is None:
        return f"{pattern!r} needs the package s3fs: pip install 'curate[s3]'"
    return None


def object_inputs(patterns: Sequence[str], tools: Tools) -> LinkInputs:
    """Return the names of the files that patterns match, and the inputs for those that can only be rejected.

    A run lists them, and copies those that it has not yet or that have changed; other commands read what was listed.
    Raises ``InvalidInput`` if a pattern matches nothing or cannot be listed.
    """
    if tools.fetched is None or not patterns:
        return LinkInputs([], [])
    record = FetchRecord(tools.fetched)
    versions: dict[str, str] = {}
    for pattern in patterns:
        versions |= _listing(pattern, record, tools)
    if tools.fetches:
        _copy(_due(versions, tools), record, tools)
    results = stored_results(tools)
    names, problems = [], []
    for url in versions:
        result = results.get(link_key(url))
        if result is None:
            continue
        if result.outcome == "ok" and link_copy(tools.fetched, url).is_file():
            names.append(url)
        elif result.outcome != "ok":
            problems.append({"file": url, "problem": result.detail, "reason": result.outcome})
    return LinkInputs(names, problems)


def unread_objects(patterns: Sequence[str], tools: Tools) -> Iterator[str]:
    """Yield the patterns that a run has to list, and how many files it has to copy."""
    if tools.fetched is None:
        return
    record = FetchRecord(tools.fetched)
    for pattern in patterns:
        listing = record.get(LISTINGS, link_key(pattern))
        if listing is None:
            yield f"files at {pattern} are to be listed"
        elif due := _due(listing, tools):
            yield f"{count_of(len(due), 'file')} at {pattern} {verb_of(len(due), 'is', 'are')} to be copied"


def _listing(pattern: str, record: FetchRecord, tools: Tools) -> Mapping[str, str]:
    """Return the version of each file that a pattern matches, by URL."""
    stored = record.get(LISTINGS, link_key(pattern))
    if not tools.fetches:
        return stored or {}
    try:
        versions = _list(pattern)
    except (CurateError, FileNotFoundError) as error:
        if stored is not None:  # what is here can be used without the store
            return stored
        raise InvalidInput(
            f"{pattern} cannot be listed: {error}", hint="check the bucket, its keys and the network"
        ) from error
    if not versions:
        raise InvalidInput(f"no file matches {pattern!r}", hint="check the bucket and the pattern")
    results = stored_results(tools)
    is_forgotten = {key for key, result in results.items() if result.outcome == "forgotten"}
    versions = {url: version for url, version in versions.items() if link_key(url) not in is_forgotten}
    record.put(LISTINGS, {link_key(pattern): versions})
    return versions


def _list(pattern: str) -> dict[str, str]:
    from curate.storage.s3.client import S3Prefix

    bucket, *parts = pattern.removeprefix(OBJECTS).split("/")
    fixed = 0
    while fixed < len(parts) - 1 and not _GLOB & set(parts[fixed]):
        fixed += 1
    prefix = S3Prefix("/".join([OBJECTS + bucket, *parts[:fixed]]))
    objects = prefix.objects()
    return {
        f"{prefix.url}/{name}": version
        for name, (size, version) in sorted(objects.items())
        if size and matches_glob(name.split("/"), parts[fixed:])
    }


def _due(versions: Mapping[str, str], tools: Tools) -> list[tuple[str, str]]:
    """Return the files that are to be copied, and their versions."""
    results, fetched = stored_results(tools), tools.fetched or Path("nowhere")
    due = []
    for url, version in versions.items():
        result = results.get(link_key(url))
        if result is not None and result.outcome == "forgotten":
            continue
        if (
            result is None
            or (result.outcome, result.settings) != ("ok", version)
            or not link_copy(fetched, url).is_file()
        ):
            due.append((url, version))
    return due


def _copy(due: Sequence[tuple[str, str]], record: FetchRecord, tools: Tools) -> None:
    """Copy files into the workspace, several at a time, and store the outcome of each."""
    stop = tools.stop or (lambda: False)
    day = tools.today.isoformat()
    with ThreadPoolExecutor(_AT_A_TIME, thread_name_prefix="curate-object") as pool:
        tasks = {pool.submit(_copy_one, url, record.path, stop): (url, version) for url, version in due}
        size_bytes = 0
        for done, task in enumerate(as_completed(tasks), start=1):
            url, version = tasks[task]
            if (result := task.result()) is not None:
                size_bytes += result.size_bytes
                record.put(LINKS, {link_key(url): result._replace(settings=version, day=day)._asdict()})
            if tools.fetching is not None:
                tools.fetching(done, len(due), size_bytes)
    if stop():
        raise Interrupted("stopped while files were copied", hint="run the same command again to go on")


def _copy_one(url: str, fetched: Path, stop: Any) -> Result | None:
    """Return what became of a file; None if the run is stopped."""
    from curate.storage.s3.client import S3Prefix

    if stop():
        return None
    target = link_copy(fetched, url)
    target.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    partial = target.with_name(target.name + ".part")
    holder, _, name = url.rpartition("/")
    try:
        S3Prefix(holder).download(name, partial)
    except FileNotFoundError:
        return Result("gone", "it is not there any more")
    except ServiceRefused as error:
        return Result("forbidden", error.message)
    except CurateError as error:
        return Result("unavailable", error.message)
    digest = sha256_of_file(partial)
    # Its time of change follows from its content, so that what was made of it holds if it is copied again.
    os.utime(partial, ns=(int(digest[:15], 16), int(digest[:15], 16)))
    size = partial.stat().st_size
    partial.replace(target)
    return Result("ok", "", digest, size)
