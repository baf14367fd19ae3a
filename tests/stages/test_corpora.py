"""Published corpora through their shipped recipes: small ones in their formats, and the real ones where they are."""

import csv
from collections import Counter, defaultdict
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from curate.annotation.importing.rows import KEY
from curate.consensus.aggregate import aggregate
from curate.consensus.agreement.rows import agreement_rows
from curate.consensus.settings import FieldSettings
from curate.corpus.judgements import current_judgements
from curate.pipeline import open_corpus
from curate.recipe import load_recipe
from curate.stages.ingest.stage import Ingest
from curate.stages.ingest.tables import read_tables
from curate.storage.workspace import Workspace
from tests.support.corpora import CREMAD_CLIPS, CREMAD_VOTES, MAKERS
from tests.support.runs import run_quietly


def make_corpus(name: str, folder: Path):
    """Run the shipped recipe of a corpus as far as its labels; return what the workspace holds."""
    folder.mkdir(exist_ok=True)
    MAKERS[name](folder)
    loaded = load_recipe(Path(name), raw=[folder])
    run_quietly(loaded, folder / "w", until="aggregate")
    return open_corpus(loaded, Workspace(folder / "w"))


def by_key(corpus, table: str) -> dict[str, list[dict]]:
    """Rows of a table by the key that their item has in its corpus."""
    sources = {row["source_id"]: row["key"] for row in corpus.read("sources").to_pylist()}
    keys = {row["item_id"]: sources[row["source_id"]] for row in corpus.read("items").to_pylist()}
    rows = defaultdict(list)
    for row in corpus.read(table).to_pylist():
        rows[keys[row["item_id"]]].append(row)
    return dict(rows)


def rejected(corpus) -> dict[str, tuple[str, str]]:
    return {row["subject"]: (row["reason"], row["detail"]) for row in corpus.read("rejections").to_pylist()}


def test_cremad_votes_by_arm(tmp_path):
    corpus = make_corpus("cremad", tmp_path)
    acts = by_key(corpus, "annotations")
    votes = {
        (arm, clip): Counter(row["emotion"] for row in acts[name] if row["arm"] == arms)
        for arm, arms in ((1, "voice"), (2, "face"), (3, "audiovisual"))
        for clip, name in enumerate(CREMAD_CLIPS)
    }
    labels = ("anger", "disgust", "fear", "happy", "neutral", "sad")
    for place, counts in CREMAD_VOTES.items():
        assert votes[place] == {label: n for label, n in zip(labels, counts, strict=True) if n}
    assert {row["annotator"] for rows in acts.values() for row in rows} == {None}
    (item,) = (row for row in corpus.read("items").to_pylist() if row["speaker"] == "1002")
    assert (item["unit"], item["text"], item["speaker_source"], item["group"]) == ("clip", None, "table", "1002")
    (source,) = (row for row in corpus.read("sources").to_pylist() if row["key"] == CREMAD_CLIPS[2])
    assert (source["kind"], source["licence"]) == ("record", "ODbL-1.0")
    assert {entry["name"]: entry["value"] for entry in source["columns"]}.items() >= {
        "Age": "21",
        "intended": "ANG",
    }.items()


def test_ferplus_rows_that_repeat_or_lack_a_picture(tmp_path):
    corpus = make_corpus("ferplus", tmp_path)
    labels = {key: rows[0] for key, rows in by_key(corpus, "labels").items()}
    assert {key: (row["expression"], row["raters"]) for key, row in labels.items()} == {
        "fer0000000.png": ("neutral", 10),
        "fer0000001.png": ("neutral", 10),
        "fer0000003.png": (None, 9),
        "fer0000004.png": ("no face", 10),
    }
    problems = rejected(corpus)
    assert problems["fer2013new.csv#4"][1].endswith("the id is blank")
    assert problems["fer2013new.csv#5:votes"][0] == "duplicate"
    assert problems["fer2013new.csv#8:votes"][1].endswith(
        "the votes on item 'fer0000004.png' are in fer2013new.csv, line 7 already"
    )
    assert len(problems) == 3


