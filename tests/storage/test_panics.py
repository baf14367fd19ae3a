"""What libraries in Rust print when they panic stays off the terminal; all else is printed."""

import os
import resource
import signal
import subprocess
import sys

import pytest

from curate.storage.panics import hiding_panics

PANIC = b"""
thread 'tokio-rt-worker' (873) panicked at /home/x/object_store/src/buffered.rs:369:41:
Already shut down
stack backtrace:
   0: __rustc::rust_begin_unwind
note: Some details are omitted, run with `RUST_BACKTRACE=full` for a verbose backtrace.
"""


def fail() -> None:
    os.write(2, b"before\n" + PANIC + b"between\n" + PANIC)
    raise OSError("full")


def test_only_panics_of_what_fails_are_left_out(capfd):
    with pytest.raises(OSError, match="full"), hiding_panics():
        fail()
    assert capfd.readouterr().err == "before\nbetween\n"
    with hiding_panics(), hiding_panics():
        os.write(2, b"kept\n" + PANIC)
    assert capfd.readouterr().err == "kept\n" + PANIC.decode()


WRITE_MUCH = """
import sys
from pathlib import Path
import pyarrow as pa
from curate.errors import CurateError
from curate.storage.delta import Table, TableSpec
from curate.storage.folder import DiskFolder
schema = pa.schema([("id", pa.string()), ("work", pa.string())])
table = Table(DiskFolder(Path(sys.argv[1])), TableSpec("t", schema, "id"))
try:
    table.commit([{"id": f"{n * 7919:x}", "work": f"{n * 104729:x}"} for n in range(20_000)], metadata={})
except CurateError as error:
    print(error.message)
"""


def test_a_disk_that_takes_no_more_is_one_sentence(tmp_path):
    def limit() -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (40_000, 40_000))

    command = [sys.executable, "-c", WRITE_MUCH, str(tmp_path / "t")]
    done = subprocess.run(command, capture_output=True, text=True, preexec_fn=limit, check=False)
    assert done.returncode == 0, done.stderr
    assert str(tmp_path / "t") in done.stdout
    assert "panicked" not in done.stderr
    assert "backtrace" not in done.stderr
