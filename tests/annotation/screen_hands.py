"""What a person's mouse and keys do to the first question of a form, and what of a pre-label can be seen in it."""

from collections.abc import Callable
from typing import Any

from tests.annotation.screen_items import RATE_HZ, TEXT, TURNS

FORM = ".lsf-main-view__annotation"
REGIONS = "() => JSON.parse(JSON.stringify(window.Htx.annotationStore.selected.serializeAnnotation()))"
WORD = """([turn, word]) => {
  let text = document.querySelector(`[data-testid="phrase:${turn}"] [class*=dialoguetext]`)
  // The words of an utterance are around those that the pre-label marks.
  if (turn === null) {
    text = document.querySelector('.lsf-main-view__annotation .htx-highlight')
    while (!text.textContent.includes(word)) text = text.parentElement
  }
  const start = text.textContent.indexOf(word), end = start + word.length
  const range = document.createRange()
  const walk = document.createTreeWalker(text, NodeFilter.SHOW_TEXT)
  let at = 0
  for (let node = walk.nextNode(); node; node = walk.nextNode()) {
    const length = node.textContent.length
    if (at <= start && start < at + length) range.setStart(node, start - at)
    if (at < end && end <= at + length) range.setEnd(node, end - at)
    at += length
  }
  const box = range.getBoundingClientRect()
  return [box.left, box.right, (box.top + box.bottom) / 2]
}"""
WRITTEN = """() => {
  const form = document.querySelector('.lsf-main-view__annotation')
  return [form.innerText, ...[...form.querySelectorAll('textarea, input')].map(each => each.value)].join('\\n')
}"""


def press_key_of(page: Any, label: str, *, field: int = 0) -> None:
    """Press the key that the form shows beside a label."""
    place = page.locator(f"{FORM} .field").nth(field)
    choice = place.locator(".lsf-choice__item, .lsf-label").filter(has_text=label)
    key = choice.locator(".lsf-hint, .lsf-label__hotkey").first.inner_text().strip("[]")
    page.keyboard.press(key.replace("shift+", "Shift+"))


def change_category(page: Any, field: Any, value: Any) -> Any:
    """Another label by its key; or with intensities, the strongest one for the first label, by the mouse."""
    if field.intensity is not None:
        row = page.locator(f"{FORM} .intensity:visible").first
        row.locator(".lsf-choice__item").last.click()
        return [{**value[0], "intensity": field.intensity.root[-1]}, *value[1:]]
    if field.multiple:
        press_key_of(page, value[1])
        return value[:1]
    press_key_of(page, field.labels[0])
    return field.labels[0]


def change_open_set(page: Any, field: Any, value: list[str]) -> list[str]:
    box = page.locator(f"{FORM} .field").first.locator("textarea, input[type=text]").first
    box.fill("tenderness")
    box.press("Enter")
    return [*value, "tenderness"]


def change_scale(page: Any, field: Any, value: float) -> float:
    """Another number of the scale by its key."""
    other = field.maximum if value != field.maximum else field.minimum
    press_key_of(page, f"{other:g}")
    return other


def change_spans(page: Any, field: Any, value: dict[str, Any]) -> dict[str, Any]:
    """A word marked with the mouse."""
    turn, word, text = (0, "late", TURNS[0].text) if field.over == "dialogue" else (None, TEXT.split()[0], TEXT)
    label, start = field.labels[0], text.index(word)
    left, right, y = page.evaluate(WORD, [turn, word])
    press_key_of(page, label)
    drag(page, (left + 1, y), (right - 1, y))
    new = {"id": "new", "turn": turn, "start": start, "end": start + len(word), "text": word, "label": label}
    return field.check({**value, "spans": [*value["spans"], new]})


