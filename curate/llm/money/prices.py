"""What models cost, by a table that the user may replace, and how many tokens a request will take."""

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
_TILE_PX, _PATCH_PX, _MOST_PATCHES = 512, 32, 1536
_SIDE_PX, _SHORT_SIDE_PX = 1024, 768
_AUDIO_TOKENS_PER_S = 20.0
_AUDIO_S = 30.0


class PicturePricing(BaseModel):
    """How a model counts pictures: a base and tiles of 512 px, or a factor for patches of 32 px."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    base: int = Field(default=85, ge=0)
    tile: int = Field(default=170, ge=0)
    patch: float | None = Field(default=None, gt=0)


class Price(BaseModel):
    """US dollars per million tokens of the models whose name fits a pattern; ``batch`` is a factor."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)
    model: str
    input: float = Field(ge=0)
    output: float = Field(ge=0)
    cached: float | None = Field(default=None, ge=0)
    batch: float = Field(default=1.0, ge=0, le=1)
    picture: PicturePricing = PicturePricing()

    def usd(self, usage: TokenUsage, *, batch: bool = False) -> float:
        """What so many tokens cost."""
        cached = self.input if self.cached is None else self.cached
        fresh = usage.tokens_in - usage.cached
        whole = fresh * self.input + usage.cached * cached + usage.tokens_out * self.output
        return whole * (self.batch if batch else 1.0) / 1e6


class Prices(BaseModel):
    """The table: prices in order, and since when and from where they are."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    models: tuple[Price, ...]
    as_of: object = None
    source: str = ""

    def of(self, model: str) -> Price | None:
        """The price of a model, or None where the table has none."""
        return _match(self.models, model)


@lru_cache(maxsize=256)
def _match(prices: tuple[Price, ...], model: str) -> Price | None:
    return next((price for price in prices if fnmatch.fnmatchcase(model, price.model)), None)


def load_prices(beside: Path | None) -> Prices:
    """The price table: ``prices.yaml`` beside the recipe, else the shipped one.

    Raises ``InvalidInput`` listing every problem with its file and line.
    """
    path = find_asset(_FOLDER, _NAME, suffix=".yaml", user_folder=beside)
    try:
        document = load_document(path)
        return parse_model(Prices, document.data, document)
    except InvalidInput as error:
        hint = f"compare it with the shipped one, {shipped_prices()}"
        raise InvalidInput(error.message, problems=error.problems, hint=hint) from None


def shipped_prices() -> Path:
    """The table to copy beside a recipe."""
    return find_asset(_FOLDER, _NAME, suffix=".yaml")


def check_priced(prices: Prices, models: Iterable[str]) -> None:
    """Raise ``InvalidInput`` where a budget in dollars cannot hold because a model has no price."""
    if missing := sorted({model for model in models if prices.of(model) is None}):
        raise InvalidInput(
            f"a budget in dollars needs a price for {', '.join(missing)}",
            hint=f"add it to prices.yaml beside the recipe (a copy of {shipped_prices()}), or set the budget in tokens",
        )


def estimate_tokens_in(request: Request, price: Price | None) -> int:
    """About how many tokens a request takes: one for every 3.6 bytes of text, and its pictures and sounds.

    For text in the languages that models were made for this is more than they count.
    """
    chars = _text_bytes(request)
    media = sum(_media_tokens(each, price.picture if price else PicturePricing()) for each in request.media)
    return math.ceil(chars / _BYTES_PER_TOKEN) + _TOKENS_PER_MESSAGE * len(request.messages) + media


def estimate_text_tokens(texts: Iterable[str]) -> int:
    """About how many tokens texts take by themselves, as they are embedded."""
    return sum(math.ceil(len(text.encode("utf-8", "replace")) / _BYTES_PER_TOKEN) + _TOKENS_PER_TEXT for text in texts)


def _text_bytes(request: Request) -> int:
    texts = (part for message in request.messages for part in message.parts if isinstance(part, str))
    schema = request.schema_chars
    return sum(len(text) if text.isascii() else len(text.encode("utf-8", "replace")) for text in texts) + schema


def _media_tokens(media: MediaPart, picture: PicturePricing) -> int:
    if media.kind == "audio":
        return math.ceil((media.seconds or _AUDIO_S) * _AUDIO_TOKENS_PER_S)
    side = media.side_px or _SIDE_PX
    if picture.patch is not None:
        patches = min(_MOST_PATCHES, math.ceil(side / _PATCH_PX) ** 2)
        return math.ceil(patches * picture.patch)
    if media.detail == "low":
        return max(picture.base, _LOW_DETAIL_TOKENS)
    # Large pictures are first shrunk to 768 px on the shorter side, which for the worst case is both.
    tiles = math.ceil(min(side, _SHORT_SIDE_PX) / _TILE_PX) * math.ceil(side / _TILE_PX)
    return picture.base + picture.tile * tiles