@pytest.mark.parametrize("who", ["reader", "writer"])
def test_emobank_ratings_without_raters(tmp_path, who):
    corpus = make_corpus(f"emobank_{who}s", tmp_path)
    acts = by_key(corpus, "annotations")
    assert sorted((row["valence"], row["arousal"]) for row in acts["A_1"]) == [(3, 3), (3, 3), (4, 5)]
    assert {row["arm"] for row in acts["A_1"]} == {who}
    label = by_key(corpus, "labels")["A_1"][0]
    assert (round(label["valence"], 2), round(label["arousal"], 2), label["raters"]) == (3.33, 3.67, 3)
    problems = rejected(corpus)
    file = f"individual_{who}_ratings.csv"
    assert {name: reason for name, (reason, _) in problems.items()} == {
        f"{file}#5": "known_bad",
        f"{file}#7": "unknown_item",
        f"{file}#8:valence": "invalid",
    }
    assert problems[f"{file}#8:valence"][1] == f"{file}#8:valence: 6 is not within 1 to 5"
    texts = {row["text"] for row in corpus.read("items").to_pylist()}
    assert texts == {'I can\'t "believe" it.', "Fine.", "Well."}


def test_emonet_face_asks_of_each_face_and_emotion(tmp_path):
    corpus = make_corpus("emonet_face", tmp_path)
    acts = by_key(corpus, "annotations")
    assert {key: sorted((row["annotator"], row["shown"]) for row in rows) for key, rows in acts.items()} == {
        "00000/Anger": [("human-1", "shown"), ("human-2", "shown")],
        "00000/Contentment": [("human-3", "not shown")],
        "00001/Pleasure/Ecstasy": [("human-1", "not shown")],
    }
    (again,) = rejected(corpus).values()
    assert again[0] == "duplicate"
    assert again[1].endswith("rater 'human-1' judged item '00001/Pleasure/Ecstasy' before, in binary.csv, line 5")


def test_goemotions_as_they_are_written(tmp_path):
    corpus = make_corpus("goemotions", tmp_path)
    found = {key: rows[0]["emotions"] for key, rows in by_key(corpus, "annotations").items()}
    assert found == {
        "eebbqej": ["neutral"],
        "ee84bjg": ["approval", "neutral"],
        "eaaaaa1": ["admiration"],
        "eaaaaa2": ["amusement", "joy"],
        "eecwqtt": ["sadness"],
    }
    texts = {row["text"] for row in corpus.read("items").to_pylist()}
    assert texts == {'"Do it!', "You know, don’t avoid them!", "Same.", "Odd.", 'She said "no" twice'}
    assert rejected(corpus)["dev.tsv#2:emotions"][1] == (
        "dev.tsv#2:emotions: '28' is not a label of goemotions.v2: map it"
    )


