"""What a dataset card states: facts of a release, and statistics of its rows."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, Protocol

from curate.corpus.credits import Credits
from curate.corpus.figures import Figure


class Counts(Protocol):
    """Statistics of the rows of a release; split and label names are keys."""

    rows: Any
    seconds: Any
    label_sources: Any
    units: Any
    raters: Any
    origins: Any
    datasets: Any
    proposals: Any
    modalities: Any
    copied: Any
    answers: Any
    judged_on: Any
    speakers: Any
    annotators: Any
    cannot_judge: Any
    arms: Any
    faces: Any
    classes: Any
    values: Any
    numbers: Any
    agreement: Any

    @property
    def sources(self) -> Any: ...


class Separation(Protocol):
    """How far items that share a value are in one split: see ``curate.corpus.splitting.splits``."""

    @property
    def key(self) -> str: ...
    @property
    def known(self) -> int: ...
    @property
    def total(self) -> int: ...
    @property
    def leaks(self) -> Mapping[str, Sequence[str]]: ...


class Configuration(Protocol):
    """A configuration: see ``curate.release.configurations``."""

    @property
    def name(self) -> str: ...
    @property
    def folder(self) -> str: ...
    @property
    def features(self) -> Mapping[str, Mapping[str, Any]]: ...
    @property
    def card_features(self) -> Sequence[Mapping[str, Any]]: ...
    @property
    def rows(self) -> Mapping[str, int]: ...
    @property
    def row_bytes(self) -> Mapping[str, int]: ...
    @property
    def file_bytes(self) -> Mapping[str, int]: ...


class SignalFigures(Protocol):
    """What a card says of a signal: see ``curate.release.signals``."""

    @property
    def name(self) -> str: ...
    @property
    def tools(self) -> Sequence[str]: ...
    @property
    def rates_hz(self) -> Sequence[float]: ...
    @property
    def columns(self) -> Sequence[str]: ...
    @property
    def items(self) -> int: ...
    @property
    def tracks(self) -> int: ...
    @property
    def missing_share(self) -> float: ...


class AuditFigure(NamedTuple):
    """One figure on the model's proposals: see ``curate.consensus.audit.rows``.

    ``topic`` and ``name`` say what it is.
    """

    topic: str
    field: str
    group: Mapping[str, Any]
    measure: str
    name: str
    value: float | None
    low: float | None
    high: float | None
    items: int
    raters: int
    note: str


class ModelUse(NamedTuple):
    """A model that proposed labels: its labeller, prompt with hash, and the number of items it was asked about."""

    labeller: str
    model: str
    prompt: str
    prompt_sha256: str
    items: int


class CardFacts(NamedTuple):
    """The facts of a card apart from statistics."""

    name: str
    version: str
    changes: str
    """What changed since the version before, or that it is the first"""
    content_sha256: str
    recipe: str
    label_schema: str
    fields: Mapping[str, str]
    """A Markdown line for each label field."""
    tool: str
    separations: Sequence[Separation] = ()
    """For each thing that splits must not have in common, how many items have it and whether it holds."""
    configurations: Sequence[Configuration] = ()
    """What can be loaded by name; ``default`` comes first."""
    schemes: Mapping[str, Mapping[str, Any]] = {}
    """The facts of each split scheme, as the manifest has them"""
    errata: Sequence[Mapping[str, str | None]] = ()
    """What turned out to be wrong, oldest first"""
    languages: Sequence[str] = ()
    """ISO 639-1 codes"""
    labels: Mapping[str, Sequence[str]] = {}
    """The labels of each field that has some, in order."""
    definitions: Mapping[str, str] = {}
    """What labels mean, where a taxonomy says so."""
    questions: Mapping[str, str] = {}
    """The question of each field as people were asked it."""
    licence: str | None = None
    """The licence of the whole; None where it does not follow from those of the sources"""
    licence_url: str = ""
    """Where the licence is, if it is one of SPDX"""
    is_spdx: bool = False
    notices: Sequence[str] = ()
    """Notices about the tools used, such as their licences."""
    credits: Credits = Credits()
    agreement: Sequence[Figure] = ()
    """Agreement on the released items, over all judgements and, where there are several, by arm"""
    audit: Sequence[AuditFigure] = ()
    """The proposals for released items against people who saw none; no figure is of one person"""
    unaudited: int = 0
    """Judgements without a proposal in the form, if they are too many to be audited"""
    instructions: str = ""
    """The guideline that raters had, in Markdown; empty if it is not known"""
    other_guidelines: int = 0
    """Judgements that were made with another guideline than ``instructions``"""
    platforms: Sequence[str] = ()
    """Where people judged"""
    models: Sequence[ModelUse] = ()
    signals: Sequence[SignalFigures] = ()
    sessions: tuple[int, int] = (0, 0)
    """Released sources that are in a session, and the number of sessions"""
    consents: Mapping[str, int] = {}
    """Released sources by what they state of consent; empty if nothing"""
