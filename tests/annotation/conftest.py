"""A real Label Studio, started by the product's own code, and a browser."""

import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import pytest
from filelock import FileLock

from curate.annotation.local_server import server
from curate.annotation.local_server.connection import Connection, connection
from curate.errors import MissingDependency

CHROMIUM = os.environ.get("CHROMIUM", "/usr/bin/chromium")
ARTEFACTS = Path(__file__).parents[2] / "test-artefacts"


@pytest.fixture(autouse=True)
def _no_server_of_the_user(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("LABEL_STUDIO_URL", "LABEL_STUDIO_API_KEY"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture(scope="session")
def golden(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A ``label_studio`` folder with a login and an empty database, built once for all processes of the session."""
    base = tmp_path_factory.getbasetemp()
    base = base.parent if os.environ.get("PYTEST_XDIST_WORKER") else base
    root = base / "golden"
    with FileLock(base / "golden.lock"):
        if not (root / "built").exists():
            (root / "blobs").mkdir(parents=True, exist_ok=True)
            try:
                server.up(root)
            except MissingDependency as error:
                pytest.skip(f"Label Studio cannot be installed here: {error.message.splitlines()[-1]}")
            server.down(root)
            (root / "built").touch()
    return root / "label_studio"


@pytest.fixture
def make_root(golden: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """Makes folders in which a server can start without building its database; stops what runs there at the end."""
    roots: list[Path] = []

    def make() -> Path:
        root = tmp_path_factory.mktemp("served")
        copy_golden(golden, root)
        roots.append(root)
        return root

    yield make
    for root in roots:
        server.down(root)


def copy_golden(golden: Path, root: Path) -> None:
    ignore = shutil.ignore_patterns("*.lock", "server.*", "port.json")
    shutil.copytree(golden, root / "label_studio", ignore=ignore, dirs_exist_ok=True)


class Annotator(NamedTuple):
    email: str
    password: str
    user_id: int
    key: str


class Served:
    """A running server and what the tests do with it as people would."""

    def __init__(self, root: Path) -> None:
        self.root = root

    @property
    def connection(self) -> Connection:
        return connection(self.root)

    def http(self, key: str | None = None) -> httpx.Client:
        found = self.connection
        headers = {"Authorization": f"Token {key or found.api_key}", "Connection": "close"}
        return httpx.Client(base_url=found.url, headers=headers, timeout=60, trust_env=False)

    def sign_up(self, email: str, password: str = "annotator-password") -> Annotator:
        """An annotator who followed the invitation, with a personal access token."""
        with self.http() as admin:
            path = admin.get("/api/invite").json()["invite_url"]
        with httpx.Client(base_url=self.connection.url, timeout=60, trust_env=False) as browser:
            csrf = re.search(r'name="csrfmiddlewaretoken" value="([^"]+)"', browser.get(path).text)[1]
            form = {"email": email, "password": password, "csrfmiddlewaretoken": csrf}
            answer = browser.post(path, data=form, headers={"Referer": f"{self.connection.url}{path}"})
            assert answer.status_code == 302, answer.text[:500]
            user_id = browser.get("/api/current-user/whoami").json()["id"]
            return Annotator(email, password, user_id, browser.post("/api/token/").json()["token"])


@pytest.fixture(scope="session")
def served(golden: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """One server for all tests that do not stop it; each test uses a recipe, hence projects, of its own."""
    from curate.storage.workspace import Workspace

    root = tmp_path_factory.mktemp("server")
    Workspace(root)
    copy_golden(golden, root)
    server.up(root)
    yield Served(root)
    server.down(root)


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """One browser for the tests of a file: as long as it is open, an event loop runs in this thread."""
    if not os.access(CHROMIUM, os.X_OK):
        pytest.skip(f"no Chromium at {CHROMIUM}; name one in CHROMIUM")
    playwright = pytest.importorskip("playwright.sync_api")
    options = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update"]
    options += ["--disable-sync", "--no-first-run", "--mute-audio", "--autoplay-policy=no-user-gesture-required"]
    options += ["--host-resolver-rules=MAP * ~NOTFOUND , EXCLUDE 127.0.0.1"]
    with playwright.sync_playwright() as tool:
        found = tool.chromium.launch(executable_path=CHROMIUM, headless=True, args=options)
        yield found
        found.close()


@pytest.fixture
def open_page(browser: Any, served: Served) -> Iterator[Any]:
    """Opens a page on which an annotator has logged in."""
    contexts = []

    def open_as(who: Annotator, width: int = 1600, height: int = 1050) -> Any:
        context = browser.new_context(viewport={"width": width, "height": height}, service_workers="block")
        contexts.append(context)
        page = context.new_page()
        page.goto(f"{served.connection.url}/user/login/")
        page.fill("#email", who.email)
        page.fill("#password", who.password)
        page.click("button[type=submit]")
        page.wait_for_url(lambda url: "login" not in url)
        return page

    yield open_as
    for context in contexts:
        context.close()


@pytest.fixture
def keep_picture() -> Any:
    """Keeps a screenshot for a person to look at."""

    def keep(page: Any, name: str) -> Path:
        ARTEFACTS.mkdir(exist_ok=True)
        path = ARTEFACTS / f"{name}.png"
        page.screenshot(path=path)
        return path

    return keep