SMALL: dict[str, tuple[dict[str, Any], dict[str, tuple[str, str]]]] = {
    "emodb": (
        {"03a01Fa": "happiness", "03a01Nc": "neutral", "16b10Lb": "boredom"},
        {"wav/speech.wav#1": ("invalid", "does not fit")},
    ),
    "ravdess": (
        {"03-01-02-01-01-01-01": "calm", "03-02-06-02-02-02-24": "fearful"},
        {
            "copy/Actor_01/03-01-02-01-01-01-01.wav#1": ("duplicate", "has another media here than in Actor_01/"),
            "Actor_01/03-01-09-01-01-01-01.wav#1": ("invalid", "does not fit"),
        },
    ),
    "beat": (
        {
            "1_wayne_0_1_8": "neutral",
            "1_wayne_0_65_72": "happy",
            "2_scott_0_111_118": "disgust",
            "2_scott_1_103_103": "neutral",
        },
        {"2/2_scott_0_119_119.wav#1:emotion": ("invalid", "'000119' is in none of the ranges")},
    ),
    "meld": (
        {
            "train/dia0_utt1": ("anger", "negative"),
            "train/dia1_utt1": ("joy", "positive"),
            "test/dia1_utt1": ("neutral", "neutral"),
        },
        {
            "train_sent_emo.csv#4:again": ("duplicate", "judged item 'train/dia1_utt1' before"),
            "dev_sent_emo.csv#2:emotion": ("invalid", "'surprised' is not a label of meld7.v1: map it"),
        },
    ),
    "mahaemotions": (
        {"एक": "neutral", "दोन": "anger", "तीन\nचार": "respect", "पाच": "happiness", "सहा": "sarcasm"},
        {
            "train.csv#3": ("duplicate", "has another columns kept here than in test.csv, line 3"),
            "train.csv#4:again": ("duplicate", "before, in train.csv, line 2"),
            "train.csv#5:emotion": ("invalid", "'Anger/Disgust' is not a label of maha11.v1: map it"),
        },
    ),
    "emoset": (
        {
            "amusement_12865": "amusement",
            "fear_00007": "fear",
            "contentment_00003": "contentment",
            "awe_00004": "awe",
        },
        {"train.json#3": ("invalid", "the row has 3 members, `columns` names 4")},
    ),
    "emo8": (
        {
            "train/awe/1.jpg": "awe",
            "train/fear/1.jpg": "fear",
            "val/Sadness/2.jpg": "sadness",
            "test/anger/3.jpg": "anger",
        },
        {"test/joy/4.jpg#1:emotion": ("invalid", "'joy' is not a label of mikels8.v1: map it")},
    ),
    "se_emotions": (
        {
            "angular/angular/issue/1": ["love", "joy"],
            "angular/angular/issue/2": None,
            "angular/angular/issue/3": ["anger", "sadness"],
        },
        {
            "ann-test.csv#2:Fear": ("invalid", "'maybe' is neither true nor false"),
            "ann-test.csv#3": ("duplicate", "has another text here than in ann-train.csv, line 3"),
        },
    ),
}
"""By recipe: the answer for each item, by its id or its text, and what is wrong with which row."""


@pytest.mark.parametrize("name", SMALL)
def test_labels_of_names_folders_lists_and_rows(tmp_path, name):
    corpus = make_corpus(name, tmp_path)
    texts = {row["item_id"]: row["text"] for row in corpus.read("items").to_pylist()}
    answers, problems = SMALL[name]
    fields = load_recipe(Path(name), check_sources=False).recipe.stages[0].tables[0].fields
    for table in ("annotations", "labels"):
        given = {
            texts[row["item_id"]] if key.startswith("sha256:") else key: tuple(row[field] for field in fields)
            for key, (row,) in by_key(corpus, table).items()
        }
        assert given == {key: answer if isinstance(answer, tuple) else (answer,) for key, answer in answers.items()}
    wrong = {subject: problem for subject, problem in rejected(corpus).items() if problem[0] != "no_face"}
    assert wrong.keys() == problems.keys()
    for subject, (reason, sentence) in problems.items():
        assert wrong[subject][0] == reason
        assert sentence in wrong[subject][1]


