"""The command line as a user meets it: in a process of its own."""

import io
import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from curate.cli.progress import STOPPING, ProgressLines
from curate.llm.money.account import UsageTotals
from curate.pipeline import StageResult
from curate.pipeline.doctor import examine
from tests.support.asking import KEY
from tests.support.builders import make_posts, make_recipe
from tests.support.chat_double import ChatDouble
from tests.support.chat_faults import status
from tests.support.processes import wait_until
from tests.support.whisper_model import make_model


def test_run_plan_status_and_run_again(run_curate, posts_recipe, tmp_path):
    planned = run_curate("plan", posts_recipe)
    assert planned.returncode == 0
    assert not (tmp_path / "curate-workspace").exists(), "looking makes nothing"
    done = run_curate("run", posts_recipe, "--workers", "1")
    assert done.returncode == 0, done.stderr
    assert "release: " in done.stdout
    assert "report: " in done.stdout
    again = run_curate("run", posts_recipe, "--workers", "1")
    assert again.stdout.startswith("Nothing to do: everything is up to date.")
    assert "Nothing to do" in run_curate("plan", posts_recipe).stdout
    status = json.loads(run_curate("status", "--json").stdout)
    assert status["tables"]["items"] == status["tables"]["labels"] == 6
    assert status["units"] == {"post": 6}
    assert status["releases"] == ["1.0.0"]
    assert "6 by models" in run_curate("status").stdout


def test_json_is_one_document_on_stdout(run_curate, posts_recipe):
    for command in (("plan", posts_recipe), ("check", posts_recipe), ("run", posts_recipe), ("status",), ("doctor",)):
        done = run_curate(*command, "--json")
        assert done.returncode == 0, done.stderr
        json.loads(done.stdout)
    failed = run_curate("check", "none.yaml", "--json")
    assert failed.returncode == 1
    assert json.loads(failed.stdout)["error"].startswith("there is no recipe none.yaml")


def test_until_only_and_set(run_curate, posts_recipe):
    assert run_curate("run", posts_recipe, "--workers", "1", "--until", "preprocess").returncode == 0
    tables = json.loads(run_curate("status", "--json").stdout)["tables"]
    assert (tables["items"], tables["prelabels"]) == (6, 0)
    assert run_curate("run", posts_recipe, "--workers", "1", "--only", "prelabel").returncode == 0
    assert json.loads(run_curate("status", "--json").stdout)["tables"]["prelabels"] == 6
    assert run_curate("run", posts_recipe, "--workers", "1", "--set", "stages.export.release=2.0.0").returncode == 0
    assert json.loads(run_curate("status", "--json").stdout)["releases"] == ["2.0.0"]
    wrong = run_curate("run", posts_recipe, "--only", "exprt")
    assert wrong.returncode == 1
    assert "--only exprt: the recipe has no such stage; did you mean export?" in wrong.stderr


def test_mistakes_end_in_a_sentence_and_exit_1(run_curate, tmp_path):
    recipe = make_recipe(tmp_path / "r", {"stage": "ingest", "files": "raw/*.mp4"}, {"stage": "preproces"})
    for command in ("check", "plan", "run"):
        done = run_curate(command, recipe)
        assert done.returncode == 1
        assert "Traceback" not in done.stderr
        assert "no file matches" in done.stderr or "raw/*.mp4" in done.stderr
        assert "did you mean preprocess?" in done.stderr
        assert done.stdout == ""
    assert not (tmp_path / "curate-workspace").exists()
    assert run_curate("run").returncode == 2


def test_one_workspace_holds_one_corpus(run_curate, tmp_path):
    make_posts(tmp_path / "a", 2)
    assert run_curate("run", tmp_path / "a" / "sample.yaml", "--workers", "1").returncode == 0
    other = make_posts(tmp_path / "b", 2)
    other = other.rename(other.with_name("other.yaml"))
    other.write_text(other.read_text().replace("recipe: sample", "recipe: other"))
    done = run_curate("run", other, "--workers", "1")
    assert done.returncode == 1
    assert "belongs to recipe 'sample', not 'other'" in done.stderr
    assert "-w other-workspace" in done.stderr


def test_too_much_rejected_is_exit_3(run_curate, tmp_path):
    (tmp_path / "raw").mkdir()
    for number in range(3):
        (tmp_path / "raw" / f"{number}.mp4").write_bytes(b"not a video" * number)
    recipe = make_recipe(tmp_path, {"stage": "ingest", "files": "raw/*.mp4"})
    done = run_curate("run", recipe, "--workers", "1")
    assert done.returncode == 3, done.stderr
    assert "3 rejected" in done.stderr
    assert run_curate("run", recipe, "--workers", "1", "--max-rejected", "1").returncode == 0
    reasons = json.loads(run_curate("status", "--json").stdout)["rejections"]["ingest"]
    assert reasons["empty_file"] == 1
    assert sum(reasons.values()) == 3


