"""Filters: reject the items of a source that are not as the recipe asks, or that repeat each other."""

from collections.abc import Sequence
from typing import Any

from curate.media.duplicates import NEAR_PICTURE_SHARE, NEAR_SOUND_SHARE, is_near
from curate.stages.contract import Rejection
from curate.stages.preprocess.settings import Filters


def filter_items(
    items: Sequence[dict[str, Any]], filters: Filters, rejections: list[Rejection]
) -> list[dict[str, Any]]:
    """Return the items that pass; add a rejection with reason and value for each of the others."""
    passing: list[dict[str, Any]] = []
    for item in items:
        failure = _failed_limit(item, filters) or _failed_need(item, filters)
        if failure is None and filters.drop_near_duplicates:
            failure = _repetition(item, passing)
        if failure is None:
            passing.append(item)
        else:
            rejections.append(Rejection(item["source_id"], item["item_id"], *failure))
    return passing


def _failed_limit(item: dict[str, Any], filters: Filters) -> tuple[str, str] | None:
    """Return the reason, and a sentence with the value, of the first limit that an item exceeds."""
    share, text = item.get("speech_share"), item.get("text")
    speech_s = None if share is None else share * (item.get("end_s", 0.0) - item.get("start_s", 0.0))
    chars = None if text is None else len(text)
    limits: tuple[tuple[str, str, float | None, float | None, float | None], ...] = (
        ("low_snr", "snr_db", item.get("snr_db"), filters.min_snr_db, None),
        ("too_quiet", "loudness_lufs", item.get("loudness_lufs"), filters.min_loudness_lufs, None),
        ("clipped", "clipping_share", item.get("clipping_share"), None, filters.max_clipping_share),
        ("silent", "silence_share", item.get("silence_share"), None, filters.max_silence_share),
        ("too_short", "seconds of speech", speech_s, filters.min_speech_s, None),
        ("low_mos", "dnsmos_sig", item.get("dnsmos_sig"), filters.min_dnsmos_sig, None),
        ("low_mos", "dnsmos_bak", item.get("dnsmos_bak"), filters.min_dnsmos_bak, None),
        ("low_mos", "dnsmos_ovr", item.get("dnsmos_ovr"), filters.min_dnsmos_ovr, None),
        ("small_face", "face_px", item.get("face_px"), filters.min_face_px, None),
        ("blurred", "sharpness", item.get("face_sharpness"), filters.min_sharpness, None),
        ("badly_lit", "brightness", item.get("face_brightness"), filters.min_brightness, filters.max_brightness),
        ("too_short", "characters", chars, filters.min_chars, None),
        ("too_long", "characters", chars, None, filters.max_chars),
    )
    for reason, name, value, minimum, maximum in limits:
        if value is not None and minimum is not None and value < minimum:
            return reason, f"{name} {value:.4g} is below {minimum:g}"
        if value is not None and maximum is not None and value > maximum:
            return reason, f"{name} {value:.4g} is above {maximum:g}"
    return None


def _failed_need(item: dict[str, Any], filters: Filters) -> tuple[str, str] | None:
    language = item.get("language")
    if filters.languages is not None and language not in filters.languages:
        return "other_language", f"its language is {language or 'unknown'}, not {' or '.join(filters.languages)}"
    if filters.need_face and (not item.get("face_id") or item.get("face_outcome") == "uncertain"):
        return "no_face", "no face is certain to be the speaker's"
    if filters.need_text and not item.get("text") and not item.get("dialogue"):
        return "no_text", "it has no transcript"
    return None


def _repetition(item: dict[str, Any], earlier: Sequence[dict[str, Any]]) -> tuple[str, str] | None:
    for column, share in (("sound_hash", NEAR_SOUND_SHARE), ("picture_hash", NEAR_PICTURE_SHARE)):
        perceptual_hash: str | None = item.get(column)
        for earlier_item in earlier if perceptual_hash else ():
            if perceptual_hash and earlier_item.get(column) and is_near(perceptual_hash, earlier_item[column], share):
                return "near_duplicate", f"{column} is near that of item {earlier_item['item_id']}"
    return None