def test_wrime_strengths_by_rater(tmp_path):
    corpus = make_corpus("wrime", tmp_path)
    texts = {row["item_id"]: row["text"] for row in corpus.read("items").to_pylist()}

    def strengths(row: dict[str, Any]) -> dict[str, str]:
        return {entry["label"]: entry["intensity"] for entry in row["emotion"] or ()}

    acts = corpus.read("annotations").to_pylist()
    given = {(texts[row["item_id"]][0], row["arm"], row["annotator"]): strengths(row) for row in acts}
    first = {"sadness": "strong", "surprise": "strong", "anger": "weak", "fear": "medium", "disgust": "weak"}
    assert given == {
        ("車", "writer", "writer-1"): {"sadness": "strong", "surprise": "weak", "anger": "strong"},
        ("車", "reader", "reader1"): first,
        ("車", "reader", "reader2"): {"sadness": "medium", "surprise": "medium"},
        ("車", "reader", "reader3"): {"sadness": "medium", "surprise": "medium", "fear": "weak", "disgust": "weak"},
        ("眠", "writer", "writer-2"): {},
        ("眠", "reader", "reader1"): {"joy": "weak"},
        ("眠", "reader", "reader2"): {},
        ("眠", "reader", "reader3"): {},
    }
    labels = {texts[row["item_id"]][0]: strengths(row) for row in corpus.read("labels").to_pylist()}
    medians = {"sadness": "medium", "surprise": "medium", "anger": "weak", "fear": "weak", "disgust": "weak"}
    assert labels == {"車": medians, "眠": {"joy": "weak"}}
    wrong = rejected(corpus)
    assert {subject: reason for subject, (reason, _) in wrong.items()} == {
        "wrime-ver2.tsv#4:Reader2_Joy": "invalid",
        "wrime-ver2.tsv#5:again": "duplicate",
    }
    assert "'4' is not one of weak, medium, strong" in wrong["wrime-ver2.tsv#4:Reader2_Joy"][1]


def test_who_judged_and_in_which_split(tmp_path):
    corpus = make_corpus("mahaemotions", tmp_path)
    splits = {
        row["source_id"]: {entry["name"]: entry["value"] for entry in row["columns"]}["official_split"]
        for row in corpus.read("sources").to_pylist()
    }
    items = {row["item_id"]: (row["text"], splits[row["source_id"]]) for row in corpus.read("items").to_pylist()}
    judged = {(*items[row["item_id"]], row["annotator"]) for row in corpus.read("annotations").to_pylist()}
    assert judged == {
        ("एक", "test", "people"),
        ("दोन", "test", "people"),
        ("तीन\nचार", "validation", "people"),
        ("पाच", "validation", "people"),
        ("सहा", "train", "gpt-4"),
    }


def test_again_nothing_is_new_and_what_changes_in_a_table_follows(tmp_path, monkeypatch):
    folder = tmp_path / "raw"
    corpus = make_corpus("emonet_face", folder)
    before = corpus.table("annotations").read()
    with monkeypatch.context() as patched:
        patched.setattr(Ingest, "judgements", lambda *_: pytest.fail("read again"))
        make_corpus("emonet_face", folder)
    assert corpus.table("annotations").read().sort_by("annotation_id") == before.sort_by("annotation_id")
    table = folder / "binary.csv"
    rows = (folder / "binary.csv").read_text().splitlines()
    loaded = load_recipe(Path("emonet_face"), raw=[folder])

    def current(lines: list[str]) -> list[tuple[str, str]]:
        table.write_text("\n".join(lines) + "\n")
        run_quietly(loaded, folder / "w", until="aggregate")
        acts = current_judgements(open_corpus(loaded, Workspace(folder / "w")).read("annotations")).to_pylist()
        return sorted((row["annotator"], row["shown"]) for row in acts)

    changed = [row.replace("human-2,True", "human-2,False") for row in rows]
    assert ("human-2", "not shown") in current(changed)
    assert len(current([row for row in rows if "human-2" not in row])) == 3
    assert current(rows) == [
        ("human-1", "not shown"),
        ("human-1", "shown"),
        ("human-2", "shown"),
        ("human-3", "not shown"),
    ]
    assert Counter(corpus.table("annotations").read()["action"].to_pylist()) == {
        "created": 4,
        "updated": 1,
        "deleted": 1,
        "restored": 1,
    }


# The real corpora, each figure computed a second time by other means.


