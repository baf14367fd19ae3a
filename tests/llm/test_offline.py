"""Labellers that need no network: what they propose, what they leave out, and hostile texts."""

import hashlib
import os
import subprocess
import sys
from importlib import resources

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from vaderSentiment.vaderSentiment import SentimentIntensityAnalyzer

from benchmarks.goemotions import best_thresholds, f1_scores, read_split
from curate.assets import list_assets
from curate.labels import LabelSchema, load_labels, load_taxonomy
from curate.labels.fields import Boxes, Category, Scale, Spans, Text
from curate.labels.maps import load_map
from curate.llm.labellers import open_offline
from curate.llm.labellers.features import BUCKETS, MAX_CHARS, count_ngrams
from curate.llm.labellers.model import emotion_model
from curate.llm.labellers.ngrams import SOURCE, mapped_labels
from curate.llm.labellers.protocol import english_text_of
from curate.llm.labellers.vader import VaderLabeller
from curate.stages.contract import Tools
from curate.stages.prelabel.stage import Prelabel
from curate.storage.blobs import Blobs

GOLDEN = ("offline-ngrams.v1", "62b36ea0", {"confusion": 0.58, "curiosity": 0.43})
NAMES = ("offline", "lexicon", "vader", "textblob")


def make_labels(taxonomy: str = "ekman7.v1", *, multiple: bool = True, **more) -> LabelSchema:
    """A schema of one category and further fields."""
    emotion = Category(name="emotion", type="category", taxonomy=load_taxonomy(taxonomy), multiple=multiple)
    return LabelSchema(name="mine.v1", unit="post", fields={"emotion": emotion, **more})


def make_scale(name: str, minimum: float = -1, maximum: float = 1, **more) -> Scale:
    return Scale(name=name, type="scale", minimum=minimum, maximum=maximum, **more)


def propose(name: str, text: str | None, labels: LabelSchema, language: str | None = "en"):
    return open_offline(name).propose({"text": text, "language": language}, labels)


@pytest.mark.parametrize(
    ("text", "label"),
    [
        ("I am so happy that you came!", "happiness"),
        ("Thank you so much, I love it", "happiness"),
        ("😂😂😂", "happiness"),
        ("This makes me so angry, how dare you!", "anger"),
        ("That is disgusting, gross.", "disgust"),
        ("There is somebody in the house, I am so scared.", "fear"),
        ("I am so sad, I miss her every day", "sadness"),
        ("I am surprised, I did not expect that at all", "surprise"),
        ("We meet at five.", "neutral"),
        ("It’s the 3rd door on the left.", "neutral"),
    ],
)
def test_clear_texts(text, label):
    proposal = propose("offline", text, make_labels())
    assert proposal.values == {"emotion": [label]}
    assert proposal.outcome == "ok"
    assert proposal.model == "offline-ngrams.v1"
    assert max(proposal.scores["emotion"], key=proposal.scores["emotion"].get) == label
    assert propose("offline", text, make_labels(multiple=False)).values == {"emotion": label}


def test_negated_emotions():
    negated = propose("offline", "I am not happy.", make_labels()).scores["emotion"]
    affirmed = propose("offline", "I am happy.", make_labels()).scores["emotion"]
    assert negated.get("happiness", 0) < affirmed["happiness"] / 2


def test_several_labels_at_once():
    proposal = propose("offline", "I love you so much, but I am scared to lose you", make_labels("goemotions.v1"))
    assert {"love", "fear"} <= set(proposal.values["emotion"])


@pytest.mark.parametrize(
    ("taxonomy", "text", "labels"),
    [
        ("goemotions.v1", "Thanks a lot!", ["gratitude"]),
        ("sentiment3.v1", "Thanks a lot!", ["positive"]),
        ("goemotions_sentiment4.v1", "What do you mean? I am confused.", ["ambiguous"]),
        ("meld7.v1", "I am so sad about this", ["sadness"]),
        ("dailydialog7.v1", "We meet at five.", ["no emotion"]),
        ("ferplus8.v1", "I am terrified of spiders", ["fear"]),
        ("plutchik8.v1", "I love you", ["joy", "trust"]),
        ("leia5.v1", "I love you", ["affection"]),
        ("parrott.v1", "I am so embarrassed", ["embarrassment"]),
        ("shaver6.v1", "I love you", ["love"]),
    ],
)
def test_other_taxonomies(taxonomy, text, labels):
    proposal = propose("offline", text, make_labels(taxonomy))
    assert proposal.values == {"emotion": labels}
    assert proposal.model == "offline-ngrams.v1"


