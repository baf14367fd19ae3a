"""The publish stage: the newest release goes to the Hugging Face Hub."""

import re
from typing import Annotated, Literal

from pydantic import AfterValidator

from curate.corpus.view import Corpus
from curate.errors import InvalidInput
from curate.hub.upload import upload_release
from curate.release.manifest import FILE, check_files
from curate.release.versions import Releases
from curate.stages.contract import DriverStage, Forecast, Receipt, Tools

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

    stage: Literal["publish"]
    repo: Annotated[str, AfterValidator(_check_repo)]
    """The repository on the Hugging Face Hub: name, or organisation/name."""
    private: bool = True
    """Whether the repository is private when it is made."""
    tag: Annotated[str, AfterValidator(_check_tag)] | None = None
    """The tag to set; by default the release's version."""

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
        paths = [*(file.path for file in newest.files), FILE]
        tag = self.tag or newest.version
        published = upload_release(folder, paths, recipe=recipe, repo=self.repo, private=self.private, tag=tag)
        counts = {"files": len(paths), "items": sum(newest.splits.values())}
        message = f"{published.url} has release {newest.version} as tag {tag}"
        return Receipt(published.changed, counts, message if published.changed else f"{message} already")

    def foresee(self, corpus: Corpus, tools: Tools) -> Forecast:
        """See ``DriverStage.foresee``."""
        manifests = Releases(corpus.workspace.releases).manifests(corpus.workspace.recipe or "corpus")
        if not manifests:
            return Forecast(True, f"publishes the release to {self.repo}")
        return Forecast(False, f"publishes release {manifests[-1].version} to {self.repo}, unless it is there already")