def read_corpus(name: str, folder: Path):
    """Judgements of a real corpus by its recipe, as rows of ``annotations``, with the recipe's label schema."""
    loaded = load_recipe(Path(name), raw=[folder])
    mapped = read_tables(loaded.recipe.stages[0].tables, _raw(loaded), loaded.labels)
    table = mapped.judgements.append_column("item_id", mapped.judgements[KEY])
    count = table.num_rows
    ids = pa.array(map(str, range(count)), pa.string())
    for column in ("annotation_id", "judgement_id"):
        table = table.append_column(column, ids)
    origins = pa.list_(pa.struct([("field", pa.string()), ("origin", pa.string())]))
    table = table.append_column("action", pa.array(["created"] * count))
    table = table.append_column("acted_at", pa.nulls(count, pa.timestamp("us", "UTC")))
    table = table.append_column("origins", pa.nulls(count, origins))
    return mapped, table.append_column("prelabel_id", pa.nulls(count, pa.string())), loaded.labels


def _raw(loaded):
    from curate.corpus.sources import RawFolders

    return RawFolders(loaded.folder, loaded.raw)


def alphas(labels, judgements, by=None) -> dict[tuple[str, str | None], float]:
    rows = agreement_rows(labels, judgements, by=by)
    return {
        (row.field, row.group.get(by) if by else None): row.value
        for row in rows
        if "_alpha_" in row.measure and row.measure.split("_")[-1] in ("nominal", "interval")
    }


def rows_of(path: Path, **options) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file, **options))


def test_real_cremad(shared_data):
    krippendorff = pytest.importorskip("krippendorff")
    folder = shared_data / "cremad"
    mapped, judgements, labels = read_corpus("cremad", folder)
    rows = rows_of(folder / "tabulatedVotes.csv")
    letters = dict(zip("ADFHNS", ("anger", "disgust", "fear", "happy", "neutral", "sad"), strict=True))
    assert (mapped.items.height, mapped.problems.height) == (7442, 0)
    assert judgements.num_rows == sum(int(row[letter]) for row in rows for letter in letters)
    found = alphas(labels, judgements, by="arm")
    for number, arm in (("1", "voice"), ("2", "face"), ("3", "audiovisual")):
        counts = np.array([[int(row[letter]) for letter in letters] for row in rows if row[""][0] == number])
        expected = krippendorff.alpha(value_counts=counts, level_of_measurement="nominal")
        assert found["emotion", arm] == pytest.approx(expected, abs=1e-9)
        table = aggregate(
            labels, judgements, _no_prelabels(labels), settings=FieldSettings(method="plurality"), arms=[arm]
        )
        label_of = dict(zip(table["item_id"].to_pylist(), table["emotion"].to_pylist(), strict=True))
        for row in (row for row in rows if row[""][0] == number):
            most = max(int(row[letter]) for letter in letters)
            winners = [name for letter, name in letters.items() if int(row[letter]) == most]
            assert label_of[row["fileName"]] == (winners[0] if len(winners) == 1 else None)


def test_real_ferplus(shared_data):
    krippendorff = pytest.importorskip("krippendorff")
    folder = shared_data / "ferplus"
    mapped, judgements, labels = read_corpus("ferplus", folder)
    rows: dict[str, list[int]] = {}
    for row in rows_of(folder / "fer2013new.csv"):
        name, counts = row["Image name"], [int(value) for value in list(row.values())[2:]]
        if name:
            rows.setdefault(name, counts)
    assert mapped.items.height == len(rows) == 35_710
    assert Counter(mapped.problems["reason"].to_list()) == {"invalid": 173, "duplicate": 4}
    assert judgements.num_rows == sum(map(sum, rows.values()))
    expected = krippendorff.alpha(value_counts=np.array(list(rows.values())), level_of_measurement="nominal")
    assert alphas(labels, judgements)["expression", None] == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize("who", ["reader", "writer"])