def test_a_locked_workspace(run_curate, posts_recipe, tmp_path):
    from curate.storage.workspace import Workspace

    assert run_curate("run", posts_recipe, "--workers", "1").returncode == 0
    with Workspace(tmp_path / "curate-workspace").lock():
        done = run_curate("run", posts_recipe, "--workers", "1")
        assert done.returncode == 1
        assert f"is in use by process {os.getpid()}" in done.stderr
        assert run_curate("status").returncode == 0, "reading needs no lock"
    assert run_curate("run", posts_recipe, "--workers", "1").returncode == 0


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("format: 99\nsecret: aa\n", "has format 99, and this curate knows up to 1"),
        ("format: one\nsecret: aa\n", "cannot be read"),
        ("\x00", "cannot be read"),
        ("[]", "cannot be read"),
        ("format: 1\n", "cannot be read"),
    ],
)
def test_workspaces_of_another_version_or_damaged(run_curate, posts_recipe, tmp_path, text, says):
    (tmp_path / "curate-workspace").mkdir()
    (tmp_path / "curate-workspace" / "curate.yaml").write_text(text)
    done = run_curate("run", posts_recipe, "--workers", "1")
    assert done.returncode == 1
    assert says in done.stderr
    assert "next:" in done.stderr


def test_a_folder_that_is_no_workspace_is_left_alone(run_curate, posts_recipe, tmp_path):
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "a.jpg").write_bytes(b"x")
    done = run_curate("run", posts_recipe, "--workers", "1", "-w", "photos")
    assert done.returncode == 1
    assert "is not empty and not a workspace" in done.stderr
    assert os.listdir(tmp_path / "photos") == ["a.jpg"]
    for place in ("photos/a.jpg/w", "photos/a.jpg", "ftp://host/corpus", "s3://key:secret@bucket/corpus"):
        done = run_curate("run", posts_recipe, "--workers", "1", "-w", place)
        assert done.returncode == 1
        assert "Traceback" not in done.stderr
        assert "next:" in done.stderr
    assert "there is no workspace at nowhere" in run_curate("status", "-w", "nowhere").stderr


def test_a_damaged_table_is_one_clear_error(run_curate, posts_recipe, tmp_path):
    assert run_curate("run", posts_recipe, "--workers", "1").returncode == 0
    for part in (tmp_path / "curate-workspace" / "tables" / "items").glob("*.parquet"):
        part.write_bytes(b"rubbish")
    assert run_curate("verify").returncode == 1
    with (posts_recipe.parent / "posts.jsonl").open("a") as posts:
        posts.write('{"text": "One more post."}\n')
    done = run_curate("run", posts_recipe, "--workers", "1")
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert "tables/items" in done.stderr


def in_mounted(folder, options: str, script: str) -> "subprocess.CompletedProcess[str]":
    """Runs a shell script with a small file system mounted on a folder, in a mount namespace of its own."""
    folder.mkdir(exist_ok=True)
    inner = f"mount -t tmpfs -o {options} tmpfs {folder} && {script}"
    done = subprocess.run(["unshare", "-rm", "bash", "-c", inner], capture_output=True, text=True, timeout=500)
    if "unshare" in done.stderr and "failed" in done.stderr:
        pytest.skip(f"this machine lets no test mount a file system: {done.stderr.strip()}")
    return done


@pytest.mark.parametrize(("size_kb", "says"), [(1200, "no space left"), (600, "no space left"), (60, "no space left")])
def test_a_full_disk(tmp_path, posts_recipe, size_kb, says):
    recipe = make_posts(tmp_path / "many", 3000)
    run = f"{sys.executable} -m curate run {recipe} -w {tmp_path}/disk/w --workers 1"
    done = in_mounted(tmp_path / "disk", f"size={size_kb}k", f"{run}; code=$?; exit $code")
    assert done.returncode == 1, done.stderr
    assert "Traceback" not in done.stderr
    assert says in done.stderr.lower()


def test_after_a_full_disk_the_run_goes_on(tmp_path):
    recipe = make_posts(tmp_path / "many", 3000)
    run = f"{sys.executable} -m curate run {recipe} -w {tmp_path}/disk/w --workers 1"
    grow = f"mount -o remount,size=64m {tmp_path}/disk"
    done = in_mounted(tmp_path / "disk", "size=900k", f"{run}; {grow} && {run} && {run}")
    assert done.returncode == 0, done.stderr
    assert "Nothing to do" in done.stdout