@pytest.mark.parametrize("taxonomy", sorted(list_assets("schemas/taxonomies", suffix=".yaml"))[::4])
def test_proposals_use_labels_of_the_taxonomy_only(taxonomy):
    labels = make_labels(taxonomy)
    for text in ("I am so angry and sad!", "We meet at five.", "Thanks!", "rage, fear, joy"):
        for name in NAMES:
            for proposal in (propose(name, text, labels), propose(name, text, make_labels(taxonomy, multiple=False))):
                labels.check_record(proposal.values | {"emotion": proposal.values.get("emotion")})
                scores = proposal.scores.get("emotion", {})
                assert set(scores) <= set(labels.fields["emotion"].labels)
                assert all(0 <= score <= 1 for score in scores.values())
                assert proposal.outcome == ("ok" if proposal.values else "abstained")


def test_emotions_without_a_label_in_the_taxonomy_are_left_out():
    for multiple in (True, False):
        assert propose("offline", "We meet at five.", make_labels("ekman6.v1", multiple=multiple)).values == {}
        assert propose("offline", "Why is that?", make_labels("sentiment3.v1", multiple=multiple)).values == {}


def test_the_label_of_absence_is_proposed_alone():
    for text in ("ok", "Sure.", "I guess so, thanks", "Why?", "hm, nice"):
        chosen = propose("offline", text, make_labels()).values["emotion"]
        assert "neutral" not in chosen or chosen == ["neutral"]


def test_taxonomies_without_a_map_fall_back_to_the_lexicon():
    proposal = propose("offline", "I feel so lonely and so very jealous", make_labels("empatheticdialogues32.v1"))
    assert proposal.values == {"emotion": ["jealous", "lonely"]}
    assert proposal.model == "offline-lexicon.v2"


def test_taxonomies_in_the_recipes_folder(tmp_path):
    folder = tmp_path / "schemas" / "taxonomies"
    folder.mkdir(parents=True)
    taxonomy = (
        "taxonomy: moods.v1\ntitle: Moods\nlabels: [angry, sick, scared, glad, blue, startled, flat]\n"
        "maps:\n  ekman7.v1:\n    kind: one_to_one\n    lossy: false\n    labels: {angry: anger, sick: disgust, "
        "scared: fear, glad: happiness, blue: sadness, startled: surprise, flat: neutral}\n"
    )
    (folder / "moods.v1.yaml").write_text(taxonomy)
    field = Category(name="mood", type="category", taxonomy=load_taxonomy("moods.v1", tmp_path))
    labels = LabelSchema(name="mine.v1", unit="post", fields={"mood": field})
    item = {"text": "Thank you so much!", "language": "en"}
    labeller = open_offline("offline", tmp_path)
    assert labeller.propose(item, labels).values == {"mood": "glad"}
    assert open_offline("offline").propose(item, labels).values == {}
    assert set(labeller.assets(labels)) - set(open_offline("offline").assets(labels)), "the map counts"


def test_fields_that_text_cannot_decide_are_left_out():
    more = {
        "arousal": make_scale("arousal"),
        "intensity": make_scale("intensity", 1, 5, level="ordinal"),
        "description": Text(name="description", type="text", max_chars=100),
        "causes": Spans(name="causes", type="spans", over="utterance", taxonomy=load_taxonomy("cause_types.v1")),
        "box": Boxes(name="box", type="boxes", over="image", taxonomy=load_taxonomy("face_box.v1")),
    }
    emotion = make_labels().fields["emotion"]
    for name in NAMES:
        for field_name, field in more.items():
            units = "image" if field_name == "box" else "utterance"
            labels = LabelSchema(name="mine.v1", unit=units, fields={"emotion": emotion, field_name: field})
            assert set(propose(name, "What a joy, thank you!", labels).values) <= {"emotion"}
    graded = load_labels("post_writer.v1")
    assert set(propose("offline", "What a joy!", graded).values) == {"polarity"}


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("text", [None, "", " \n\t "])
def test_items_without_text(name, text):
    proposal = propose(name, text, make_labels(valence=make_scale("valence")), None)
    assert (proposal.values, proposal.scores, proposal.outcome) == ({}, {}, "abstained")


