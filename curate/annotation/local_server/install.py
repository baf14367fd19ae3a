"""Install the pinned Label Studio into an environment of its own, once per machine."""

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
_OF_THIS_ENVIRONMENT = {"PIP_CONSTRAINT", "PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV"}

Say = Callable[[str], None]


def installation() -> Path:
    """The folder of the environment: ``$CURATE_LABEL_STUDIO_HOME``, else one in the user's cache folder."""
    own = os.environ.get("CURATE_LABEL_STUDIO_HOME")
    if own:
        return Path(own).expanduser().absolute()
    cache = os.environ.get("XDG_CACHE_HOME")
    return (Path(cache) if cache else Path.home() / ".cache") / "curate" / f"label-studio-{VERSION}"


def is_installed() -> bool:
    """Whether ``install`` has nothing left to do."""
    return (installation() / "complete").is_file()


def install(say: Say) -> Path:
    """The Python of an environment with Label Studio in it, made first where it is missing (800 MB, about a minute).

    A lock file lets two processes ask at once; an interrupted installation is made anew. Raises ``MissingDependency``
    with pip's last lines when it fails.
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
                _run([_python(), "-m", "venv", str(home)], say, "making its environment")
                _run([str(python), "-m", "pip", "install", "--no-input", f"label-studio=={VERSION}"], say, "pip")
                (home / "complete").touch()
    except OSError as error:
        raise StorageFailed(
            f"cannot install Label Studio into {home}: {error.strerror or error}",
            hint="free some space, or name another folder in CURATE_LABEL_STUDIO_HOME",
        ) from error
    return python


def _python() -> str:
    """A Python for which Label Studio's dependencies have wheels: this one, or another on the PATH."""
    if sys.version_info < (3, 14):
        return sys.executable
    others = (shutil.which(f"python3.{minor}") for minor in (13, 12, 11))
    python = next((path for path in others if path), None)
    if python is None:
        raise MissingDependency(
            f"Label Studio {VERSION} needs Python 3.11, 3.12 or 3.13; this is {platform.python_version()}",
            hint="install one of these as well, or name a server in LABEL_STUDIO_URL and LABEL_STUDIO_API_KEY",
        )
    return python


def _run(command: list[str], say: Say, what: str) -> None:
    """Run one step of the installation, telling what pip fetches."""
    environment = {k: v for k, v in os.environ.items() if k not in _OF_THIS_ENVIRONMENT}
    environment["PIP_DISABLE_PIP_VERSION_CHECK"] = "1"
    last: deque[str] = deque(maxlen=8)
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
                last.append(line.rstrip())
                if line.startswith(("Collecting ", "Installing ")):
                    say(line.rstrip()[:100])
        except BaseException:
            process.kill()
            raise
    if process.returncode:
        raise MissingDependency(
            f"Label Studio {VERSION} could not be installed ({what} failed):\n" + "\n".join(last),
            hint="mend what pip names (network, disk, python3-venv) and run `curate annotate up` again, "
            "or use a server of your own through LABEL_STUDIO_URL and LABEL_STUDIO_API_KEY",
        )