def test_a_read_only_disk(tmp_path, posts_recipe):
    run = f"{sys.executable} -m curate run {posts_recipe} -w {tmp_path}/disk/w"
    done = in_mounted(tmp_path / "disk", "ro", run)
    assert done.returncode == 1, done.stderr
    assert "Traceback" not in done.stderr
    assert "read-only file system" in done.stderr.lower()


@pytest.mark.parametrize("workers", ["1", "2"])
def test_ctrl_c_keeps_what_is_done(tmp_path, workers):
    from curate.storage.workspace import Workspace
    from tests.support.runs import contents

    command = [sys.executable, "-m", "curate", "run", "quickstart", "-w", str(tmp_path / "w"), "--workers", workers]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, start_new_session=True)
    while "ingest" not in process.stderr.readline():
        assert process.poll() is None
    wait_until(lambda: [path for path in (tmp_path / "w" / "blobs").rglob("*") if path.is_file()])
    os.killpg(process.pid, signal.SIGINT)
    said = process.stderr.read()
    assert process.wait(60) == 130, said
    assert "Traceback" not in said
    assert "what is finished is kept" in said
    with Workspace(tmp_path / "w", create=False).lock():
        pass
    assert contents(tmp_path / "w")["sources"].num_rows == 9
    assert subprocess.run(command, capture_output=True).returncode == 0


def test_version_help_and_completion(run_curate):
    assert run_curate("--version").stdout.startswith("curate 0.")
    for command in ((), ("run",), ("plan",), ("check",), ("status",), ("demo",), ("doctor",), ("annotate",)):
        done = run_curate(*command, "--help")
        assert done.returncode == 0
        assert "Usage" in done.stdout
    # Whatever shell the tests are started from.
    shown = run_curate("--show-completion", "bash", env={"_TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION": "1"})
    assert shown.returncode == 0, shown.stderr
    assert "_CURATE_COMPLETE" in shown.stdout


def test_doctor_names_what_is_missing_and_how_to_get_it(run_curate):
    findings = json.loads(run_curate("doctor", "--json", env={"HF_TOKEN": "hf_secret"}).stdout)
    by_name = {finding["name"]: finding for finding in findings}
    assert by_name["ffmpeg"]["present"]
    assert all(finding["present"] or finding["get"] for finding in findings)
    assert by_name["Hugging Face token"]["present"]
    assert "hf_secret" not in json.dumps(findings)
    for name in ("pocketsphinx", "py3langid", "ray", "resemblyzer", "speechmos", "Whisper model"):
        assert by_name[name]["gives"]
    assert "--no-deps" in by_name["resemblyzer"]["get"]


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        (None, "https://api.openai.com/v1"),
        ("http://me:hidden@localhost:8000/v1/?token=hidden", "http://localhost:8000/v1"),
        ("localhost:8000", None),
        ("http://[", None),
        ("http://host:port/v1", None),
        ("", None),
    ],
)
def test_doctor_says_whether_models_can_be_asked_and_where(monkeypatch, url, shown):
    monkeypatch.delenv("OPENAI_BASE_URL", raising=False)
    if url is not None:
        monkeypatch.setenv("OPENAI_BASE_URL", url)
    monkeypatch.setenv("OPENAI_API_KEY", "sk-hidden")
    findings = {finding.name: finding for finding in examine()}
    assert findings["OPENAI_API_KEY"].present
    assert (findings["models' address"].detail or None) == shown
    assert findings["models' address"].present == bool(shown)
    assert "hidden" not in str(findings)
    monkeypatch.setenv("OPENAI_API_KEY", "")
    assert not {finding.name: finding for finding in examine()}["OPENAI_API_KEY"].present


def test_doctor_finds_the_whisper_models_that_are_whole(run_curate, tmp_path):
    hub = tmp_path / "hf" / "hub"
    make_model(hub / "models--a--faster-whisper-tiny" / "snapshots" / "one")
    (hub / "models--a--faster-whisper-base" / "snapshots" / "two").mkdir(parents=True)
    done = run_curate("doctor", "--json", env={"HF_HOME": str(tmp_path / "hf")})
    (model,) = [finding for finding in json.loads(done.stdout) if finding["name"] == "Whisper model"]
    assert model["present"]
    assert "whisper-tiny" in model["detail"]
    assert "whisper-base" not in model["detail"]