def test_other_languages():
    labels = make_labels("sentiment3.v1", valence=make_scale("valence"), subjectivity=make_scale("subjectivity", 0))
    for text, language in (("Das ist ja great gemacht", "de"), ("我很高兴", None), ("Я так рад", None)):
        assert propose("vader", text, labels, language).outcome == "abstained"
        assert propose("textblob", text, labels, language).outcome == "abstained"
    assert propose("offline", "Ich freue mich so", labels, "de").outcome == "abstained"
    proposal = propose("offline", "Das ist ja great gemacht", labels, "de")
    assert (proposal.values, proposal.model) == ({"emotion": ["positive"]}, "offline-lexicon.v2")


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("Ich freue mich so", "de"),
        ("Der Bus fährt um neun", "de"),
        ("我很高兴", None),
        ("Я так рад", None),
        ("we meet", "nl"),
    ],
)
def test_missing_words_mean_nothing_in_other_languages(text, language):
    proposal = propose("lexicon", text, make_labels(), language)
    assert (proposal.values, proposal.outcome) == ({}, "abstained")
    assert "not in English" in proposal.detail
    assert propose("lexicon", "We meet at five.", make_labels(), "en").values == {"emotion": ["neutral"]}
    with_word = propose("lexicon", f"{text} happy", make_labels(), language)
    assert (with_word.values, with_word.detail) == ({"emotion": ["happiness"]}, ""), "a word that is found counts"
    assert propose("lexicon", " ", make_labels(), language).detail == ""


FOREIGN = (
    "Oh nein!|Gute Nacht|Danke schön|Verdammt!|Ich hasse dich|C'est bon|Merci bien|Je t'aime|Tais-toi!|Muy bien|"
    "Lo siento|Estoy mal|Ti amo|Che bello|Grazie|Obrigado|Heel goed|Jag mår bra|Kocham cię|Çok güzel|Kiitos|"
    "Wunderbar|Scheiße|Hurra"
)
ENGLISH = (
    "Oh no!|Wow, no way!|ok|Sure.|Why?|hm, nice|lol|Thanks!|I hate it|So sad|Gross|Ew|Yay!|Stop it|We won!|I'm fine|"
    "Damn|Awesome|Ugh|Love it|Sorry|Shut up|Ouch!|Hell yeah|So glad|WHAT?!|don’t!"
)


@pytest.mark.parametrize("model", ["offline", "lexicon", "vader", "textblob"])
def test_short_texts_of_unknown_language_are_judged_only_if_english(model):
    labels = make_labels("sentiment3.v1") if model in ("vader", "textblob") else make_labels()
    items = [{"text": text, "language": None} for text in (*FOREIGN.split("|"), *ENGLISH.split("|"))]
    proposals = open_offline(model).propose_many(items, labels)
    foreign = len(FOREIGN.split("|"))
    assert [items[n]["text"] for n in range(foreign) if proposals[n].values] == []
    assert {proposal.outcome for proposal in proposals[:foreign]} == {"abstained"}
    assert all(english_text_of(item) for item in items[foreign:])


def test_valence_is_left_to_vader():
    labels = make_labels(valence=make_scale("valence", 1, 9))
    proposal = propose("offline", "I am so happy that you came!", labels)
    alone = propose("vader", "I am so happy that you came!", labels)
    assert proposal.values["valence"] == alone.values["valence"] > 6
    assert proposal.model == f"offline-ngrams.v1 (emotion), {alone.model} (valence)"
    assert alone.model.startswith("vader-3.")
    assert alone.values.keys() == {"valence"}


_WORDS = (
    *("good", "AWFUL", "no", "not", "isn't", "never", "so", "this", "without", "doubt", "but", "kind", "of", "least"),
    *(
        "at",
        "very",
        "VERY",
        "sort",
        "the",
        "bomb",
        "bad",
        "ass",
        "die",
        "for",
        "to",
        "yeah",
        "right",
        "great!!",
        "ok??",
    ),
    *(":)", "😁", "happy", "film", "less", "just", "enough", "or", "nor", "hate.", "Wow,"),
)

_VADER = SentimentIntensityAnalyzer()


@given(st.lists(st.sampled_from(_WORDS), max_size=14))
@settings(max_examples=500, deadline=None)
def test_scores_are_those_of_vader_itself(words):
    text = " ".join(words)
    assert VaderLabeller().polarity(text) == _VADER.polarity_scores(text)["compound"]


