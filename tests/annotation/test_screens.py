"""Every shipped label schema in every layout that its items can get, as annotators see and use it."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from curate.annotation.label_studio.client import LabelStudioServer
from curate.annotation.label_studio.projects import find_projects
from curate.annotation.local_server.connection import Connection
from curate.assets import list_assets
from curate.corpus.view import Corpus
from curate.labels import LabelSchema, find_layout, load_labels
from curate.stages.annotate import Annotate, pull, push
from curate.storage.workspace import Workspace
from tests.annotation.annotation_builders import make_corpus, make_prelabel, make_tools
from tests.annotation.screen_hands import CHANGES, FORM, assert_drawn
from tests.annotation.screen_items import KINDS, make_record, make_shown

pytestmark = [pytest.mark.label_studio, pytest.mark.browser]

SIZES = ((1600, 1050), (1280, 800))
STORE = "() => JSON.parse(JSON.stringify(window.Htx.annotationStore.selected.serializeAnnotation()))"
READY = f"""names => {{
  const htx = window.Htx
  if (!htx || htx.isLoading || !htx.task || !htx.annotationStore.selected) return false
  if (htx.annotationStore.predictions.length < 1) return false
  const filled = new Set(({STORE})().map(each => each.from_name))
  const media = [...document.querySelectorAll('.lsf-main-view__annotation video')]
  return names.every(name => filled.has(name)) && media.every(each => each.readyState >= 2)
}}"""


class Case(NamedTuple):
    """A label schema in one of the layouts that its items get."""

    labels: str
    unit: str
    shown: str
    layout: str


def form_of(labels: LabelSchema) -> str:
    """What the forms of schemas have in common that ask the same of other labels, in other words."""
    fields = (field.model_dump(exclude={"name", "taxonomy", "question", "help"}) for field in labels.fields.values())
    return repr([*fields])


def schemas() -> list[LabelSchema]:
    """The shipped schemas, of those with the same form the one with the most labels first."""
    named = map(load_labels, sorted(list_assets("schemas/labels", suffix=".yaml")))
    return sorted(named, key=lambda labels: -sum(len(field.labels) for field in labels.fields.values()))


def find_cases() -> Iterator[Case]:
    seen = set()
    for labels in schemas():
        name = labels.name
        for unit in labels.units:
            for shown in KINDS[unit]:
                # A schema that names its layouts is about what these show.
                if not labels.layout or shown in labels.layout:
                    case = Case(name, unit, shown, find_layout(labels, unit, shown).stem)
                    if (form_of(labels), case.layout) not in seen:
                        seen.add((form_of(labels), case.layout))
                        yield case


CASES = tuple(find_cases())
BARE = tuple({case.layout: case for case in CASES if case.unit in ("utterance", "pair")}.values())


def test_every_form_and_every_layout_is_looked_at() -> None:
    assert {form_of(load_labels(case.labels)) for case in CASES} == set(map(form_of, schemas()))
    assert {case.layout for case in CASES} == set(list_assets("annotation_ui_configs", suffix=".xml"))


class Screen(NamedTuple):
    """A pushed item and the page on which it waits."""

    case: Case
    labels: LabelSchema
    corpus: Corpus
    record: dict[str, Any]
    prelabel: dict[str, Any]
    connection: Connection
    page: Any
    failures: list[str]

    def open(self) -> None:
        """The form is there, with its media loaded and every field of the pre-label filled in."""
        project_id, results = self.pushed()
        self.page.set_viewport_size({"width": SIZES[0][0], "height": SIZES[0][1]})
        self.page.goto(f"{self.connection.url}/projects/{project_id}/data?labeling=1")
        self.page.wait_for_function(READY, arg=sorted({each["from_name"] for each in results}), timeout=60_000)
        self.read_instructions(project_id)

    def read_instructions(self, project_id: int) -> None:
        """A guideline stands before the form until it is closed; without one, nothing does."""
        server = LabelStudioServer(self.connection)
        (project,) = (each for each in server.projects() if each.project_id == project_id)
        instructions = self.page.locator(".lsf-modal-ls_visible")
        if project.settings["show_instruction"]:
            instructions.wait_for()
            self.page.keyboard.press("Escape")
            instructions.wait_for(state="hidden")
        assert instructions.count() == 0

    def pushed(self) -> tuple[int, list[dict[str, Any]]]:
        """The project and, without relations, the prediction as the server has it."""
        server = LabelStudioServer(self.connection)
        (project,) = find_projects(server, self.corpus.workspace.recipe, self.labels.name).values()
        (state,) = server.scan(project.project_id)
        ((task,), _) = server.fetch([state.task_id], project.project_id)
        results = task["predictions"][0]["result"]
        return project.project_id, [each for each in results if each["type"] != "relation"]

    def submit(self) -> dict[str, Any]:
        """Submit the form; gives the row that ``pull`` makes of it."""
        with self.page.expect_response(lambda r: "/annotations" in r.url and r.request.method == "POST") as answered:
            self.page.get_by_test_id("bottombar-submit-button").click()
        assert answered.value.status == 201, answered.value.text()
        counts = pull(self.corpus, self.connection)
        assert counts[:4] == (1, 0, 0, 0)
        (row,) = self.corpus.read("annotations").to_pylist()
        return row


@pytest.fixture(scope="module")
def connection(served: Any) -> Connection:
    """The server as one that is not this machine's, so that each screen can have a workspace of its own."""
    return served.connection._replace(local=False, name="https://screens.example.org")


