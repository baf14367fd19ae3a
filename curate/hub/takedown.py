"""Replace every tag of a data set on the Hub by a cut without what was forgotten, and remove what it replaces."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

from curate.errors import ServiceConflict
from curate.files import digest, sha256_of_file
from curate.hub.client import Hub
from curate.hub.upload import MANIFEST, check_owner, hashes_of, is_of_release, is_same, set_tag

ONLY_SUPPORT = (
    "the copies that the Hub made itself in {converted}: they are made again, but their earlier commits can be read by "
    "number until the Hub's support removes them",
    "commits that were replaced can be read by number until the Hub collects them: ask support to do it now",
    "duplicates and forks of the data set, discussions with attached files, and caches of the viewer: name them to "
    "support",
    "what others have downloaded: tell those whose requests you granted, and who cite the data",
)
"""What an owner cannot remove."""


class Tag(NamedTuple):
    """A tag on the Hub: the commit, and its files with the hashes of what they hold."""

    name: str
    commit: str
    files: Mapping[str, str]


class Tags(NamedTuple):
    """The tags of a data set, oldest version first, and the branches of converted copies."""

    repo: str
    url: str
    head: str
    tags: tuple[Tag, ...]
    converted: tuple[str, ...]


def list_tags(repo: str, recipe: str, order: Callable[[str], object]) -> Tags:
    """Return the tags of a data set in an order. Raises ``ServiceConflict`` if it is not of the recipe or is gone."""
    hub = Hub()
    with hub.errors(repo):
        name, state = hub.find_repo(repo)
        if state is None:
            raise ServiceConflict(f"{hub.url(name)} does not exist", hint="name the data set in stages.publish.repo")
        names = hub.tags(name)
        # Once all are removed, what is left is of others.
        if names:
            check_owner(hub, name, state.head, recipe)
        tags = [
            Tag(tag, names[tag], {path: file.hash for path, file in hub.files(name, names[tag]).items()})
            for tag in sorted(names, key=order)  # type: ignore[arg-type]
        ]
        return Tags(name, hub.url(name), state.head, tuple(tags), tuple(hub.converted(name)))


def fetch_tag(repo: str, tag: Tag, folder: Path, paths: Sequence[str]) -> None:
    """Download files of a tag into ``folder``."""
    hub = Hub()
    with hub.errors(repo):
        for path in paths:
            if path in tag.files:
                hub.download(repo, path, tag.commit, folder)


def replace_tags(
    repo: str,
    cuts: Mapping[str, Path],
    *,
    old_commits: Sequence[str],
    old_hashes: Sequence[str],
    say: Callable[[str], None],
) -> list[str]:
    """Make ``cuts`` (the folder of each tag, oldest first) all that the data set holds, and prove it.

    The main branch becomes one commit without history, then each cut a commit with its tag; tags that are not in
    ``cuts`` are gone. Content with ``old_hashes`` is deleted unless a cut has it, or the main branch in a file that is
    not of a release. Returns what of ``old_commits`` and of that content can still be fetched, in sentences. May be
    killed and repeated at any time with the same arguments.
    """
    hub = Hub()
    with hub.errors(repo):
        _begin_anew(hub, repo, cuts, old_commits, say)
        for tag, folder in cuts.items():
            if tag not in hub.tags(repo):
                say(f"cutting {tag} again")
                set_tag(hub, repo, tag, _put(hub, repo, tag, folder))
        current_hashes = {file.hash for tag in cuts for file in hub.files(repo, tag).values()}
        head = hub.files(repo, hub.state(repo).head)
        current_hashes |= {file.hash for path, file in head.items() if not is_of_release(path)}
        gone = [content for content in old_hashes if content not in current_hashes]
        say("deleting the content that was replaced")
        hub.delete_content(repo, gone)
        readable = [
            f"commit {commit} can still be read by its number" for commit in old_commits if hub.can_read(repo, commit)
        ]
        undeleted = hub.find_content(repo, gone)
        return [*readable, *(f"content {content} is still stored" for content in undeleted)]


def _begin_anew(
    hub: Hub, repo: str, cuts: Mapping[str, Path], old_commits: Sequence[str], say: Callable[[str], None]
) -> None:
    """Make the main branch one commit, with the oldest cut or nothing, unless an earlier call has done so."""
    # A later takedown may begin with the same cuts: what it replaces tells them apart.
    began_with = [sha256_of_file(folder / MANIFEST) for folder in cuts.values()]
    title = f"Begin anew ({digest([began_with, list(old_commits)])[:12]})"
    if title in hub.titles(repo):
        return
    say("replacing the history")
    if cuts:
        _put(hub, repo, *next(iter(cuts.items())))
    else:
        hub.retry(lambda: _empty(hub, repo), also=(409, 412))
    for tag in hub.tags(repo):
        hub.retry(partial(_delete_tag, hub, repo, tag))
    hub.squash(repo, title)


def _delete_tag(hub: Hub, repo: str, tag: str) -> None:
    if tag in hub.tags(repo):
        hub.delete_tag(repo, tag)


def _empty(hub: Hub, repo: str) -> None:
    head = hub.state(repo).head
    if files := [path for path in hub.files(repo, head) if is_of_release(path)]:
        hub.commit(repo, {}, delete=files, message="Remove all releases", parent=head)


def _put(hub: Hub, repo: str, tag: str, folder: Path) -> str:
    """Commit a cut to the main branch in place of another one, and return the commit."""
    wanted = {path.relative_to(folder).as_posix(): path for path in sorted(folder.rglob("*")) if path.is_file()}
    hashes = {name: hashes_of(path) for name, path in wanted.items()}

    def attempt() -> str:
        head = hub.state(repo).head
        current = hub.files(repo, head)
        stale = [path for path in current if is_of_release(path) and path not in wanted]
        if not stale and is_same(current, hashes):
            return head
        return hub.commit(repo, wanted, delete=stale, message=f"Release {tag}", parent=head)

    return hub.retry(attempt, also=(409, 412))
