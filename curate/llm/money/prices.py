"""What models cost, from a table that users may replace, and how many tokens a request will take."""

import fnmatch
import math
from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field

from curate.assets import find_asset
from curate.document import load_document, parse_model
from curate.errors import InvalidInput
from curate.llm.completion import TokenUsage
from curate.llm.request import MediaPart, Request

_FOLDER, _NAME = "recipes/prices", "prices"
_BYTES_PER_TOKEN = 3.6
_TOKENS_PER_MESSAGE = 6
_TOKENS_PER_TEXT = 2
_LOW_DETAIL_TOKENS = 85
_TILE_PX, _PATCH_PX, _MAX_PATCHES = 512, 32, 1536
_SIDE_PX, _SHORT_SIDE_PX = 1024, 768
_AUDIO_TOKENS_PER_S = 20.0
_AUDIO_S = 30.0
_VIDEO_TOKENS_PER_S = 300.0
"""About what services count that look at one picture a second, with the sound"""


class PicturePricing(BaseModel):
    """How a model counts pictures: a base plus tiles of 512 px, or a factor per patch of 32 px."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    base: int = Field(default=85, ge=0)
    tile: int = Field(default=170, ge=0)
    patch: float | None = Field(default=None, gt=0)


class Price(BaseModel):
    """US dollars per million tokens for the models whose name matches a pattern; ``batch`` is a factor."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)
    model: str
    input: float = Field(ge=0)
    output: float = Field(ge=0)
    cached: float | None = Field(default=None, ge=0)
    batch: float = Field(default=1.0, ge=0, le=1)
    picture: PicturePricing = PicturePricing()

    def usd(self, usage: TokenUsage, *, batch: bool = False) -> float:
        """Return the cost of a number of tokens."""
        cached_price = self.input if self.cached is None else self.cached
        uncached = usage.tokens_in - usage.cached
        full_price = uncached * self.input + usage.cached * cached_price + usage.tokens_out * self.output
        return full_price * (self.batch if batch else 1.0) / 1e6


class Prices(BaseModel):
    """The price table: prices in order of precedence, with their date and source."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    models: tuple[Price, ...]
    as_of: object = None
    source: str = ""

    def of(self, model: str) -> Price | None:
        """Return the price of a model, or None if the table has none."""
        return _match(self.models, model)


@lru_cache(maxsize=256)
def _match(prices: tuple[Price, ...], model: str) -> Price | None:
    return next((price for price in prices if fnmatch.fnmatchcase(model, price.model)), None)


def load_prices(recipe_folder: Path | None) -> Prices:
    """Load the price table: ``prices.yaml`` next to the recipe, otherwise the shipped one.

    Raises ``InvalidInput`` listing every problem with its file and line.
    """
    path = find_asset(_FOLDER, _NAME, suffix=".yaml", user_folder=recipe_folder)
    try:
        document = load_document(path)
        return parse_model(Prices, document.data, document)
    except InvalidInput as error:
        hint = f"compare it with the shipped one, {shipped_prices()}"
        raise InvalidInput(error.message, problems=error.problems, hint=hint) from None


def shipped_prices() -> Path:
    """Return the table to copy next to a recipe."""
    return find_asset(_FOLDER, _NAME, suffix=".yaml")


def check_priced(prices: Prices, models: Iterable[str]) -> None:
    """Raise ``InvalidInput`` if a budget in dollars cannot be kept because a model has no price."""
    if missing := sorted({model for model in models if prices.of(model) is None}):
        raise InvalidInput(
            f"a budget in dollars needs a price for {', '.join(missing)}",
            hint=f"add it to prices.yaml next to the recipe (a copy of {shipped_prices()}), "
            "or set the budget in tokens",
        )


def estimate_tokens_in(request: Request, price: Price | None) -> int:
    """Return about how many input tokens a request takes: one per 3.6 bytes of text, plus pictures and sounds.

    An upper estimate for text in the languages that models are made for.
    """
    media = sum(_media_tokens(part, price.picture if price else PicturePricing()) for part in request.media)
    return math.ceil(_text_bytes(request) / _BYTES_PER_TOKEN) + _TOKENS_PER_MESSAGE * len(request.messages) + media


def estimate_text_tokens(texts: Iterable[str]) -> int:
    """Return about how many tokens texts take by themselves, as they are embedded."""
    return sum(math.ceil(len(text.encode("utf-8", "replace")) / _BYTES_PER_TOKEN) + _TOKENS_PER_TEXT for text in texts)


def _text_bytes(request: Request) -> int:
    texts = (part for message in request.messages for part in message.parts if isinstance(part, str))
    length = sum(len(text) if text.isascii() else len(text.encode("utf-8", "replace")) for text in texts)
    return length + request.schema_chars


def _media_tokens(part: MediaPart, picture: PicturePricing) -> int:
    if part.kind == "audio":
        return math.ceil((part.seconds or _AUDIO_S) * _AUDIO_TOKENS_PER_S)
    if part.kind == "video":
        return math.ceil((part.seconds or _AUDIO_S) * _VIDEO_TOKENS_PER_S)
    side = part.side_px or _SIDE_PX
    if picture.patch is not None:
        patches = min(_MAX_PATCHES, math.ceil(side / _PATCH_PX) ** 2)
        return math.ceil(patches * picture.patch)
    if part.detail == "low":
        return max(picture.base, _LOW_DETAIL_TOKENS)
    # Large pictures are first shrunk to 768 px on the shorter side, which in the worst case is both.
    tiles = math.ceil(min(side, _SHORT_SIDE_PX) / _TILE_PX) * math.ceil(side / _TILE_PX)
    return picture.base + picture.tile * tiles