def test_real_emobank_means_are_those_published(shared_data, who):
    krippendorff = pytest.importorskip("krippendorff")
    folder = shared_data / "emobank"
    mapped, judgements, labels = read_corpus(f"emobank_{who}s", folder)
    ratings: dict[str, list[tuple[int, ...]]] = defaultdict(list)
    for row in rows_of(folder / f"individual_{who}_ratings.csv"):
        rating = tuple(int(row[name]) for name in "VAD")
        if rating != (1, 1, 1):
            ratings[row["id"]].append(rating)
    assert mapped.items.height == 10_548
    assert judgements.num_rows == sum(map(len, ratings.values()))
    table = aggregate(labels, judgements, _no_prelabels(labels), settings=FieldSettings(method="mean")).to_pylist()
    several = {row["item_id"]: row for row in table if row["raters"] > 1}
    published = {row["id"]: row for row in rows_of(folder / f"{who}.csv")}
    assert several.keys() == published.keys()
    for key, row in several.items():
        assert row["raters"] == int(published[key]["N"])
        for name, letter in (("valence", "V"), ("arousal", "A"), ("dominance", "D")):
            assert np.round(row[name], 2) == float(published[key][letter])
    found = alphas(labels, judgements)
    for index, name in enumerate(("valence", "arousal", "dominance")):
        counts = np.zeros((len(ratings), 5))
        for number, values in enumerate(ratings.values()):
            np.add.at(counts[number], [value[index] - 1 for value in values], 1)
        expected = krippendorff.alpha(
            value_counts=counts, value_domain=[1, 2, 3, 4, 5], level_of_measurement="interval"
        )
        assert found[name, None] == pytest.approx(expected, abs=1e-9)


def test_real_emonet_face(shared_data):
    krippendorff = pytest.importorskip("krippendorff")
    folder = shared_data / "emonet_face"
    mapped, judgements, labels = read_corpus("emonet_face", folder)
    counts: dict[tuple[str, str], list[int]] = defaultdict(lambda: [0, 0])
    rows = rows_of(folder / "binary.csv")
    for row in rows:
        counts[row["path"], row["emotion"]][row["value"] == "True"] += 1
    assert (mapped.items.height, judgements.num_rows, mapped.problems.height) == (len(counts), len(rows), 0)
    assert len(set(judgements["annotator"].to_pylist())) == 7
    expected = krippendorff.alpha(value_counts=np.array(list(counts.values())), level_of_measurement="nominal")
    assert alphas(labels, judgements)["shown", None] == pytest.approx(expected, abs=1e-9)


def test_real_emodb(shared_data):
    folder = shared_data / "media/emodb"
    mapped, judgements, _ = read_corpus("emodb", folder)
    names = ("anger", "boredom", "disgust", "fear", "happiness", "sadness", "neutral")
    words = dict(zip("WLEAFTN", names, strict=True))
    expected = {path.stem: words[path.stem[5]] for path in folder.glob("*.wav")}
    assert dict(zip(judgements[KEY].to_pylist(), judgements["emotion"].to_pylist(), strict=True)) == expected
    assert (mapped.items.height, mapped.problems.height) == (16, 0)


def test_real_goemotions(shared_data):
    folder = shared_data / "goemotions"
    mapped, judgements, _ = read_corpus("goemotions", folder)
    names = (folder / "labels.txt").read_text().split()
    expected = {}
    for part in ("train", "dev", "test"):
        for line in (folder / f"{part}.tsv").read_text(encoding="utf-8").split("\n"):
            if line:
                _, numbers, key = line.split("\t")
                expected[key] = {names[int(number)] for number in numbers.split(",")}
    found = dict(zip(judgements[KEY].to_pylist(), map(set, judgements["emotions"].to_pylist()), strict=True))
    assert found == expected
    assert (mapped.items.height, mapped.problems.height) == (54_263, 0)


def _no_prelabels(labels) -> pa.Table:
    from curate.corpus.spec import table_spec

    return table_spec("prelabels", labels).schema.empty_table()