@pytest.mark.parametrize("name", ["vader", "textblob"])
def test_polarity(name):
    scales = {
        "valence": make_scale("valence"),
        "polarity": make_scale("polarity", 0, 100),
        "mood": make_scale("mood"),
        "ranked": make_scale("ranked", 1, 5, level="ordinal"),
    }
    labels = make_labels("sentiment3.v1", multiple=False, **scales)
    good = propose(name, "This is a great, wonderful film", labels)
    bad = propose(name, "This isn’t great, it is a terrible, awful film", labels)
    flat = propose(name, "The bus leaves at nine", labels)
    assert good.values.keys() == {"emotion", "valence", "polarity"}
    assert [proposal.values["emotion"] for proposal in (good, bad, flat)] == ["positive", "negative", "neutral"]
    assert good.values["valence"] > 0.5 > -0.3 > bad.values["valence"]
    assert good.values["polarity"] == pytest.approx(50 + 50 * good.values["valence"], abs=1)
    assert (flat.values["valence"], flat.values["polarity"]) == (0, 50)
    assert good.scores == {}


def test_subjectivity_is_left_to_textblob():
    labels = make_labels(subjectivity=make_scale("subjectivity", 0, 1))
    assert propose("textblob", "I think it is a horrible idea", labels).values["subjectivity"] > 0.7
    assert propose("textblob", "The bus leaves at nine", labels).values == {"subjectivity": 0.0}
    assert "subjectivity" not in propose("vader", "I think it is a horrible idea", labels).values
    assert "subjectivity" not in propose("offline", "I think it is a horrible idea", labels).values


