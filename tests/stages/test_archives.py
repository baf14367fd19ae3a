"""Archives: their members are raw files like any other, and nothing that an archive claims of itself is trusted."""

import io
import os
import shutil
import struct
import tarfile
import zipfile
from datetime import date
from pathlib import Path

import pyarrow as pa
import pytest
from pyarrow import parquet

from curate.corpus.archives import unpack as unpacking
from curate.corpus.sources import RawFolders, SourceMissing
from curate.errors import InvalidInput
from curate.pipeline.forget.scope import Scope
from curate.pipeline.forget.takedown import forget, plan_forgetting
from curate.stages.ingest.matching import matches_glob
from curate.stages.ingest.stage import Ingest
from curate.storage.cache import cache_folder
from curate.storage.workspace import Workspace
from tests.stages.test_ingest import ingest, make_tools
from tests.support.builders import make_recipe
from tests.support.media_builders import make_tone, write_media
from tests.support.runs import contents, run_quietly

POSTS = b'{"text": "hello", "author": "maple"}\n{"text": "bye"}\n'


@pytest.fixture(autouse=True)
def _own_cache(tmp_path_factory, monkeypatch):
    monkeypatch.setenv("CURATE_CACHE", str(tmp_path_factory.mktemp("cache")))


def make_zip(path: Path, members: list[tuple[str | zipfile.ZipInfo, bytes]]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members:
            archive.writestr(name, data)
    return path


def make_tar(path: Path, members: list[tuple[str | tarfile.TarInfo, bytes]], mode: str = "w") -> Path:
    with tarfile.open(path, mode) as archive:
        for name, data in members:
            info = tarfile.TarInfo(name) if isinstance(name, str) else name
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return path


def tar_member(name: str, kind: bytes, target: str = "") -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, target
    return info


def zip_member(name: str, mode: int) -> zipfile.ZipInfo:
    info = zipfile.ZipInfo(name)
    info.external_attr = mode << 16
    return info


@pytest.mark.parametrize("suffix", ["zip", "tar", "tar.gz", "tgz", "tar.bz2", "tar.xz", "tar.zst"])
def test_members_are_inputs_of_their_own(tmp_path, suffix):
    write_media(tmp_path / "a.wav", sound=make_tone())
    subtitles = b"1\n00:00:00,000 --> 00:00:01,000\nHello\n"
    members = [("day 1/a.wav", (tmp_path / "a.wav").read_bytes()), ("day 1/a.en.srt", subtitles)]
    members += [("./posts.jsonl", POSTS), ("day 1/notes.txt", b"Just this.\n"), (".hidden", b"x")]
    path = tmp_path / f"corpus.{suffix}"
    if suffix == "zip":
        make_zip(path, members)
    elif suffix == "tar.zst":
        make_tar(tmp_path / "plain.tar", members)
        with pa.CompressedOutputStream(str(path), "zstd") as stream:
            stream.write((tmp_path / "plain.tar").read_bytes())
    else:
        make_tar(path, members, f"w:{ {'tgz': 'gz', 'tar': ''}.get(suffix, suffix[4:]) }")
    done = ingest(tmp_path, f"corpus.{suffix}!/**", licence="CC0-1.0")
    start = f"corpus.{suffix}!/"
    assert set(done.sources) == {
        f"{start}day 1/a.wav",
        f"{start}day 1/notes.txt",
        f"{start}posts.jsonl#1",
        f"{start}posts.jsonl#2",
    }
    assert not done.reasons
    sound = done.sources[f"{start}day 1/a.wav"]
    assert sound["source_id"] == ingest(tmp_path, "a.wav").sources["a.wav"]["source_id"]
    assert (sound["kind"], sound["subtitles_file"]) == ("audio", f"{start}day 1/a.en.srt")
    assert [row["language"] for row in sound["subtitles"]] == ["en"]
    assert set(ingest(tmp_path, f"*.{suffix}!/day */*.txt").sources) == {f"{start}day 1/notes.txt"}


BAD_ZIP = {
    "../../up.txt": "its path leads out of the archive",
    "/etc/passwd.txt": "its path is absolute",
    "C:\\win.txt": "its path is absolute",
    "a\\..\\b.txt": "its path leads out of the archive",
    f"{'n' * 300}.txt": "its name is too long for a file",
}
BAD_TAR = {
    "link.txt": (tarfile.SYMTYPE, "it is a link"),
    "hard.txt": (tarfile.LNKTYPE, "it is a link"),
    "device.txt": (tarfile.CHRTYPE, "it is no file but a device"),
    "pipe.txt": (tarfile.FIFOTYPE, "it is no file but a device"),
}


def check_refused(done, expected: dict[str, str], kept: list[str]) -> None:
    assert sorted(done.sources) == kept
    details = {rejection.subject: rejection.detail for rejection in done.outcome.rejections}
    assert set(details) == set(expected)
    for name, sentence in expected.items():
        assert sentence in details[name], (name, details[name])


def test_members_that_no_archive_should_have(tmp_path):
    members = [(name, b"bad") for name in BAD_ZIP] + [(zip_member("zip link.txt", 0o120777), b"/etc/passwd")]
    make_zip(tmp_path / "a.zip", [("good.txt", b"Good."), *members, ("other.csv", b"x")])
    expected = {f"a.zip!/{name}": sentence for name, sentence in BAD_ZIP.items()}
    expected["a.zip!/zip link.txt"] = "it is a link"
    check_refused(ingest(tmp_path, "a.zip!/**/*.txt"), expected, ["a.zip!/good.txt"])
    members = [(tar_member(name, kind, "../../etc/passwd"), b"") for name, (kind, _) in BAD_TAR.items()]
    make_tar(tmp_path / "b.tar", [*members, ("../up.txt", b"bad"), ("good.txt", b"Good.")])
    expected = {f"b.tar!/{name}": sentence for name, (_, sentence) in BAD_TAR.items()}
    expected["b.tar!/../up.txt"] = "leads out"
    check_refused(ingest(tmp_path, "b.tar!/*.txt"), expected, ["b.tar!/good.txt"])
    assert not list(cache_folder().parent.rglob("up.txt"))
    # A member that the glob does not match is nobody's business.
    assert not ingest(tmp_path, "b.tar!/good.*").reasons


@pytest.mark.parametrize("make", [make_zip, make_tar])
@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_several_members_of_one_name(tmp_path, make):
    members = [("a.txt", b"One."), ("./a.txt", b"Two."), ("a.txt", b"Three."), ("b.txt", b"B."), ("b.txt/c.txt", b"C.")]
    path = make(tmp_path / f"x.{make.__name__[5:]}", [*members, ("d.txt", b"D.")])
    done = ingest(tmp_path, f"{path.name}!/**")
    expected = {f"{path.name}!/a.txt": "several members", f"{path.name}!/b.txt/c.txt": "several members"}
    check_refused(done, expected, [f"{path.name}!/b.txt", f"{path.name}!/d.txt"])
    assert set(done.reasons.values()) == {"duplicate"}


def test_encrypted_and_damaged_members(tmp_path):
    make_zip(tmp_path / "a.zip", [("good.txt", b"Good."), ("secret.txt", b"Secret."), ("bad.txt", os.urandom(2_000))])
    data = bytearray((tmp_path / "a.zip").read_bytes())
    for signature, offset in ((b"PK\3\4", 6), (b"PK\1\2", 8)):
        position = [i for i in range(len(data)) if data.startswith(signature, i)][1]
        struct.pack_into("<H", data, position + offset, 1)
    position = data.index(b"bad.txt") + 500
    data[position : position + 4] = b"\0\1\2\3"
    (tmp_path / "a.zip").write_bytes(data)
    done = ingest(tmp_path, "a.zip!/*")
    check_refused(
        done, {"a.zip!/secret.txt": "it is encrypted", "a.zip!/bad.txt": "it is damaged"}, ["a.zip!/good.txt"]
    )


@pytest.mark.parametrize("suffix", ["tar", "tar.gz"])
def test_what_follows_a_damage_is_marked(tmp_path, suffix):
    members = [(f"{number}.txt", os.urandom(20_000).hex().encode()) for number in range(3)]
    path = make_tar(tmp_path / f"a.{suffix}", members, "w" if suffix == "tar" else "w:gz")
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    done = ingest(tmp_path, f"{path.name}!/*")
    assert list(done.sources) == [f"{path.name}!/0.txt"]
    assert done.reasons[path.name] == "truncated"
    # A cut between two members is no end either.
    make_tar(tmp_path / "b.tar", [("0.txt", b"Zero.")])
    (tmp_path / "b.tar").write_bytes((tmp_path / "b.tar").read_bytes()[:1024])
    done = ingest(tmp_path, "b.tar!/*")
    assert (list(done.sources), done.reasons) == (["b.tar!/0.txt"], {"b.tar": "truncated"})


def test_bombs_leave_nothing_behind(tmp_path, monkeypatch):
    monkeypatch.setattr(unpacking, "_SMALL_BYTES", 1_000_000)
    make_zip(tmp_path / "a.zip", [("good.txt", b"Good."), ("zeros.txt", bytes(3_000_000))])
    make_tar(tmp_path / "b.tar.xz", [("zeros.txt", bytes(3_000_000))], "w:xz")
    done = ingest(tmp_path, "*.zip!/*", "*.xz!/*")
    check_refused(done, dict.fromkeys(("a.zip", "b.tar.xz"), "more than 200 times its size"), [])
    monkeypatch.setattr(unpacking, "MAX_MEMBERS", 2)
    make_tar(tmp_path / "c.tar", [(f"{number}.txt", b"x") for number in range(3)])
    check_refused(ingest(tmp_path, "c.tar!/*"), {"c.tar": "more than 2 members"}, [])
    monkeypatch.setattr(shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(0, 0, 2**30))
    make_tar(tmp_path / "d.tar", [("0.txt", b"x")])
    check_refused(ingest(tmp_path, "d.tar!/*"), {"d.tar": "free"}, [])
    assert not [path for path in cache_folder().rglob("*") if path.is_file() and path.suffix != ".lock"]


def test_a_header_that_is_a_bomb(tmp_path):
    members = [("0.txt", b"Zero."), (tar_member("x", tarfile.XHDTYPE), bytes(1_500_000))]
    make_tar(tmp_path / "a.tar", members)
    check_refused(ingest(tmp_path, "a.tar!/*"), {"a.tar": "a header is longer than 1 MB"}, ["a.tar!/0.txt"])


@pytest.mark.parametrize(
    ("name", "data", "sentence"),
    [
        ("a.zip", b"not a zip", "no zip archive"),
        ("a.tar", b"not a tar" * 200, "no tar archive"),
        ("a.tar.gz", b"\x1f\x8b\x08\0", "no tar archive"),
        ("a.tar.zst", b"(\xb5/\xfd", "no tar archive"),
        ("a.rar", b"Rar!", "it is none of .zip"),
        ("a.parquet", b"PAR1" + b"\xff" * 40 + b"\x14\0\0\0PAR1", "it cannot be read as Parquet"),
    ],
)
def test_files_that_are_no_archives(tmp_path, name, data, sentence):
    (tmp_path / name).write_bytes(data)
    check_refused(ingest(tmp_path, f"{name}!/*"), {name: sentence}, [])
    problems = list(Ingest(files=f"{name}!/*").missing(RawFolders(tmp_path)))
    assert [(place, sentence in problem) for place, problem in problems] == [(("files",), True)]
    with pytest.raises(InvalidInput, match=r"no file matches 'none\.zip!/x'"):
        Ingest(files="none.zip!/x").discover(make_tools(tmp_path))


@pytest.mark.parametrize(("kind", "value"), [(pa.int64(), 3), (pa.binary(), b"a.wav"), (pa.string(), "a.wav")])
def test_media_in_cells_whatever_their_names_are(tmp_path, kind, value):
    cells = pa.array([{"bytes": b"RIFF....WAVE", "path": value}], pa.struct([("bytes", pa.binary()), ("path", kind)]))
    parquet.write_table(pa.table({"sound": cells}), tmp_path / "a.parquet")
    folder = unpacking.unpack(tmp_path / "a.parquet").folder
    assert (folder / "sound" / "1.wav").read_bytes() == b"RIFF....WAVE"


def test_archives_named_without_their_members(tmp_path):
    make_zip(tmp_path / "inner.zip", [("a.txt", b"A.")])
    make_zip(tmp_path / "a.zip", [("inner.zip", (tmp_path / "inner.zip").read_bytes())])
    details = [ingest(tmp_path, files).outcome.rejections[0].detail for files in ("a.zip", "a.zip!/*")]
    assert details == [
        "a.zip is an archive: write `a.zip!/**` for its members",
        "a.zip!/inner.zip is an archive: unpack it",
    ]


def test_names_lead_nowhere_else(tmp_path):
    (tmp_path / "in").mkdir()
    make_zip(tmp_path / "in/a.zip", [("a.txt", b"A.")])
    make_zip(tmp_path / "out.zip", [("a.txt", b"A.")])
    raw = RawFolders(tmp_path / "in")
    assert raw.path("a.zip!/a.txt").read_bytes() == b"A."
    for name in ("a.zip!/../index.json", "a.zip!//etc/passwd", "a.zip!/b.txt"):
        with pytest.raises(SourceMissing):
            raw.path(name)
    with pytest.raises(InvalidInput, match="outside"):
        raw.path("../out.zip!/a.txt")
    with pytest.raises(InvalidInput, match="outside"):
        Ingest(files="../out.zip!/*").discover(make_tools(tmp_path / "in"))
    # A folder of that name comes first.
    (tmp_path / "in/a.zip!").mkdir()
    (tmp_path / "in/a.zip!/a.txt").write_bytes(b"B.")
    assert raw.path("a.zip!/a.txt").read_bytes() == b"B."


def test_the_cache_may_go_and_the_archive_may_not(tmp_path):
    make_zip(tmp_path / "a.zip", [("a.txt", b"A.")])
    before = ingest(tmp_path, "a.zip!/*").inputs
    shutil.rmtree(cache_folder())
    assert ingest(tmp_path, "a.zip!/*").inputs.equals(before)
    make_zip(tmp_path / "a.zip", [("a.txt", b"Another.")])
    assert not ingest(tmp_path, "a.zip!/*").inputs.equals(before)
    assert len(list(cache_folder().glob("archives/*/*"))) == 1
    (tmp_path / "a.zip").unlink()
    with pytest.raises(SourceMissing, match=r"a\.zip cannot be read: No such file"):
        RawFolders(tmp_path).path("a.zip!/a.txt")


def test_tables_in_archives_and_a_whole_run(tmp_path):
    write_media(tmp_path / "a.wav", sound=make_tone())
    table = b"name,label\na.wav,anger\nb.wav,fear\n"
    make_zip(tmp_path / "corpus.zip", [("labels.csv", table), ("wav/a.wav", (tmp_path / "a.wav").read_bytes())])
    mapping = {
        "table": "corpus.zip!/labels.csv",
        "item": {"id": "name", "media": "corpus.zip!/wav/{name}"},
        "rater": {"constant": "expert"},
        "long": {"emotion": "label"},
    }
    stage = {"stage": "ingest", "files": "corpus.zip!/wav/*", "tables": [mapping], "licence": "CC0-1.0"}
    stages = [stage, {"stage": "preprocess", "unit": "clip"}, {"stage": "annotate", "server": False}]
    recipe = make_recipe(tmp_path, *stages, labels="acted_emotion.v1")
    run_quietly(recipe, tmp_path / "w")
    tables = contents(tmp_path / "w")
    rows = {row["key"]: (row["file"], row["kind"]) for row in tables["sources"].to_pylist()}
    assert rows == {"a.wav": ("corpus.zip!/wav/a.wav", "audio"), "b.wav": ("corpus.zip!/labels.csv#3", "record")}
    assert tables["items"].num_rows == 2
    # Nothing but the archive decides what there is, and without it the sentence is clear.
    assert not run_quietly(recipe, tmp_path / "w").changed
    workspace = Workspace(tmp_path / "w")
    scope = Scope("source", "corpus.zip!/wav/a.wav")
    with workspace.lock():
        forget(workspace, plan_forgetting(workspace, scope, "withdrawn", today=date(2026, 1, 1)))
    assert not list(cache_folder().rglob("*.wav"))
    (tmp_path / "corpus.zip").unlink()
    with pytest.raises(InvalidInput) as raised:
        run_quietly(recipe, tmp_path / "w")
    sentences = ("no file matches 'corpus.zip!/wav/*'", "there is no file 'corpus.zip!/labels.csv'")
    assert [any(text in problem for problem in raised.value.problems) for text in sentences] == [True, True]


@pytest.mark.parametrize(
    ("pattern", "path", "expected"),
    [
        ("**", "a/b/c.txt", True),
        ("**/*.txt", "c.txt", True),
        ("**/*.txt", "a/b/c.txt", True),
        ("a/**/c.txt", "a/c.txt", True),
        ("*.txt", "a/c.txt", False),
        ("a/*", "b/c", False),
        ("**/b/**/d", "a/b/c/d", True),
        ("[ab]?/x", "ac/x", True),
    ],
)
def test_globs_on_names(pattern, path, expected):
    assert matches_glob(path.split("/"), pattern.split("/")) is expected
