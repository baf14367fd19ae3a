"""The publish stage: the newest release goes to the Hugging Face Hub."""

import json
import re
from contextlib import suppress
from pathlib import Path
from typing import Annotated, ClassVar, Literal

from pydantic import AfterValidator

from curate.corpus.tombstones import Tombstones
from curate.corpus.view import Corpus
from curate.errors import InvalidInput, StorageFailed
from curate.files import read_json_object, sha256_of_file, write_whole
from curate.hub.lint import lint_release
from curate.hub.upload import Published, Target, UploadPlan, plan_upload, read_back, upload_release
from curate.release.features import card_features
from curate.release.manifest import FILE, Manifest, check_files
from curate.release.takedown import held_in_release
from curate.release.versions import Releases
from curate.sentences import count_of
from curate.stages.contract import DriverStage, Forecast, Receipt, Tools

_NOTE = ".published.json"
_TAG = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_NAME = re.compile(r"(?!.*(--|\.\.))[A-Za-z0-9_]([A-Za-z0-9_.-]{0,94}[A-Za-z0-9_])?")


def _check_repo(name: str) -> str:
    parts = name.split("/")
    if len(parts) > 2 or not all(_NAME.fullmatch(part) for part in parts) or name.endswith(".git"):
        raise ValueError(f"{name!r} is not the name of a repository: write name or organisation/name")
    return name


def _check_tag(name: str) -> str:
    if not _TAG.fullmatch(name):
        raise ValueError("a tag is letters, digits, dots, dashes and underscores, such as 1.0.0 or 2027-01")
    return name


class Publish(DriverStage):
    """Upload the newest release in one commit with a tag; its files replace those of an earlier release."""

    operational: ClassVar[frozenset[str]] = frozenset({"dry_run", "read_back"})

    stage: Literal["publish"]
    repo: Annotated[str, AfterValidator(_check_repo)]
    """The repository on the Hugging Face Hub: name, or organisation/name."""
    private: bool = True
    """Whether the repository is private when it is made."""
    gated: Literal["auto", "manual", False] = False
    """Whether people must ask before they see the data, and whether each request is granted by itself or by hand."""
    tag: Annotated[str, AfterValidator(_check_tag)] | None = None
    """The tag to set; by default the release's version."""
    read_back: bool = True
    """Download the tag again into a fresh folder and compare hashes and rows."""
    dry_run: bool = False
    """Only say what would be uploaded: ``--set stages.publish.dry_run=true``."""

    def perform(self, corpus: Corpus, tools: Tools) -> Receipt:
        """Publish the newest release of the recipe that the workspace belongs to."""
        releases = Releases(corpus.workspace.releases)
        recipe = corpus.workspace.recipe or "corpus"
        manifests = releases.manifests(recipe)
        if not manifests:
            raise InvalidInput("there is no release to publish", hint="put the stage export before publish")
        newest = manifests[-1]
        folder = releases.fetch(newest)
        check_files(folder, newest)
        _check_forgotten(corpus, folder, newest)
        _check_card(folder, newest)
        paths = [*(file.path for file in newest.files), FILE]
        target = Target(self.repo, recipe, self.tag or newest.version, self.private, self.gated)
        if self.dry_run:
            return Receipt(False, {}, _foretell(plan_upload(folder, paths, target), newest, target))
        published = upload_release(folder, paths, target)
        self._read_back(corpus, folder, newest, target, published)
        counts = {"files": len(paths), "items": sum(newest.splits.values())}
        message = f"{published.url} has release {newest.version} as tag {target.tag}"
        return Receipt(published.changed, counts, message if published.changed else f"{message} already")

    def _read_back(
        self, corpus: Corpus, folder: Path, manifest: Manifest, target: Target, published: Published
    ) -> None:
        """Compare what the Hub gives back, once for each upload, however often that was interrupted."""
        note = corpus.workspace.local / _NOTE
        current = {"url": published.url, "commit": published.commit, "tag": target.tag}
        if not self.read_back or read_json_object(note) == current:
            return
        sha256 = {file.path: file.sha256 for file in manifest.files} | {FILE: sha256_of_file(folder / FILE)}
        read_back(target, sha256, {file.path: file.rows for file in manifest.files})
        with suppress(StorageFailed):
            write_whole(note, json.dumps(current))

    def foresee(self, corpus: Corpus, tools: Tools) -> Forecast:
        """See ``DriverStage.foresee``."""
        manifests = Releases(corpus.workspace.releases).manifests(corpus.workspace.recipe or "corpus")
        if not manifests:
            return Forecast(True, f"publishes the release to {self.repo}")
        return Forecast(False, f"publishes release {manifests[-1].version} to {self.repo}, unless it is there already")


def _check_forgotten(corpus: Corpus, folder: Path, manifest: Manifest) -> None:
    held = held_in_release(folder, manifest, Tombstones.read(corpus.workspace))
    if held.items or held.raters:
        raise InvalidInput(
            f"release {manifest.version} holds {held}, and is not published",
            hint=f"delete {folder} and run again to make a release without them",
        )


def _check_card(folder: Path, manifest: Manifest) -> None:
    shards = {file.path: file.rows for file in manifest.files if file.rows is not None}
    if problems := lint_release(folder, shards, card_features):
        raise InvalidInput(
            f"release {manifest.version} would not load as its card says",
            problems=tuple(problems),
            hint="correct the data card's template or the recipe's licences, and export again",
        )


def _foretell(plan: UploadPlan, manifest: Manifest, target: Target) -> str:
    if plan.tagged:
        return f"dry run: {plan.url} has release {manifest.version} as tag {target.tag} already"
    size_mb = sum(plan.added.values()) / 1e6
    access = "private" if target.private else "gated" if target.gated else "public"
    destination = plan.url if plan.exists else f"{plan.url}, a new {access} repository"
    parts = [
        f"dry run: would upload {count_of(len(plan.added), 'file')} ({size_mb:.1f} MB) to {destination}",
        *([f"delete {count_of(len(plan.deleted), 'shard')} of an earlier release"] if plan.deleted else []),
        f"set tag {target.tag}",
    ]
    return ", ".join(parts[:-1]) + f" and {parts[-1]}: nothing was sent"
