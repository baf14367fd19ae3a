"""An object store that stands in for S3: moto's server, in a process of its own on 127.0.0.1."""

import subprocess
import sys
from pathlib import Path

SECRET = "a-secret-that-is-never-printed"
_SERVE = """
import sys, logging
logging.getLogger("werkzeug").setLevel(logging.ERROR)
from moto.server import ThreadedMotoServer
server = ThreadedMotoServer(ip_address="127.0.0.1", port=int(sys.argv[1]), verbose=False)
server.start()
print(server.get_host_and_port()[1], flush=True)
sys.stdin.read()
"""


class ObjectStore:
    """A running server with one bucket, named ``corpora``."""

    def __init__(self) -> None:
        command = [sys.executable, "-c", _SERVE, "0"]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.url = f"http://127.0.0.1:{int(self.process.stdout.readline())}"
        self.environment = {
            "AWS_ACCESS_KEY_ID": "test-key",
            "AWS_SECRET_ACCESS_KEY": SECRET,
            "AWS_REGION": "us-east-1",
            "AWS_ENDPOINT_URL": self.url,
            "AWS_ALLOW_HTTP": "true",
        }
        self.files().mkdir("corpora")

    def files(self):
        """fsspec's own view of it, with no part of curate in between."""
        import fsspec

        return fsspec.filesystem(
            "s3",
            key="test-key",
            secret=SECRET,
            endpoint_url=self.url,
            use_listings_cache=False,
            skip_instance_cache=True,
        )

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        self.process.stdin.close()
        self.process.stdout.close()


def machine_environment(store: ObjectStore, folder: Path) -> dict[str, str]:
    """The environment of a machine that uses the store and keeps its own files in ``folder``."""
    return {**store.environment, "CURATE_CACHE": str(folder / "cache"), "XDG_DATA_HOME": str(folder / "data")}