def test_textblob_needs_no_corpora_and_no_network(tmp_path):
    code = (
        "import socket\n"
        "def no(*a, **k): raise AssertionError('network')\n"
        "socket.socket.connect = socket.create_connection = socket.getaddrinfo = no\n"
        "from curate.labels import load_labels\nfrom curate.llm.labellers import open_offline\n"
        "item = {'text': 'A good day. Really?', 'language': 'en'}\n"
        "for name in ('offline', 'lexicon', 'vader', 'textblob'):\n"
        "    print(open_offline(name).propose(item, load_labels('utterance_emotion.v1')).outcome)\n"
    )
    home = {"HOME": str(tmp_path), "NLTK_DATA": str(tmp_path), "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=home, cwd=tmp_path)
    assert done.stdout.split() == ["ok"] * 4, done.stderr
    assert list(tmp_path.iterdir()) == []


HOSTILE = {
    "ten megabytes": "I am so happy! " * 700_000,
    "one word": "x" * 5_000_000,
    "emoji": "😂" * 100_000,
    "accents on accents": "e" + "\u0301" * 100_000,
    "grows when normalised": "\ufdfa" * 100_000,
    "half a surrogate": "happy \ud83d day",
    "nul": "\0" * 1000,
    "brackets": "(" * 100_000,
    "but": "but " * 100_000,
    "right to left": "\u202ehappy\u202c سعيد",
    "not": "not " * 50_000,
}


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
def test_hostile_texts(text):
    labels = load_labels("utterance_emotion.v1")
    for name in NAMES:
        proposal = propose(name, text, labels)
        full = {"emotion": ["neutral"], "valence": 0.0}
        labels.check_record({**full, **proposal.values})


@settings(max_examples=20)
@given(st.lists(st.text(max_size=60), min_size=1, max_size=8), st.sampled_from([None, "en", "de"]))
def test_a_batch_equals_its_items(texts, language):
    labels = load_labels("utterance_emotion.v1")
    items = [{"text": text, "language": language} for text in texts]
    for name in NAMES:
        labeller = open_offline(name)
        proposals = labeller.propose_many(items, labels)
        assert proposals == [labeller.propose(item, labels) for item in items]
        assert proposals == labeller.propose_many(items, labels)


def test_nothing_to_propose():
    assert open_offline("offline").propose_many([], make_labels()) == []


def test_long_texts_are_cut_at_the_same_character_in_any_batch():
    long = "so happy " * 3000
    model = emotion_model()
    alone = model.probabilities([long])
    assert (model.probabilities(["sad", long, "sad"] * 20)[1::3] == alone).all()
    assert (model.probabilities([long[:MAX_CHARS] + " terrible"]) == alone).all()


def test_n_grams_counted_by_hand():
    word, pair, negated = (set(count_ngrams([text]).buckets.tolist()) for text in ("ab", "ab cd", "not ab"))
    assert len(word) == 4, "' ab', 'ab ', ' ab ' and the word"
    assert word < pair
    assert len(pair - word) == 5, "the same of cd, and the pair"
    assert not word & negated, "what is negated has another word and no letters"
    assert len(count_ngrams([" ", ""]).buckets) == 0
    assert max(pair) < BUCKETS
    again = count_ngrams(["ab ab"])
    assert sorted(again.counts.tolist()) == [1, 2, 2, 2, 2]


def test_the_weights_are_small_and_contain_no_objects():
    packed = resources.files("curate.llm.labellers").joinpath("goemotions.v1.npz")
    assert 100_000 < len(packed.read_bytes()) <= 3_000_000
    with packed.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
        kinds = {name: arrays[name].dtype for name in arrays}
        assert arrays["weights"].shape == (len(arrays["bucket_steps"]), 28)
        assert arrays["bucket_steps"].astype(np.int64).sum() < BUCKETS
    assert kinds["weights"] == np.int8
    assert (emotion_model().thresholds > 0).all()
    assert not [name for name, kind in kinds.items() if kind.hasobject]
    assert emotion_model().labels == load_taxonomy(SOURCE).names


def test_scores_change_only_with_the_name():
    """Changed weights or n-grams need a new labeller name, or old rows would pass for new ones."""
    packed = resources.files("curate.llm.labellers").joinpath("goemotions.v1.npz").read_bytes()
    model = emotion_model()
    (row,) = model.probabilities(["What do you mean? I’m not happy 😂"])
    scores = {label: round(float(score), 2) for label, score in zip(model.labels, row, strict=True) if score >= 0.2}
    assert (open_offline("offline").name, hashlib.sha256(packed).hexdigest()[:8], scores) == GOLDEN


def test_f1_on_goemotions(shared_data):
    """Macro-F1 of Ekman's six and neutral on the test split, with thresholds from the dev split."""
    folder = shared_data / "goemotions"
    model = emotion_model()
    taxonomy_map = load_map(SOURCE, "ekman7.v1")
    mapped = mapped_labels(taxonomy_map)
    becomes = np.array(
        [[target in taxonomy_map.weights[name] for target in taxonomy_map.target.names] for name in model.labels]
    )
    chances, truth = {}, {}
    for split in ("dev", "test"):
        texts, fine = read_split(folder, split, len(model.labels))
        chances[split] = mapped.map_probabilities(model.probabilities(texts))[0]
        truth[split] = fine @ becomes > 0
    thresholds = best_thresholds(chances["dev"], truth["dev"])
    assert f1_scores(chances["test"] >= thresholds, truth["test"]).mean() >= 0.57
    assert f1_scores(chances["test"] >= mapped.thresholds, truth["test"]).mean() >= 0.57
    assert abs(chances["test"].mean() - truth["test"].mean()) < 0.02, "scores are probabilities"


@pytest.mark.parametrize("name", NAMES)
def test_stage(name, tmp_path):
    tools = Tools(Blobs(tmp_path), load_labels("utterance_emotion.v1"), tmp_path)
    texts = ["I am so happy!", None, "Ich bin so happy"]
    batch = pa.table({"item_id": ["a", "b", "c"], "text": texts, "language": ["en", None, "de"]})
    stage = Prelabel(stage="prelabel", model=name)
    rows = stage.apply(batch, tools).dicts("prelabels")
    assert [row["item_id"] for row in rows] == ["a", "b", "c"]
    assert {row["labeller"] for row in rows} == {name}
    by_words = name in {"offline", "lexicon"}
    assert [row["outcome"] for row in rows] == ["ok", "abstained", "ok" if by_words else "abstained"]
    assert [row.get("emotion") for row in rows] == ([["happiness"], None, ["happiness"]] if by_words else [None] * 3)
    assert ("valence" in rows[0]) == (name != "lexicon")
    assert len({row["prelabel_id"] for row in rows}) == 3
    assert "lexicon" not in rows[2]["model"] or by_words
    identities = {Prelabel(stage="prelabel", model=other_name).identity(tools) for other_name in NAMES}
    assert len(identities) == len(NAMES)
