"""Put the newest release on the Hugging Face Hub, in one commit with a tag."""

import re
from typing import Annotated, Literal

from pydantic import AfterValidator

from curate.corpus.view import Corpus
from curate.errors import InvalidInput
from curate.hub.upload import upload_release
from curate.release.manifest import FILE, check_files
from curate.release.versions import Releases
from curate.stages.contract import DriverStage, Receipt, Tools
from curate.stages.export import Version

_NAME = re.compile(r"(?!.*(--|\.\.))[A-Za-z0-9_]([A-Za-z0-9_.-]{0,94}[A-Za-z0-9_])?")


def _check_repo(name: str) -> str:
    parts = name.split("/")
    if len(parts) > 2 or not all(_NAME.fullmatch(part) for part in parts) or name.endswith(".git"):
        raise ValueError(f"{name!r} is not the name of a repository: write name or organisation/name")
    return name


class Publish(DriverStage):
    """Upload the newest release; doing it again changes nothing, and a newer one replaces the files of the older."""

    stage: Literal["publish"]
    repo: Annotated[str, AfterValidator(_check_repo)]
    private: bool = True
    tag: Version = None
    """The tag to set; the release's version where it is left out."""

    def perform(self, corpus: Corpus, tools: Tools) -> Receipt:
        """Publish the newest release of the recipe that the workspace belongs to."""
        releases = Releases(corpus.workspace.releases)
        made = releases.manifests(corpus.workspace.recipe or "corpus")
        if not made:
            raise InvalidInput("there is no release to publish", hint="put the stage export before publish")
        newest = made[-1]
        folder = releases.fetch(newest)
        check_files(folder, newest)
        paths = [*(file.path for file in newest.files), FILE]
        tag = self.tag or newest.version
        done = upload_release(folder, paths, repo=self.repo, private=self.private, tag=tag)
        counts = {"files": len(paths), "items": sum(newest.splits.values())}
        what = f"{done.url} has release {newest.version} as tag {tag}"
        return Receipt(done.changed, counts, what if done.changed else f"{what} already")
