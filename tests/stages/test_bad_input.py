"""The dirt that corpora have, one test for each kind: what is certain is kept, the rest is named with its place."""

import json
from pathlib import Path
from typing import Any

import pytest

from curate.annotation.importing.rows import KEY
from curate.annotation.importing.settings import Table
from curate.corpus.sources import RawFolders
from curate.errors import InvalidInput
from curate.labels import load_labels
from curate.media.container.decode import Span
from curate.media.units import cue_spans
from curate.media.words.subtitles import load_cues
from curate.recipe import load_recipe
from curate.stages.ingest.matching import LeadsOutside
from curate.stages.ingest.stage import Ingest
from curate.stages.ingest.tables import read_tables, table_inputs
from tests.support.link_server import LinkServer
from tests.support.workbooks import make_workbook

HEADER = "id,text,who,said\n"
JUDGED: dict[str, Any] = {"item": {"id": "id", "text": "text"}, "rater": "who", "long": {"emotion": "said"}}


def read(folder: Path, content: str | bytes, name: str = "t.csv", **mapping: Any):
    (folder / name).write_bytes(content.encode() if isinstance(content, str) else content)
    table = Table.model_validate({"table": name, **JUDGED, **mapping})
    mapped = read_tables([table], RawFolders(folder), load_labels("utterance_emotion.v1"))
    texts = dict(mapped.items.select(KEY, "text").iter_rows())
    said = [(row[KEY], row["annotator"], row["emotion"]) for row in mapped.judgements.to_pylist()]
    rows = mapped.problems.sort("<line>", maintain_order=True).to_dicts()
    return texts, said, [f"{row['<line>']}: {row['sentence']}" for row in rows]


# Each: the file, the texts of its items by id, and how the sentences about its rows begin.
KEPT: dict[str, tuple[str | bytes, dict[str, str], list[str]]] = {
    "semicolons": ("id;text;who;said\na;One, two;ann;anger\n", {"a": "One, two"}, []),
    "tabs, named .csv": ("id\ttext\twho\tsaid\na\tOne, two\tann\tanger\n", {"a": "One, two"}, []),
    "Excel's own mark": ("sep=|\nid|text|who|said\na|One|ann|anger\n", {"a": "One"}, []),
    "byte order mark": ("\ufeff" + HEADER + "a,One,ann,anger\n", {"a": "One"}, []),
    "UTF-16": ((HEADER + "a,Größe,ann,anger\n").encode("utf-16"), {"a": "Größe"}, []),
    "mixed encodings": (
        (HEADER + "a,Größe,ann,anger\n").encode() + "b,Größe,ann,anger\n".encode("latin-1"),
        {"a": "Größe"},
        ["3: the row is not UTF-8 text: byte 0xf6 after 'Gr'"],
    ),
    "curly quotes are words": (HEADER + "a,“Oh” ‘no’,ann,anger\n", {"a": "“Oh” ‘no’"}, []),
    "curly quotes enclose nothing": (
        HEADER + "a,“Oh, no”,ann,anger\nb,Yes,ann,anger\n",
        {"b": "Yes"},
        ["2: the row has 5 cells, the first line names 4"],
    ),
    "a stray quote": (
        HEADER + 'a,"Oh" no,ann,anger\nb,Yes,ann,anger\n',
        {"b": "Yes"},
        ["2: text follows the quotation mark"],
    ),
    "a backslash before a quote": (
        HEADER + 'a,"Oh \\"no\\" you",ann,anger\nb,Yes,ann,anger\n',
        {"b": "Yes"},
        ["2: text follows the quotation mark"],
    ),
    "a quote within a cell": (HEADER + 'a,5" wide,ann,anger\n', {"a": '5" wide'}, []),
    "unnamed columns": ("id,text,who,said,,\na,One,ann,anger,,\nb,Two,ann,anger,,x\n", {"a": "One", "b": "Two"}, []),
    "a doubled column nobody reads": ("id,text,who,said,x,x\na,One,ann,anger,1,2\n", {"a": "One"}, []),
    "ragged rows": (
        HEADER + "a,One,ann\nb,Two,ann,anger\nc,Three,ann,anger,,\nd,Four,ann,anger,x\n",
        {"b": "Two", "c": "Three"},
        ["2: the row has 3 cells, the first line names 4", "5: the row has 5 cells"],
    ),
    "a cell of 1 MB": (
        HEADER + f"a,{'x' * 1_000_000},ann,anger\nb,{'x' * 1_000_001},ann,anger\nc,Yes,ann,anger\n",
        {"a": "x" * 1_000_000, "c": "Yes"},
        ["3: the text is longer than 1000000 bytes"],
    ),
    "ids that look like numbers": (
        HEADER + "00000,One,ann,anger\n0,Two,ann,anger\n1e5,Three,ann,anger\n100000,Four,ann,anger\n",
        {"00000": "One", "0": "Two", "1e5": "Three", "100000": "Four"},
        [],
    ),
    "NaN and None as names": (
        HEADER + "NaN,NULL,None,anger\nnan,N/A,ann,anger\n",
        {"NaN": "NULL", "nan": "N/A"},
        [],
    ),
    "a cell that goes on in the next line": (HEADER + 'a,"One\nTwo",ann,anger\n', {"a": "One\nTwo"}, []),
    "the same row twice": (
        HEADER + "a,One,ann,anger\na,One,ann,anger\n",
        {"a": "One"},
        ["3: rater 'ann' judged item 'a' before, in t.csv, line 2"],
    ),
    "one id, two texts": (
        HEADER + "a,One,ann,anger\na,Two,ben,anger\n",
        {"a": "One"},
        ["3: item 'a' has another text here than in t.csv, line 2"],
    ),
}