def change_timeline(page: Any, field: Any, value: list[dict[str, Any]]) -> Any:
    """A range drawn on the timeline from one frame to another."""
    first, last, label = 6, 16, field.labels[3]
    press_key_of(page, label)
    frames = page.locator(f"{FORM} .lsf-timeline-frames")
    box = frames.bounding_box()
    left, wide = frames.evaluate(
        "e => ['--offset', '--frame-size'].map(name => parseFloat(e.style.getPropertyValue(name)))"
    )
    y = box["y"] + box["height"] - 12
    drag(page, *((box["x"] + left + (frame - 0.5) * wide, y) for frame in (first, last)))

    def check(found: list[dict[str, Any]]) -> None:
        assert [each for each in found if each["label"] != label] == value
        (new,) = (each for each in found if each["label"] == label)
        (stored,) = (
            each["value"]["ranges"][0]
            for each in regions
            if each["from_name"] == field.name and each["value"]["timelinelabels"] == [label]
        )
        assert new["start_s"] == round((stored["start"] - 1) / RATE_HZ, 3)
        assert new["end_s"] == round((stored["end"] - 1) / RATE_HZ, 3)
        assert abs(stored["start"] - first) <= 1
        assert abs(stored["end"] - last) <= 1

    regions = [each for each in page.evaluate(REGIONS) if each["type"] == "timelinelabels"]
    return check


def change_trace(page: Any, field: Any, value: dict[str, Any]) -> dict[str, Any]:
    """Another number for the first stretch."""
    page.locator(".lsf-outliner-item").first.click()
    page.locator(f"{FORM} input[name={field.name}-value]").fill("0.9")
    samples = value["values"]
    length = next(at for at, sample in enumerate(samples) if sample != samples[0])
    return {**value, "values": [0.9] * length + samples[length:]}


def change_preference(page: Any, field: Any, value: dict[str, Any]) -> dict[str, Any]:
    press_key_of(page, "No difference")
    return {**value, "grade": 0}


CHANGES: dict[str, Callable[[Any, Any, Any], Any]] = {
    "category": change_category,
    "open_set": change_open_set,
    "scale": change_scale,
    "spans": change_spans,
    "timeline": change_timeline,
    "trace": change_trace,
    "preference": change_preference,
}
"""By the type of the first field: change its value, and say what it must be then (or a function that checks it)."""


def drag(page: Any, begin: tuple[float, float], end: tuple[float, float]) -> None:
    page.mouse.move(*begin)
    page.mouse.down()
    for step in range(1, 11):
        page.mouse.move(*(a + (b - a) * step / 10 for a, b in zip(begin, end, strict=True)))
        page.wait_for_timeout(20)
    page.mouse.up()


def assert_drawn(page: Any, field: Any, value: Any) -> None:
    """The value of a field can be seen in the form."""
    form = page.locator(FORM)
    match field.type:
        case "category":
            chosen = {each["label"] if field.intensity else each for each in (value if field.multiple else [value])}
            assert chosen <= ticked(page, field)
        case "preference":
            assert form.locator(".field input[type=radio]:checked").count() == 1
        case "scale":
            assert f"{value:g}" in ticked(page, field)
        case "text":
            assert value in page.evaluate(WRITTEN)
        case "open_set":
            assert all(word in page.evaluate(WRITTEN) for word in value)
        case "spans":
            marked = form.locator(".htx-highlight").all_inner_texts()
            assert all(any(span["text"] in text for text in marked) for span in value["spans"])
        case "timeline" | "boxes":
            listed = page.locator(".lsf-outliner-item").all_inner_texts()
            assert all(any(each["label"] in text for text in listed) for each in value)
        case "trace":
            assert page.locator(".lsf-outliner-item").count() >= len(set(value["values"]))
        case other:
            raise AssertionError(f"say here how a value of type {other} is seen")


def ticked(page: Any, field: Any) -> set[str]:
    """The labels that are ticked in the form, without their keys."""
    found = page.locator(f"{FORM} .lsf-choice__item:has(input:checked)").all_inner_texts()
    return {text.partition("[")[0].strip() for text in found}
