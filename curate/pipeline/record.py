"""What a run did, and what it leaves in ``runs/<run_id>``: the recipe, log.jsonl, run.json and the report."""

import json
import platform
import secrets
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from importlib.metadata import version as version_of
from pathlib import Path
from typing import Any

from curate import __version__
from curate.corpus.view import Corpus
from curate.errors import CurateError
from curate.llm.money.account import UsageTotals
from curate.pipeline.report import write_run_report
from curate.recipe import LoadedRecipe, dump_recipe
from curate.storage.workspace import Workspace

_PACKAGES = ("av", "deltalake", "onnxruntime", "polars", "pyarrow")


@dataclass
class StageResult:
    """What a stage did: inputs done before (``skipped``), done and rejected now, rows kept, and a line for the user."""

    stage: str
    inputs: int = 0
    skipped: int = 0
    left: int = 0
    """Inputs that were not reached because the stage ended early."""
    rows: int = 0
    rejected: int = 0
    rejected_in_all: int = 0
    repeats: int = 0
    """Of these, inputs that were left out because they repeat others."""
    forgotten: int = 0
    """Of these, inputs that ``curate forget`` has removed for good."""
    rejection: str = ""
    """The most common reason for the other rejections, with an example."""
    unused_parts: str = ""
    """How many parts of kept inputs could not be used, with an example."""
    seconds: float = 0.0
    message: str = ""
    counts: dict[str, int] = field(default_factory=dict)
    """Results by kind, such as the outcomes of the proposals made now."""
    reason: str = ""
    """The most common reason why an input has no result."""
    crashed: int = 0
    """Inputs whose worker was killed each time it tried: the next run tries them again."""
    failed: int = 0
    """Inputs that lack a result through no fault of theirs: the next run tries them again."""
    unavailable: int = 0
    """Inputs whose file was out of reach: the next run tries them again."""
    changed: bool = False
    account: dict[str, UsageTotals] = field(default_factory=dict)
    """What each paid service was asked and cost, by its name."""

    @property
    def rejected_share(self) -> float:
        """The share of its inputs that the stage rejected (0-1), not counting those that were left out on purpose."""
        wanted = self.inputs - self.left_out
        return (self.rejected_in_all - self.left_out) / wanted if wanted > 0 else 0.0

    @property
    def left_out(self) -> int:
        """Inputs that were rejected because they repeat others, or were forgotten."""
        return self.repeats + self.forgotten


@dataclass
class Run:
    """A run that has ended."""

    recipe: str
    run_id: str
    stages: list[StageResult]
    report: Path | None = None
    """The report on this disk; None if nothing was done."""
    release: str | None = None
    """The folder or URL of the newest release."""
    error: CurateError | None = None
    """What ended the run early; everything finished is kept all the same."""

    @property
    def changed(self) -> bool:
        """Whether the run made anything new."""
        return any(result.changed for result in self.stages)

    @property
    def rejected_share(self) -> float:
        """The largest share of its inputs that any stage rejected (0-1)."""
        return max((result.rejected_share for result in self.stages), default=0.0)


def add_accounts(*accounts: Mapping[str, UsageTotals]) -> dict[str, UsageTotals]:
    """Return what each service was asked and cost in all accounts together."""
    total: dict[str, UsageTotals] = {}
    for account in accounts:
        for name, spent in account.items():
            total[name] = total[name] + spent if name in total else spent
    return total


class RunRecord:
    """The folder of a run, which exists once the run has done something."""

    def __init__(self, loaded: LoadedRecipe, workspace: Workspace) -> None:
        self.run_id = f"{datetime.now(UTC):%Y%m%dT%H%M%S}-{secrets.token_hex(2)}"
        self.results: list[StageResult] = []
        self.ended: str | None = None
        """Why the run ended early."""
        self._loaded = loaded
        self._folder = workspace.runs.child(self.run_id)

    def log(self, event: str, **details: Any) -> None:
        """Append a line to log.jsonl."""
        folder = self._folder.path
        with self._folder.errors():
            if not folder.is_dir():
                folder.mkdir(parents=True)
                (folder / "recipe.yaml").write_text(dump_recipe(self._loaded.recipe), encoding="utf-8")
            now = datetime.now(UTC).isoformat("T", "milliseconds")
            with (folder / "log.jsonl").open("a", encoding="utf-8") as log:
                log.write(json.dumps({"at": now, "event": event, **details}, ensure_ascii=False) + "\n")

    def write(self) -> None:
        """Write run.json, if anything was done."""
        if self._folder.path.is_dir():
            with self._folder.errors():
                text = json.dumps(self._as_dict(), indent=2, ensure_ascii=False)
                (self._folder.path / "run.json").write_text(text + "\n", encoding="utf-8")
                self._folder.save(["recipe.yaml", "log.jsonl", "run.json"])

    def write_report(self, corpus: Corpus) -> Path | None:
        """Write the report and return its path; None if nothing was done."""
        if not self._folder.path.is_dir():
            return None
        with self._folder.errors():
            report = write_run_report(self._loaded, corpus, self._folder.path / "report.html", self._as_dict())
            self._folder.save(["report.html"])
        return report

    def _as_dict(self) -> dict[str, Any]:
        return {
            "run_id": self.run_id,
            "recipe": self._loaded.recipe.recipe,
            "recipe_file": self._loaded.path.name,
            "labels": {"name": self._loaded.labels.name, "sha256": self._loaded.labels.sha256},
            "stages": [asdict(result) for result in self.results],
            "ended": self.ended,
            "versions": {
                "curate": __version__,
                "python": platform.python_version(),
                **{name: version_of(name) for name in _PACKAGES},
            },
        }