@pytest.fixture(scope="module")
def page(served: Any, browser: Any) -> Iterator[Any]:
    """One page for all screens, with an annotator logged in."""
    who = served.sign_up("looker@example.com")
    context = browser.new_context(service_workers="block")
    page = context.new_page()
    page.goto(f"{served.connection.url}/user/login/")
    page.fill("#email", who.email)
    page.fill("#password", who.password)
    page.click("button[type=submit]")
    page.wait_for_url(lambda url: "login" not in url)
    yield page
    context.close()


@pytest.fixture
def bare() -> bool:
    """Whether the item lacks all that it can lack."""
    return False


@pytest.fixture
def screen(request: Any, page: Any, connection: Connection, tmp_path: Path, bare: bool) -> Iterator[Screen]:
    case: Case = request.param
    labels = load_labels(case.labels)
    recipe = f"{case.labels.partition('.')[0]}-{case.layout}{'-bare' * bare}"
    root = tmp_path / "workspace"
    item = make_shown(case.unit, case.shown, Workspace(root).blobs, recipe=recipe)
    if bare:
        item |= dict.fromkeys(("speaker", "text", "dialogue", "turn"))
    record = make_record(labels)
    prelabel = make_prelabel(item, labels, **record)
    corpus = make_corpus(root, [item], [prelabel], recipe=recipe, labels=labels)
    assert push(corpus, make_tools(corpus, tmp_path), Annotate(), connection).added == 1
    failures: list[str] = []

    def note(error: Any) -> None:
        failures.append(str(error))

    page.on("pageerror", note)
    yield Screen(case, labels, corpus, record, prelabel, connection, page, failures)
    page.remove_listener("pageerror", note)


@pytest.mark.parametrize("screen", CASES, ids=lambda case: f"{case.labels}-{case.layout}", indirect=True)
def test_screen(screen: Screen, keep_picture: Any) -> None:
    screen.open()
    page, case = screen.page, screen.case
    for width, height in SIZES:
        page.set_viewport_size({"width": width, "height": height})
        page.wait_for_timeout(400)
        keep_picture(page, f"{case.labels}-{case.layout}-{width}")
        check_geometry(page, width, height)
    check_keys(page)
    check_filled(screen)
    name, field = next(iter(screen.labels.fields.items()))
    expected = CHANGES[field.type](page, field, screen.record[name])
    keep_picture(page, f"{case.labels}-{case.layout}-changed")
    assert screen.failures == []
    row = screen.submit()
    check_row(screen, row, name, expected)


@pytest.mark.parametrize("bare", [True])
@pytest.mark.parametrize("screen", BARE, ids=lambda case: case.layout, indirect=True)
def test_item_without_words_and_dialogue_is_shown_all_the_same(screen: Screen, keep_picture: Any) -> None:
    screen.open()
    keep_picture(screen.page, f"bare-{screen.case.layout}")
    assert screen.failures == []
    if screen.page.locator(f"{FORM} .context").count():
        assert not screen.page.locator(f"{FORM} .context").is_visible()


def check_geometry(page: Any, width: int, height: int) -> None:
    """Nothing is broken, Submit is there without scrolling, and what is to be watched is large and not cut off."""
    assert page.locator(".lsf-errors, .lsf-error, [class*=errorBlock]").count() == 0
    submit = page.get_by_test_id("bottombar-submit-button").bounding_box()
    assert submit["y"] + submit["height"] <= height
    assert submit["x"] + submit["width"] <= width
    assert page.evaluate("() => document.scrollingElement.scrollHeight <= innerHeight")
    main = page.locator(FORM).bounding_box()
    for tag in ("video", ".lsf-timeline-controls"):
        for each in page.locator(f"{FORM} {tag}").all():
            box = each.bounding_box()
            if tag == "video":
                area = page.evaluate(
                    "v => v.closest('.lsf-object').getBoundingClientRect().width", each.element_handle()
                )
                assert area >= 480
            assert box["x"] + box["width"] <= main["x"] + main["width"] + 1
    for form in page.locator(f"{FORM} .form").all():
        box = form.bounding_box()
        assert box["y"] + box["height"] <= submit["y"], "questions are below the fold, and cannot be scrolled to"
    for each in page.locator(f"{FORM} .field").all():
        if each.is_visible():
            box = each.bounding_box()
            assert box["x"] + box["width"] <= main["x"] + main["width"] + 1


def check_keys(page: Any) -> None:
    keys = page.locator(f"{FORM} .lsf-hint, {FORM} .lsf-label__hotkey").all_inner_texts()
    shown = [key for key in keys if key and "f19" not in key]
    assert len(set(shown)) == len(shown), "two labels have the same key"


def check_filled(screen: Screen) -> None:
    """The pre-label is in the form: its store holds what was pushed, and people can see every value."""
    stored = {(each.get("from_name"), each.get("id")) for each in screen.page.evaluate(STORE)}
    _, pushed = screen.pushed()
    assert {(each["from_name"], each["id"]) for each in pushed} <= stored
    for name, field in screen.labels.fields.items():
        if screen.record[name] is not None:
            assert_drawn(screen.page, field, screen.record[name])


def check_row(screen: Screen, row: dict[str, Any], changed: str, expected: Any) -> None:
    """What came back is what was done, and what was left alone is the pre-label."""
    origins = {each["field"]: each["origin"] for each in row["origins"]}
    if callable(expected):
        expected(row[changed])
    else:
        assert row[changed] == expected
    assert row["prelabel_id"] == screen.prelabel["prelabel_id"]
    assert origins[changed] == "prediction-changed"
    values = {name: row[name] for name in screen.labels.fields}
    for name in list(screen.labels.fields)[1:]:
        if not screen.labels.is_asked(name, values):
            assert row[name] is None
        elif screen.record[name] is not None:
            assert row[name] == screen.record[name]
            assert origins[name] == "prediction"
