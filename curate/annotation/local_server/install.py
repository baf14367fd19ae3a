"""Install the pinned version of Label Studio into an environment of its own, once per machine."""

import os
import platform
import shutil
import subprocess
import sys
from collections import deque
from collections.abc import Callable
from pathlib import Path

from curate.errors import MissingDependency, StorageFailed

VERSION = "1.23.2"
_SAY_EVERY = 40
LOCK = Path(__file__).with_name("label_studio.lock")
"""The versions and hashes of Label Studio and all that it needs."""
_OF_THIS_ENVIRONMENT = {"PIP_CONSTRAINT", "PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV"}

Say = Callable[[str], None]


def installation() -> Path:
    """Return the folder of the environment: ``$CURATE_LABEL_STUDIO_HOME``, else one in the user's cache folder."""
    configured = os.environ.get("CURATE_LABEL_STUDIO_HOME")
    if configured:
        return Path(configured).expanduser().absolute()
    cache = os.environ.get("XDG_CACHE_HOME")
    return (Path(cache) if cache else Path.home() / ".cache") / "curate" / f"label-studio-{VERSION}"


def is_installed() -> bool:
    """Return whether Label Studio is completely installed."""
    return (installation() / "complete").is_file()


def install(say: Say) -> Path:
    """Install Label Studio if it is missing (800 MB, about a minute) and return the Python of its environment.

    Two processes may call this at once; an interrupted installation is started anew. Raises ``MissingDependency`` with
    pip's last lines if it fails.
    """
    from filelock import FileLock

    home = installation()
    python = home / "bin" / "python"
    if is_installed():
        return python
    try:
        home.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(home.with_name(f"{home.name}.lock")):
            if not is_installed():
                shutil.rmtree(home, ignore_errors=True)
                say(f"Installing Label Studio {VERSION} into {home} (about 800 MB, once per machine)")
                _run([_python(), "-m", "venv", str(home)], say, "creating its environment")
                # By hash: what is installed is what was tried, whoever serves it.
                pip = [str(python), "-m", "pip", "install", "--no-input", "--require-hashes", "-r", str(LOCK)]
                _run(pip, say, "pip")
                (home / "complete").touch()
    except OSError as error:
        raise StorageFailed(
            f"cannot install Label Studio into {home}: {error.strerror or error}",
            hint="free some space, or set CURATE_LABEL_STUDIO_HOME to another folder",
        ) from error
    return python


def _python() -> str:
    """Return a Python for which Label Studio's dependencies have wheels: this one, or another on the PATH."""
    if sys.version_info < (3, 14):
        return sys.executable
    pythons = (shutil.which(f"python3.{minor}") for minor in (13, 12, 11))
    python = next((path for path in pythons if path), None)
    if python is None:
        raise MissingDependency(
            f"Label Studio {VERSION} needs Python 3.11, 3.12 or 3.13; this is {platform.python_version()}",
            hint="install one of these as well, or name a server in LABEL_STUDIO_URL and LABEL_STUDIO_API_KEY",
        )
    return python


def _run(command: list[str], say: Say, step: str) -> None:
    """Run one step of the installation and report what pip downloads."""
    environment = {k: v for k, v in os.environ.items() if k not in _OF_THIS_ENVIRONMENT}
    environment["PIP_DISABLE_PIP_VERSION_CHECK"] = "1"
    last_lines: deque[str] = deque(maxlen=8)
    collected = 0
    with subprocess.Popen(
        command,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
    ) as process:
        try:
            for line in process.stdout or ():
                last_lines.append(line.rstrip())
                if line.startswith("Collecting "):
                    collected += 1
                    if collected % _SAY_EVERY == 0:
                        say(f"{collected} packages so far")
                elif line.startswith("Installing "):
                    say("Unpacking them")
        except BaseException:
            process.kill()
            raise
    if process.returncode:
        raise MissingDependency(
            f"Label Studio {VERSION} could not be installed ({step} failed):\n" + "\n".join(last_lines),
            hint="fix what pip reports (network, disk, python3-venv) and run `curate annotate up` again, "
            "or set LABEL_STUDIO_URL and LABEL_STUDIO_API_KEY to use a server of your own",
        )