@pytest.mark.parametrize("width", [80, 100, 140])
def test_long_lines_leave_the_display_whole(monkeypatch, width):
    monkeypatch.setattr("sys.stderr", Terminal())
    for name, text in {"COLUMNS": str(width), "TERM": "xterm", "NO_COLOR": "1"}.items():
        monkeypatch.setenv(name, text)
    spent = UsageTotals(requests=123_456, from_cache=7_890, usd=1_234.5, per_s=98.7)
    with ProgressLines() as progress:
        progress.stage_started("preprocess", 30_000, 0)
        progress.stage_advanced("preprocess", 12_345, {"one": spent})
        progress.stage_finished(StageResult("preprocess", 30_000, rows=30_000, account={"one": spent}))
        progress.stage_started("prelabel", 30_000, 0)
        progress.stage_advanced("prelabel", 12_345, {"one": spent})
        progress.stopping()
    last = re.sub(r"\x1b\[[\d;?]*[a-z]", "", sys.stderr.getvalue().rsplit("\x1b[2K", 1)[1]).split("\n")
    assert all(len(line) <= width - 4 for line in last), "what the terminal echoes of Ctrl-C has room"
    assert last[0].startswith("preprocess  ━")
    assert " 30000/30000 " in last[0]
    assert last[1].startswith("prelabel    ━")
    assert " 12345/30000 " in last[1]
    assert last[2].startswith("stopping: ")
    assert last[0].rstrip().endswith("…")


@pytest.mark.parametrize("often", [1, 2])
def test_ctrl_c_is_answered_at_once(asked_recipe, tmp_path, often):
    recipe, double = asked_recipe
    double.latency_s = 2.0 if often == 1 else 60.0
    command = [sys.executable, "-m", "curate", "run", str(recipe), "-w", str(tmp_path / "w"), "--workers", "1"]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, start_new_session=True)
    while "preprocess" not in process.stderr.readline():
        assert process.poll() is None
    wait_until(lambda: double.in_flight)
    os.killpg(process.pid, signal.SIGINT)
    assert process.stderr.readline() == f"{STOPPING}\n"
    assert process.poll() is None
    if often == 2:
        os.killpg(process.pid, signal.SIGINT)
    said = process.stderr.read()
    assert process.wait(60) == 130
    sentence = {1: "stopped; what is finished is kept", 2: "stopped at once; what is finished is kept"}[often]
    assert said.endswith(f"error: {sentence}\nnext: run the same command again to go on\n")


class Terminal(io.StringIO):
    """A standard error stream that a person looks at."""

    def isatty(self) -> bool:
        return True


@pytest.fixture
def asked_recipe(tmp_path, monkeypatch):
    """A recipe of six posts whose labels a model proposes, and the server that is asked."""
    with ChatDouble(key=KEY) as double:
        monkeypatch.setenv("OPENAI_API_KEY", KEY)
        monkeypatch.setenv("OPENAI_BASE_URL", double.url)
        recipe = make_posts(tmp_path / "posts", 6)
        text = recipe.read_text().replace("model: offline", "labellers: [{model: openai/gpt-5-mini}]\n  in_flight: 1")
        recipe.write_text(text)
        yield recipe, double


def test_a_run_that_is_stopped_tells_what_it_did_and_paid(run_curate, asked_recipe):
    recipe, double = asked_recipe
    double.on("(3)", *[status(401)] * 9)
    done = run_curate("run", recipe, "--workers", "1")
    assert done.returncode == 1
    assert done.stdout.index("openai/gpt-5-mini") < done.stdout.index("report: ")
    assert "error:" in done.stderr
    assert Path(done.stdout.split("report:")[1].strip()).is_file()
    assert 0 < json.loads(run_curate("status", "--json").stdout)["tables"]["prelabels"] < 6
    # The same as one document, where money was spent and no row came of it.
    recipe.write_text(recipe.read_text().replace("in_flight: 1", "review: {model: openai/gpt-5, name: reviewer}"))
    double.on('"model":"gpt-5"', *[status(401)] * 9)
    done = run_curate("run", recipe, "--workers", "1", "--json", "-w", "another")
    assert done.returncode == 1
    told = json.loads(done.stdout)
    assert {"error", "hint", "problems", "run_id", "stages", "report"} <= set(told)
    assert (told["stages"][-1]["rows"], told["stages"][-1]["left"]) == (0, 6)
    assert told["stages"][-1]["account"]["openai/gpt-5-mini"]["requests"] > 0
    assert Path(told["report"]).is_file()
    assert run_curate("status", "-w", "another", "--json").returncode == 0
