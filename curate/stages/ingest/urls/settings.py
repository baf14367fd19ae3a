"""The settings of links, as part of the stage ingest."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, model_validator


class Urls(BaseModel):
    """Links to raw files, and how they are fetched. Files are kept in the workspace, on this machine, and fetched once.

    Links to private networks and to this machine are refused unless ``curate run --private-links`` allows them.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    links: tuple[Annotated[str, Field(max_length=8_000)], ...] = ()
    """The links themselves."""
    table: str | None = None
    """Instead of ``links``: a table of them (.csv, .tsv, .json, .jsonl, .parquet or Excel)."""
    column: str = "url"
    """The column of the table that has the links."""
    sha256: str | None = None
    """The column of the table that has the SHA-256 of each file, in hexadecimal digits; other files are rejected."""
    types: tuple[Annotated[str, Field(pattern=r"^[a-z]+/([a-z0-9.+-]+|\*)$")], ...] = (
        *("video/*", "audio/*", "image/*", "text/plain", "text/csv", "application/ogg", "application/mp4"),
        *("application/octet-stream", "binary/octet-stream", "application/jsonl"),
    )
    """Types of content that are fetched, as servers name them."""
    max_mb: float = Field(default=2_000, gt=0)
    """The size up to which a file is fetched."""
    connections: int = Field(default=32, ge=1, le=256)
    """How many files are fetched at a time."""
    per_host: int = Field(default=4, ge=1, le=256)
    """How many of them from one server."""
    timeout_s: float = Field(default=30, gt=0, le=600)
    """How long a server may say nothing."""
    max_s: float = Field(default=3_600, gt=0)
    """How long a file may take."""
    robots: bool = True
    """Whether robots.txt and ``noai`` are honoured; only if you have the right to ignore them may this be false."""

    @model_validator(mode="after")
    def _check(self) -> "Urls":
        if bool(self.links) == (self.table is not None):
            raise ValueError("name either `links` or `table`")
        if self.sha256 is not None and self.table is None:
            raise ValueError("`sha256` is a column of `table`")
        return self