@pytest.mark.parametrize("case", KEPT)
def test_rows_of_a_table(tmp_path, case):
    content, texts, sentences = KEPT[case]
    found, said, problems = read(tmp_path, content)
    assert found == texts
    assert [key for key, _, emotion in said if emotion == ["anger"]] == list(texts)
    assert len(problems) == len(sentences), problems
    assert all(line.startswith(start) for line, start in zip(problems, sentences, strict=True)), problems


def test_ids_of_an_excel_file_stay_text(tmp_path):
    rows = [["id", "text", "who", "said"], ["00000", "One", "NaN", "anger"], ["1e5", "Two", "ann", "Anger "]]
    make_workbook(tmp_path / "t.xlsx", {"Rows": rows})
    texts, said, problems = read(tmp_path, (tmp_path / "t.xlsx").read_bytes(), "t.xlsx")
    assert texts == {"00000": "One", "1e5": "Two"}
    assert said == [("00000", "NaN", ["anger"]), ("1e5", "ann", ["anger"])]
    assert problems == []


REFUSED = {
    "another delimiter": (HEADER.replace(",", ":") + "a:One:ann:anger\n", "its columns are id:text:who:said"),
    "a column twice": ("id,text,who,said,said\na,One,ann,anger,fear\n", "t.csv has 2 columns named said"),
    "another case of a column": (HEADER.replace("text", "Text"), "has no column text; its columns are id, Text"),
    "nothing": ("", "t.csv is empty"),
    "no text": (b"\x00\x01\x02PNG\xff" * 9, "its first line is not UTF-8 text"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_table_that_cannot_be_read_is_refused(tmp_path, case):
    content, sentence = REFUSED[case]
    with pytest.raises(InvalidInput) as caught:
        read(tmp_path, content)
    assert sentence in caught.value.message


@pytest.mark.parametrize(
    ("label", "expected"),
    [("ANGER", "anger"), (" Anger  ", "anger"), ("anger\t", "anger"), ("angr", None), ("happines", None)],
)
def test_case_and_spaces_of_labels(tmp_path, label, expected):
    _, said, problems = read(tmp_path, f"{HEADER}a,One,ann,{label}\n")
    assert said == ([("a", "ann", [expected])] if expected else [])
    assert len(problems) == (0 if expected else 1)
    assert expected or problems[0].endswith(f"'{label}' is not a label of ekman7.v1: map it")


def test_a_label_of_two_meanings_is_not_chosen(tmp_path):
    said = {"column": "said", "map": {"Mad": "anger", "mad": "surprise"}}
    _, judged, problems = read(tmp_path, HEADER + "a,One,ann,MAD\nb,Two,ann,mad\n", long={"emotion": said})
    assert judged == [("b", "ann", ["surprise"])]
    assert problems == ["2: 'MAD' is not a label of ekman7.v1: map it"]


MEDIA = {
    "one file for two items": ("a.png", "a.png is the file of item '0' already", "duplicate"),
    "up and away": ("../../etc/passwd", "leads out of the folders of raw files", "invalid"),
    "from the root": ("/etc/passwd", "leads out of the folders of raw files", "invalid"),
    "a link out of the folder": ("link.png", "leads out of the folders of raw files", "invalid"),
    "a NUL byte": ("a\0.png", "NUL byte", "invalid"),
}


@pytest.mark.parametrize("case", MEDIA)
def test_media_that_a_table_names(tmp_path, case):
    name, sentence, reason = MEDIA[case]
    raw = tmp_path / "raw"
    raw.mkdir()
    (tmp_path / "secret.png").write_bytes(b"x")
    (raw / "a.png").write_bytes(b"x")
    (raw / "link.png").symlink_to(tmp_path / "secret.png")
    (raw / "t.csv").write_text(f"id,file\n0,a.png\n1,{name}\n2,absent.png\n")
    table = Table.model_validate({"table": "t.csv", "item": {"id": "id", "media": "file"}})
    mapped = read_tables([table], RawFolders(raw), load_labels("utterance_emotion.v1"))
    rows = {row["file"]: row for row in table_inputs(mapped, RawFolders(raw)).to_pylist()}
    assert sentence in rows["t.csv#3"]["problem"]
    assert rows["t.csv#3"]["reason"] == reason
    assert rows["a.png"]["path"] == b"a.png"
    assert rows["t.csv#4"]["record"]["absent"] == "absent.png"


def test_files_that_are_links_out_of_the_folder(tmp_path):
    raw = tmp_path / "raw"
    raw.mkdir()
    (tmp_path / "secret.wav").write_bytes(b"x")
    (raw / "a.wav").symlink_to(tmp_path / "secret.wav")
    problems = list(Ingest(files="*.wav").missing(RawFolders(raw)))
    assert "a.wav" in problems[0][1]
    assert "outside the recipe's folder" in problems[0][1]
    assert "outside the recipe's folder" in next(iter(Ingest(files="../*.wav").missing(RawFolders(raw))))[1]
    assert issubclass(LeadsOutside, Exception)


def test_turns_that_end_before_they_begin(tmp_path):
    path = tmp_path / "a.srt"
    path.write_text(
        "1\n00:00:02,000 --> 00:00:01,000\nNever.\n\n2\n00:00:03,000 --> 00:00:03,000\nNow.\n\n"
        "3\n00:00:04,000 --> 00:00:05,000\nYes.\n"
    )
    cues, problems = load_cues(path)
    assert [cue.text for cue in cues] == ["Yes."]
    assert len(problems) == 1
    assert "00:00:02,000" in problems[0] or "line 2" in problems[0]


def test_turns_that_overlap_or_are_out_of_order(tmp_path):
    path = tmp_path / "a.srt"
    path.write_text(
        "1\n00:00:04,000 --> 00:00:05,000\nSecond.\n\n2\n00:00:01,000 --> 00:00:03,000\nFirst.\n\n"
        "3\n00:00:02,000 --> 00:00:03,500\nMeanwhile.\n"
    )
    cues, _ = load_cues(path)
    assert sorted(cue.text for cue in cues) == ["First.", "Meanwhile.", "Second."]
    assert cue_spans([cue.span for cue in cues], 10.0) == [Span(1.0, 2.5), Span(2.5, 3.5), Span(4.0, 5.0)]


def test_turns_of_a_table_are_put_in_order_and_a_missing_dialogue_is_named(tmp_path):
    (tmp_path / "turns.csv").write_text("d,n,text\nd1,2,Second.\nd2,1,Other.\nd1,1,First.\n")
    (tmp_path / "said.csv").write_text("d,said\nd1,anger\nd60,fear\n")
    dialogues = {"table": "turns.csv", "item": {"id": "d", "dialogue": {"text": "text", "turn": "n"}}}
    said = {"table": "said.csv", "item_id": "d", "long": {"emotion": "said"}}
    tables = [Table.model_validate(table) for table in (dialogues, said)]
    mapped = read_tables(tables, RawFolders(tmp_path), load_labels("utterance_emotion.v1"))
    turns = {row[KEY]: [turn["text"] for turn in json.loads(row["dialogue"])] for row in mapped.items.to_dicts()}
    assert turns == {"d1": ["First.", "Second."], "d2": ["Other."]}
    assert [row[KEY] for row in mapped.judgements.to_pylist()] == ["d1"]
    assert mapped.problems["sentence"].to_list() == ["item 'd60' is not in the tables"]


YAML = {
    "a bomb": ("a: &a [x, x]\nb: &b [*a, *a]\nc: &c [*b, *b]\nrecipe: x\n", "aliases (*name) are not allowed"),
    "a tag that runs code": ("recipe: !!python/object/apply:os.system [id]\n", "not valid YAML"),
    "a tag of one's own": ("recipe: !include /etc/passwd\n", "not valid YAML"),
    "depth": ("recipe: " + "[" * 3_000 + "\n", "nested too deeply"),
}


@pytest.mark.parametrize("case", YAML)
def test_yaml_of_a_stranger(tmp_path, case):
    content, sentence = YAML[case]
    (tmp_path / "r.yaml").write_text(content)
    with pytest.raises(InvalidInput) as caught:
        load_recipe(tmp_path / "r.yaml")
    assert sentence in " ".join((caught.value.message, *caught.value.problems))


@pytest.mark.parametrize(
    ("page", "settings", "outcome"),
    [
        ((302, {"Location": "http://10.0.0.7/a.wav"}, b""), {}, "private_address"),
        ((302, {"Location": "http://169.254.169.254/latest/meta-data"}, b""), {}, "private_address"),
        ((302, {"Location": "file:///etc/passwd"}, b""), {}, "invalid"),
        ("endless", {"max_mb": 1}, "too_large"),
        ("trickle", {"max_s": 0.1, "types": ("text/*",)}, "timeout"),
    ],
)
def test_links_that_lead_astray(tmp_path, monkeypatch, page, settings, outcome):
    from curate.stages.ingest.urls import connections
    from tests.stages.test_urls import Inputs

    with LinkServer() as server:
        server.pages = {"/a.wav": page}
        monkeypatch.setattr(connections, "check_public", only_but(server.url))
        inputs = Inputs(tmp_path)
        link = f"{server.url}/a.wav"
        assert inputs.list(link, tools={"private_links": False}, robots=False, **settings) == {link: outcome}


def only_but(url: str):
    """Check addresses as usual, but for those of a server that stands for the internet."""
    from curate.stages.ingest.urls.addresses import check_public

    port = int(url.rpartition(":")[2])
    return lambda host, asked: [host] if asked == port else check_public(host, asked)
