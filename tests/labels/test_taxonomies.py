"""Taxonomies and the maps between them: the shipped ones against the literature, and everything that can be wrong."""

import csv
import json
import time
from collections.abc import Iterable
from functools import cache
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from curate.assets import list_assets, shipped_folder
from curate.errors import InvalidInput
from curate.labels import load_taxonomy
from curate.labels.maps import TaxonomyMap, check_taxonomy, kind_of, load_map, rules_of
from curate.labels.taxonomy import Taxonomy, fold

SHIPPED = sorted(list_assets("schemas/taxonomies", suffix=".yaml"))
MAPPED = [(name, target) for name in SHIPPED for target in rules_of(load_taxonomy(name))]


def map_labels(mapping: TaxonomyMap, labels: Iterable[str]) -> list[str]:
    """What a set of labels becomes: each target label once, in the target's order."""
    return list(mapping.map_scores(dict.fromkeys(labels, 1.0)))


def words(text: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in text.split(","))


# In the order in which the corpora number or list them.
PUBLISHED = {
    "ekman6": "anger, disgust, fear, happiness, sadness, surprise",
    "ekman7": "anger, disgust, fear, happiness, sadness, surprise, neutral",
    "ekman7_contempt": "anger, disgust, fear, happiness, sadness, surprise, contempt",
    "shaver6": "anger, love, fear, joy, sadness, surprise",
    "plutchik8": "joy, trust, fear, surprise, sadness, disgust, anger, anticipation",
    "goemotions": "admiration, amusement, anger, annoyance, approval, caring, confusion, curiosity, desire, "
    "disappointment, disapproval, disgust, embarrassment, excitement, fear, gratitude, grief, joy, love, nervousness, "
    "optimism, pride, realization, relief, remorse, sadness, surprise, neutral",
    "goemotions_sentiment4": "positive, negative, ambiguous, neutral",
    "emonet40": "Amusement, Elation, Pleasure/Ecstasy, Contentment, Thankfulness/Gratitude, Affection, Infatuation, "
    "Hope/Enthusiasm/Optimism, Triumph, Pride, Interest, Awe, Astonishment/Surprise, Concentration, Contemplation, "
    "Relief, Longing, Teasing, Impatience and Irritability, Sexual Lust, Doubt, Fear, Distress, Confusion, "
    "Embarrassment, Shame, Disappointment, Sadness, Bitterness, Contempt, Disgust, Anger, Malevolence/Malice, "
    "Sourness, Pain, Helplessness, Fatigue/Exhaustion, Emotional Numbness, "
    "Intoxication/Altered States of Consciousness, Jealousy & Envy",
    "mikels8": "amusement, awe, contentment, excitement, anger, disgust, fear, sadness",
    "mer6": "neutral, angry, happy, sad, worried, surprise",
    "empatheticdialogues32": "afraid, angry, annoyed, anticipating, anxious, apprehensive, ashamed, caring, confident, "
    "content, devastated, disappointed, disgusted, embarrassed, excited, faithful, furious, grateful, guilty, hopeful, "
    "impressed, jealous, joyful, lonely, nostalgic, prepared, proud, sad, sentimental, surprised, terrified, trusting",
    "meld7": "neutral, surprise, fear, sadness, joy, disgust, anger",
    "emorynlp7": "Joyful, Mad, Neutral, Peaceful, Powerful, Sad, Scared",
    "iemocap4": "happy, sad, neutral, angry",
    "iemocap6": "happy, sad, neutral, angry, excited, frustrated",
    "msp9": "neutral, happy, sad, angry, contempt, surprise, disgust, fear, other",
    "iemocap10": "happy, sad, neutral, angry, excited, frustrated, fearful, surprised, disgusted, other",
    "iemocap11": "happy, sad, neutral, angry, excited, frustrated, fearful, surprised, disgusted, other, xxx",
    "dailydialog7": "no emotion, anger, disgust, fear, happiness, sadness, surprise",
    "semeval_ec11": "anger, anticipation, disgust, fear, joy, love, optimism, pessimism, sadness, surprise, trust",
    "cremad6": "anger, disgust, fear, happy, neutral, sad",
    "ravdess8": "neutral, calm, happy, sad, angry, fearful, disgust, surprised",
    "emodb7": "anger, boredom, disgust, fear, happiness, sadness, neutral",
    "ferplus8": "neutral, happiness, surprise, sadness, anger, disgust, fear, contempt",
    "ferplus10": "neutral, happiness, surprise, sadness, anger, disgust, fear, contempt, unknown, no face",
    "affectnet8": "neutral, happy, sad, surprise, fear, disgust, anger, contempt",
    "rafdb7": "surprise, fear, disgust, happiness, sadness, anger, neutral",
    "maha11": "happiness, sadness, respect, anger, fear, surprise, disgust, excitement, pride, sarcasm, neutral",
    "leia5": "happiness, affection, sadness, anger, fear",
    "sentiment3": "positive, neutral, negative",
    "cause_types": "no-context, inter-personal, self-contagion, hybrid, latent",
    "cexpr7": "Fearfully Surprised, Happily Surprised, Sadly Surprised, Disgustedly Surprised, Angrily Surprised, "
    "Sadly Fearful, Sadly Angry",
    "rafdb_compound11": "Happily Surprised, Happily Disgusted, Sadly Fearful, Sadly Angry, Sadly Surprised, "
    "Sadly Disgusted, Fearfully Angry, Fearfully Surprised, Angrily Surprised, Angrily Disgusted, "
    "Disgustedly Surprised",
    "facs": "AU0, AU1, AU2, AU4, AU5, AU6, AU7, AU8, AU9, AU10, AU11, AU12, AU13, AU14, AU15, AU16, AU17, AU18, AD19, "
    "AU20, AU21, AU22, AU23, AU24, AU25, AU26, AU27, AU28, AD29, AD30, AU31, AD32, AD33, AD34, AD35, AD36, AD37, AU38, "
    "AU39, AU43, AU45, AU46",
}
OF_FORMS = frozenset(
    (
        *("cause.v1", "emotion_causes.v1", "face_box.v1", "shown2.v1", "statement_truth.v1"),
        *("text_problems.v1", "text_usability.v1"),
    )
)
"""Taxonomies that a shipped form needs and that are no emotions of the literature."""
CODES = {
    "goemotions": " ".join(map(str, range(28))),
    "meld7": "0 1 2 3 4 5 6",
    "mer6": "0 1 2 3 4 5",
    "mikels8": "0 1 2 3 4 5 6 7",
    "affectnet8": "0 1 2 3 4 5 6 7",
    "dailydialog7": "0 1 2 3 4 5 6",
    "rafdb7": "1 2 3 4 5 6 7",
    "rafdb_compound11": "1 2 3 4 5 6 7 8 9 10 11",
    "ravdess8": "01 02 03 04 05 06 07 08",
    "cremad6": "A D F H N S",
    "emodb7": "W L E A F T N",
    "msp9": "N H S A C U D F O",
}
WHEEL = "serenity joy ecstasy, acceptance trust admiration, apprehension fear terror, distraction surprise amazement, "
WHEEL += "pensiveness sadness grief, boredom disgust loathing, annoyance anger rage, interest anticipation vigilance"
DYADS = """love=joy+trust submission=trust+fear awe=fear+surprise disapproval=surprise+sadness remorse=sadness+disgust
contempt=disgust+anger aggressiveness=anger+anticipation optimism=anticipation+joy guilt=joy+fear
curiosity=trust+surprise despair=fear+sadness unbelief=surprise+disgust envy=sadness+anger
cynicism=disgust+anticipation pride=anger+joy hope=anticipation+trust delight=joy+surprise
sentimentality=trust+sadness shame=fear+disgust outrage=surprise+anger pessimism=sadness+anticipation
morbidness=disgust+joy dominance=anger+trust anxiety=anticipation+fear"""
PARROTT = """love: affection: adoration fondness liking attraction caring tenderness compassion sentimentality
love: lust: arousal desire passion infatuation
love: longing:
joy: cheerfulness: amusement bliss gaiety glee jolliness joviality delight enjoyment gladness happiness jubilation
joy: cheerfulness: elation satisfaction ecstasy euphoria
joy: zest: enthusiasm zeal excitement thrill exhilaration
joy: contentment: pleasure
joy: pride: triumph
joy: optimism: eagerness hope
joy: enthrallment: rapture
joy: relief:
surprise: surprise (secondary): amazement astonishment
anger: irritation: aggravation agitation annoyance grouchiness grumpiness
anger: exasperation: frustration
anger: rage: outrage fury wrath hostility ferocity bitterness hate loathing scorn spite vengefulness dislike resentment
anger: disgust: revulsion contempt
anger: envy: jealousy
anger: torment:
sadness: suffering: agony hurt anguish
sadness: sadness (secondary): depression despair hopelessness gloom glumness unhappiness grief sorrow woe misery
sadness: sadness (secondary): melancholy
sadness: disappointment: dismay displeasure
sadness: shame: guilt regret remorse
sadness: neglect: alienation isolation loneliness rejection homesickness defeat dejection insecurity embarrassment
sadness: neglect: humiliation insult
sadness: sympathy: pity
fear: horror: alarm shock fright terror panic hysteria mortification
fear: nervousness: anxiety tenseness uneasiness apprehension worry distress dread"""


@pytest.mark.parametrize("name", PUBLISHED)
def test_labels_are_those_published(name):
    assert load_taxonomy(f"{name}.v1").names == words(PUBLISHED[name])


@pytest.mark.parametrize("name", CODES)
def test_codes_are_those_of_the_corpus(name):
    assert [label.code for label in load_taxonomy(f"{name}.v1").labels] == CODES[name].split()


def test_every_shipped_taxonomy_is_compared_with_its_publication():
    others = {"parrott.v1", "plutchik24.v1", "plutchik_dyads24.v1", "goemotions.v2"}
    assert {f"{name}.v1" for name in PUBLISHED} | others == set(SHIPPED) - OF_FORMS


def test_neutral_goes_with_other_labels_of_goemotions_as_in_the_data_set():
    first, second = load_taxonomy("goemotions.v1"), load_taxonomy("goemotions.v2")
    assert [(label.name, label.code) for label in first.labels] == [(label.name, label.code) for label in second.labels]
    assert first.compatible(["approval", "neutral"]) == ["approval"]
    assert second.compatible(["approval", "neutral"]) == ["approval", "neutral"]


def test_plutchiks_wheel():
    wheel, eight = load_taxonomy("plutchik24.v1"), load_taxonomy("plutchik8.v1")
    triples = [part.split() for part in words(WHEEL)]
    assert wheel.roots == eight.names == tuple(base for _, base, _ in triples)
    assert [wheel.children(base) for _, base, _ in triples] == [(mild, intense) for mild, _, intense in triples]
    opposites = {label.name: label.opposite for label in eight.labels}
    assert opposites | {"joy": "sadness", "trust": "disgust", "fear": "anger", "surprise": "anticipation"} == opposites
    for mild, base, intense in triples:
        other = next(triple for triple in triples if triple[1] == opposites[base])
        assert [wheel.require(name).opposite for name in (mild, base, intense)] == other


def test_dyads_lead_to_their_two_parts_and_stand_opposite_the_opposite_parts():
    dyads, eight = load_taxonomy("plutchik_dyads24.v1"), load_taxonomy("plutchik8.v1")
    expected = {name: set(parts.split("+")) for name, parts in (pair.split("=") for pair in DYADS.split())}
    mapping = load_map("plutchik_dyads24.v1", "plutchik8.v1")
    assert {name: set(mapping.map_label(name)) for name in dyads.names} == expected
    assert map_labels(mapping, ["love", "optimism"]) == ["joy", "trust", "anticipation"]
    for name, parts in expected.items():
        opposite = dyads.require(name).opposite
        assert expected[opposite] == {eight.require(part).opposite for part in parts}


def test_compounds_lead_to_their_two_parts():
    adverbs = {"Fearfully": "fear", "Happily": "happiness", "Sadly": "sadness", "Disgustedly": "disgust"}
    adjectives = {"Surprised": "surprise", "Fearful": "fear", "Angry": "anger", "Disgusted": "disgust"}
    for name in ("cexpr7.v1", "rafdb_compound11.v1"):
        mapping = load_map(name, "ekman6.v1")
        for label in mapping.source.names:
            adverb, adjective = label.split()
            expected = {{**adverbs, "Angrily": "anger"}[adverb], adjectives[adjective]}
            assert set(mapping.map_label(label)) == expected
    assert load_map("cexpr7.v1", "ekman7.v1").via == ("ekman6.v1",)


def test_parrotts_tree():
    tree = load_taxonomy("parrott.v1")
    lines = [tuple(part.strip() for part in line.split(":")) for line in PARROTT.splitlines()]
    assert tree.roots == tuple(dict.fromkeys(first for first, _, _ in lines))
    expected = {(first,) for first, _, _ in lines} | {(first, second) for first, second, _ in lines}
    expected |= {(first, second, third) for first, second, rest in lines for third in rest.split()}
    assert {tree.path(name) for name in tree.names} == expected
    assert map_labels(load_map("parrott.v1", "shaver6.v1"), ["glee", "revulsion", "woe"]) == ["anger", "joy", "sadness"]
    assert load_map("parrott.v1", "ekman7.v1").map_label("revulsion") == ("disgust",)


def test_goemotions_become_the_ekman_release_of_the_data_set(shared_data):
    folder = shared_data / "goemotions"
    mapping = load_map("goemotions.v1", "ekman7.v1")
    by_code = {label.code: label.name for label in mapping.source.labels}
    # The data set says joy where the taxonomy says happiness.
    own = [w.replace("joy", "happiness") for w in (folder / "ekman" / "labels.txt").read_text().split()]
    rows = 0
    for split in ("train", "dev", "test"):
        for (_, ids, key), (_, expected, other) in zip(
            _tsv(folder / f"{split}.tsv"), _tsv(folder / "ekman" / f"{split}.tsv"), strict=True
        ):
            assert key == other
            mapped = map_labels(mapping, (by_code[code] for code in ids.split(",")))
            assert set(mapped) == {own[int(at)] for at in expected.split(",")}, (split, key)
            rows += 1
    assert rows == 54_263


def test_goemotions_groupings_are_those_of_the_data_set(shared_data):
    published = json.loads((shared_data / "goemotions" / "sentiment_dict.json").read_text())
    mapping = load_map("goemotions.v1", "goemotions_sentiment4.v1")
    grouped = {g: {n for n in mapping.source.names if mapping.map_label(n) == (g,)} for g in published}
    assert grouped == {group: set(names) for group, names in published.items()}


def test_emonet_synonyms_are_those_of_the_guide(shared_data):
    guide = json.loads((shared_data / "emonet_face" / "guide.json").read_text())["options"]["labels"]
    taxonomy = load_taxonomy("emonet40.v1")
    assert tuple(guide) == taxonomy.names
    for label, synonyms in guide.items():
        for word in synonyms:
            assert label in taxonomy.labels_for(word) or fold(word) in map(fold, taxonomy.names), (label, word)


def _tsv(path: Path):
    with path.open(encoding="utf-8", newline="") as file:
        yield from csv.reader(file, delimiter="\t", quoting=csv.QUOTE_NONE)


@pytest.mark.parametrize("name", SHIPPED)
def test_every_shipped_taxonomy_is_whole(name):
    taxonomy = check_taxonomy(shipped_folder("schemas") / "taxonomies" / f"{name}.yaml")
    assert taxonomy.source or name in {"sentiment3.v1", *OF_FORMS}
    colors = [label.color.lower() for label in taxonomy.labels if label.color]
    assert len(colors) == len(set(colors))
    assert len(colors) == len(taxonomy.labels) or taxonomy.roots != taxonomy.names
    keys = [label.hotkey for label in taxonomy.labels if label.hotkey]
    assert len(keys) == len(set(keys))
    assert len(keys) == len(taxonomy.labels) or len(taxonomy.labels) > 36 or name in OF_FORMS
    assert sum(label.absence for label in taxonomy.labels) <= 1
    for label in taxonomy.labels:
        assert label.definition or taxonomy.children(name) == ()
        assert not {fold(word) for word in label.synonyms} & {fold(other) for other in taxonomy.names} - {
            fold(label.name)
        }, "a synonym that is another label's name would never be reached"


@pytest.mark.parametrize("name", SHIPPED)
def test_every_emotion_taxonomy_reaches_the_basic_emotions_and_sentiment(name):
    if name in {"cause_types.v1", "facs.v1", *OF_FORMS}:
        assert rules_of(load_taxonomy(name)) == {}
        return
    for target in ("ekman7.v1", "sentiment3.v1"):
        if name != target and not name.startswith(("sentiment", "goemotions_sentiment")):
            mapping = load_map(name, target)
            assert set(mapping.weights) == set(mapping.source.names)


def test_some_maps_by_hand():
    assert map_labels(load_map("meld7.v1", "ekman7.v1"), ["joy", "neutral"]) == ["happiness", "neutral"]
    back = load_map("ekman7.v1", "meld7.v1")
    assert back.map_label("happiness") == ("joy",)
    assert not back.one_way
    assert not back.lossy
    chain = load_map("ravdess8.v1", "sentiment3.v1")
    assert chain.via == ("ekman7.v1",)
    assert (chain.kind, chain.lossy, chain.one_way) == ("many_to_one", True, True)
    assert chain.map_label("calm") == ("neutral",)
    assert chain.map_label("surprised") == ()
    assert map_labels(chain, ["surprised"]) == []
    assert map_labels(load_map("mikels8.v1", "sentiment3.v1"), ["awe", "fear"]) == ["positive", "negative"]
    assert load_map("iemocap6.v1", "iemocap4.v1").dropped == ("frustrated",)
    assert load_map("ferplus8.v1", "affectnet8.v1").map_label("happiness") == ("happy",)
    assert load_map("ekman6.v1", "ekman7.v1").unreached == ("neutral",)
    same = load_map("mer6.v1", "mer6.v1")
    assert (same.via, same.one_way, map_labels(same, ["sad", "angry"])) == ((), False, ["angry", "sad"])


def test_scores():
    mapping = load_map("goemotions.v1", "ekman7.v1")
    scores = {"joy": 0.5, "love": 0.25, "fear": 0.25}
    assert mapping.map_scores(scores) == {"fear": 0.25, "happiness": 0.5}
    assert list(mapping.map_scores(scores)) == ["fear", "happiness"]
    assert mapping.map_scores(scores, combine="sum") == {"fear": 0.25, "happiness": 0.75}
    dyads = load_map("plutchik_dyads24.v1", "plutchik8.v1")
    assert dyads.map_scores({"love": 0.5}, combine="sum") == {"joy": 0.25, "trust": 0.25}
    assert dyads.map_scores({"love": 0.5}) == {"joy": 0.5, "trust": 0.5}
    with pytest.raises(ValueError, match=r"'rage' is not a label of goemotions\.v1"):
        mapping.map_scores({"rage": 1.0})


def test_no_map_leads_there():
    with pytest.raises(InvalidInput, match=r"no map leads from parrott\.v1 to facs\.v1; .* lead to .*shaver6\.v1"):
        load_map("parrott.v1", "facs.v1")
    with pytest.raises(InvalidInput, match=r"named 'ekman9\.v1'"):
        load_map("parrott.v1", "ekman9.v1")


cached_map = cache(load_map)


@given(st.sampled_from(MAPPED).flatmap(lambda p: st.tuples(st.just(p), st.lists(st.sampled_from(load(p[0]).names)))))
def test_a_set_of_labels_maps_as_a_set(case):
    pair, labels = case
    mapping = cached_map(*pair)
    mapped = map_labels(mapping, labels)
    assert mapped == [name for name in mapping.target.names if name in mapped]
    assert map_labels(mapping, labels * 2) == map_labels(mapping, reversed(labels)) == mapped
    assert set(mapped) == {target for label in labels for target in mapping.map_label(label)}
    assert list(mapping.map_scores(dict.fromkeys(labels, 0.5))) == mapped


@given(
    st.sampled_from([n for n in SHIPPED if n not in {"facs.v1", "cause_types.v1", "sentiment3.v1", *OF_FORMS}]).flatmap(
        lambda name: st.dictionaries(st.sampled_from(load(name).names), st.floats(0, 1)).map(lambda s: (name, s))
    )
)
def test_a_chain_is_its_steps_one_after_the_other(case):
    name, scores = case
    whole = cached_map(name, "sentiment3.v1")
    way = (name, *whole.via, "sentiment3.v1")
    for combine in ("max", "sum"):
        step_by_step = scores
        for one, other in pairwise(way):
            step_by_step = cached_map(one, other).map_scores(step_by_step, combine=combine)
        assert whole.map_scores(scores, combine=combine) == pytest.approx(step_by_step)
    assert whole.lossy == any(cached_map(one, other).lossy for one, other in pairwise(way))


@given(st.dictionaries(st.sampled_from("abcdef"), st.sets(st.sampled_from("uvwxyz"), max_size=3), min_size=1))
def test_kind_counts_what_becomes_what(labels):
    kind = kind_of({name: tuple(targets) for name, targets in labels.items()})
    sources = {t: [n for n, targets in labels.items() if t in targets] for t in "uvwxyz"}
    assert kind.startswith("many") == any(len(names) > 1 for names in sources.values())
    assert kind.endswith("many") == any(len(targets) > 1 for targets in labels.values())


load = cache(load_taxonomy)


def test_synonyms_are_found_whatever_the_case_accents_and_spaces():
    text = {"taxonomy": "t.v1", "title": "T", "labels": [
        {"name": "joie", "synonyms": ["gaîté", "fed up", "glad"]},
        {"name": "fâché", "synonyms": ["fed-up", "sauer"]},
        {"name": "が", "synonyms": ["दुःख"]},
        {"name": "か", "synonyms": ["दख"]},
        {"name": "Glad"},
    ]}  # fmt: skip
    taxonomy = Taxonomy.model_validate(text)
    assert taxonomy.labels_for("GAITE") == ("joie",)
    assert taxonomy.labels_for("  Fache ") == ("fâché",)
    assert taxonomy.labels_for("Fed  Up") == ("joie", "fâché")
    assert taxonomy.labels_for("glad") == ("Glad",), "a name goes before a synonym"
    assert taxonomy.labels_for("が") == ("が",)
    assert taxonomy.labels_for("दुःख") == ("が",), "vowel signs are letters"
    assert taxonomy.labels_for("nothing") == taxonomy.labels_for("") == ()
    assert taxonomy.ambiguous == {"fed up": ("joie", "fâché")}


names = st.text(st.characters(exclude_categories=("Cs", "Cc", "Zs", "Zl", "Zp")), min_size=1, max_size=12)
folded = st.lists(names, min_size=1, max_size=12, unique_by=lambda n: fold(n) or n)


@given(folded, st.data())
def test_names_of_any_script_and_random_trees(labels, data):
    given = [
        {"name": name, "parent": data.draw(st.sampled_from([None, *labels[:at]]))} for at, name in enumerate(labels)
    ]
    taxonomy = Taxonomy.model_validate({"taxonomy": "t.v1", "title": "T", "labels": given})
    assert taxonomy.names == tuple(labels)
    assert Taxonomy.model_validate_json(taxonomy.model_dump_json()) == taxonomy
    for label in taxonomy.labels:
        assert taxonomy.labels_for(label.name) == (label.name,)
        path = taxonomy.path(label.name)
        assert path[-1] == label.name
        assert path[0] in taxonomy.roots
        assert label.parent is None or label.name in taxonomy.children(label.parent)


HOSTILE = ['A & B <x> "y"', "怒り", "${x}", "a'b", "--", "غضب", "]]>", "e\u0301", "a" * 100, "x, y", "tax.v1:z", "😀"]


def write(folder: Path, text: str, name: str = "mine.v1") -> Path:
    path = folder / f"{name}.yaml"
    path.write_text(f"taxonomy: {name}\ntitle: Mine\n{text}", encoding="utf-8")
    return path


def test_hostile_names_survive(tmp_path):
    path = write(tmp_path, f"labels: {json.dumps(HOSTILE, ensure_ascii=False)}\n")
    assert check_taxonomy(path).names == tuple(HOSTILE)
    assert load_taxonomy("mine.v1", tmp_path).names == tuple(HOSTILE)


def test_a_thousand_labels_are_fast(tmp_path):
    many = [
        {"name": f"label {n}", "parent": f"label {n - 1}" if n % 50 else None, "synonyms": [f"s{n}"]}
        for n in range(1000)
    ]
    rule = {"kind": "many_to_one", "lossy": True, "labels": {f"label {n}": "anger" for n in range(0, 1000, 50)}}
    path = write(tmp_path, f"labels: {json.dumps(many)}\nmaps: {json.dumps({'ekman7.v1': rule})}\n")
    started = time.perf_counter()
    check_taxonomy(path)
    taxonomy = load_taxonomy("mine.v1", tmp_path)
    mapping = load_map("mine.v1", "ekman7.v1", tmp_path)
    assert all(taxonomy.labels_for(f"S{n}") == (f"label {n}",) for n in range(1000))
    assert map_labels(mapping, taxonomy.names) == ["anger"]
    assert len(taxonomy.path("label 999")) == 50
    assert time.perf_counter() - started < 20, "seconds on a busy machine; it takes about two"


def test_a_label_a_thousand_levels_deep(tmp_path):
    deep = [{"name": f"l{n}", **({"parent": f"l{n - 1}"} if n else {})} for n in range(1500)]
    taxonomy = Taxonomy.model_validate({"taxonomy": "t.v1", "title": "T", "labels": deep})
    assert len(taxonomy.path("l1499")) == 1500


def test_own_taxonomy_wins_and_its_maps_are_used(tmp_path):
    write(
        tmp_path,
        "labels: [joy, gloom]\nmaps:\n"
        "  ekman7.v1: {kind: one_to_one, lossy: false, labels: {joy: happiness, gloom: sadness}}\n",
    )
    mapping = load_map("mine.v1", "sentiment3.v1", tmp_path)
    assert mapping.via == ("ekman7.v1",)
    assert map_labels(mapping, ["gloom", "joy"]) == ["positive", "negative"]
    (tmp_path / "taxonomies").mkdir()
    write(tmp_path / "taxonomies", "labels: [anger, bliss]\n", "ekman7.v1")
    assert load_taxonomy("ekman7.v1", tmp_path).names == ("anger", "bliss")
    with pytest.raises(InvalidInput) as caught:
        load_map("mine.v1", "ekman7.v1", tmp_path)
    assert (
        "mine.v1.yaml:5: joy -> happiness is a dead end: 'happiness' is not a label of ekman7.v1"
        in caught.value.problems[0]
    )


def test_a_broken_taxonomy_aside_does_not_stop_a_map(tmp_path):
    (tmp_path / "taxonomies").mkdir()
    write(tmp_path / "taxonomies", "labels: []\n", "broken.v1")
    assert load_map("ravdess8.v1", "sentiment3.v1", tmp_path).via == ("ekman7.v1",)
    with pytest.raises(InvalidInput) as caught:
        load_map("ravdess8.v1", "facs.v1", tmp_path)
    assert "broken.v1.yaml:3: " in caught.value.problems[0]


MAP = "maps:\n  ekman7_contempt.v1:\n    kind: {kind}\n    lossy: {lossy}\n    labels:\n{labels}"


def _map(
    labels: str, *, kind: str = "many_to_one", lossy: str = "true", names: str = "upset, disappointed, sad, weary"
) -> str:
    lines = "".join(f"      {line.strip()}\n" for line in labels.split(";"))
    return f"labels: [{names}]\n" + MAP.format(kind=kind, lossy=lossy, labels=lines)


@pytest.mark.parametrize(
    ("text", "line", "says"),
    [
        ("labels: [joy, joy]\n", 3, "labels 'joy' and 'joy' are given twice; remove or rename one"),
        ("labels:\n  - joy\n  - Joy\n", 5, "labels 'joy' and 'Joy' are the same but for case or spaces"),
        ("labels:\n  - so sad\n  - so  sad\n", 5, "are the same but for case or spaces"),
        ("labels:\n  - \"e\\u0301\"\n  - é\n", 5, "are the same but for case or spaces"),
        ("labels: [' joy']\n", 3, "label ' joy' begins or ends with a space; remove it"),
        ('labels: ["a\\nb"]\n', 3, "contains a control character or a line break; remove it"),
        ('labels: ["a\\0b"]\n', 3, "contains a control character"),
        ("labels: [\"\\ud83d\\ude00\"]\n", 3, "half of a character (\\ud8…), which YAML does not join; write it out"),
        ("labels: []\n", 3, "labels needs at least 1 entry"),
        ("labels:\n  - joy\n  - no\n", 5, "read as False by YAML; put the word in quotes"),
        ("labels:\n  - joy\n  - 3\n", 5, "read as 3 by YAML; put the word in quotes"),
        ("labels:\n  - name: a\n    synonyms: [off]\n", 5, "read as False by YAML"),
        ("labels:\n  - {name: a, parent: b}\n  - {name: c}\n", 4, "parent 'b' of 'a' is not a label here; valid: a, c"),
        ("labels:\n  - {name: a, parent: b}\n  - {name: b, parent: c}\n  - {name: c, parent: a}\n", 4,
         "parents run in a circle: a > b > c > a; remove one of them"),
        ("labels:\n  - {name: a, parent: a}\n", 4, "parents run in a circle: a > a"),
        ("labels:\n  - {name: a, opposite: b}\n", 4, "opposite 'b' is not a label here"),
        ("labels:\n  - {name: a, opposite: a}\n", 4, "'a' is its own opposite"),
        ("labels:\n  - {name: a, opposite: b}\n  - {name: b}\n", 4,
         "its opposite is 'b', which has none; opposites are mutual"),
        ("labels:\n  - {name: a, opposite: b}\n  - {name: b, opposite: c}\n  - {name: c, opposite: b}\n", 4,
         "which says 'c'"),
        ("labels:\n  - {name: a, hotkey: x}\n  - {name: b, hotkey: x}\n", 5, "hotkey x belongs to 'a' already"),
        ("labels:\n  - {name: a, color: red}\n", 4, "color is 'red'; allowed is #[0-9a-fA-F]{6}"),
        ("labels:\n  - {name: a, valence: 2}\n", 4, "valence must be at most 1, not 2"),
        ("labels:\n  - {name: a, valence: .nan}\n", 4, "valence must be a finite number, not nan"),
        ("labels:\n  - {name: a, valence: 1}\n", 4, "name their source as `vad_source` at the top"),
        ("labels:\n  - {name: a, composed_of: [b]}\n", 4, "'b' is not a label here"),
        ("labels:\n  - {name: a, composed_of: [a]}\n", 4, "'a' is composed of itself"),
        ("labels:\n  - {name: a, composed_of: ['ekman6.v1:joy']}\n", 4, "'joy' is not a label of ekman6.v1"),
        ("labels:\n  - {name: a, composed_of: ['ekman66.v1:joy']}\n  - b\n", 4,
         "named 'ekman66.v1'; did you mean ekman6.v1?"),
        ("labels:\n  - {name: a, colour: red}\n", 4, "colour is not a setting of labels; did you mean color?"),
        ("labels: [a]\nmaps:\n  mine.v1: {kind: one_to_one, lossy: false, labels: {a: a}}\n", 5, "maps to itself"),
        ("labels: [a]\nmaps:\n  ekman66.v1: {kind: one_to_one, lossy: false, labels: {a: a}}\n", 5,
         "did you mean ekman6.v1?"),
        ("labels: [a]\nmaps:\n  Ekman: {kind: one_to_one, lossy: false, labels: {a: a}}\n", 5, "Ekman"),
        ("labels: [a]\nmaps:\n  ekman6.v1: {lossy: false, labels: {a: anger}}\n", 5, "kind is missing"),
        (_map("upset: sadness; disappointed: sadness; sad: sadness"), 8,
         "the map leaves out 'weary'; add a target, or `weary: null` to drop it"),
        (_map("upset: disappointed; disappointed: sad; sad: sadness; weary: null"), 9,
         "upset -> disappointed -> sad -> sadness is a chain, and 'disappointed' is not a label of "
         "ekman7_contempt.v1; write `upset: sadness`"),
        (_map("upset: disappointed; disappointed: upset; sad: sadness; weary: null"), 9,
         "upset -> disappointed -> upset runs in a circle and never reaches ekman7_contempt.v1"),
        (_map("upset: upset; disappointed: null; sad: sadness; weary: null"), 9, "upset -> upset runs in a circle"),
        (_map("upset: sadness; disappointed: sadness; sad: sadness; weary: tired"), 12,
         "weary -> tired is a dead end: 'tired' is not a label of ekman7_contempt.v1"),
        (_map("upset: sadness; disappointed: sadness; sad: sadnes; weary: null"), 11, "did you mean sadness?"),
        (_map("upset: sadness; disappointed: sadness; sad: sadness; weary: null; glum: sadness"), 13,
         "'glum' is not a label here"),
        (_map("upset: sadness; disappointed: sadness; sad: sadness; weary: null", lossy="false"), 7,
         "lossy is false, but 'weary' is dropped; write `lossy: true`"),
        (_map("upset: sadness; disappointed: sadness; sad: sadness; weary: fear", lossy="false"), 7,
         "several labels become one"),
        (_map("upset: anger; disappointed: null; sad: sadness; weary: null"), 6,
         "kind is many_to_one, but the labels make it one_to_one"),
        (_map("upset: [anger, sadness]; disappointed: null; sad: sadness; weary: null"), 6,
         "the labels make it many_to_many"),
    ],
)  # fmt: skip
def test_every_mistake_has_its_line(tmp_path, text, line, says):
    path = write(tmp_path, text)
    with pytest.raises(InvalidInput) as caught:
        check_taxonomy(path, tmp_path)
    matching = [problem for problem in caught.value.problems if says in problem]
    assert matching, caught.value.problems
    assert matching[0].startswith(f"{path}:{line}: "), matching


def test_all_mistakes_at_once(tmp_path):
    text = """labels:
  - {name: a, parent: x}
  - {name: A, opposite: y}
  - {name: b, hotkey: k}
  - {name: c, hotkey: k}
maps:
  ekman6.v1: {kind: one_to_one, lossy: true, labels: {a: anger, q: fear}}
"""
    path = write(tmp_path, text)
    with pytest.raises(InvalidInput) as caught:
        load_taxonomy("mine.v1", tmp_path)
    lines = [int(problem.split("mine.v1.yaml:")[1].split(":")[0]) for problem in caught.value.problems]
    assert lines == [4, 5, 5, 7, 9, 9], caught.value.problems
    assert str(path) in caught.value.problems[0]


def test_a_file_is_found_by_the_name_that_it_says(tmp_path):
    write(tmp_path, "labels: [a]\n").rename(tmp_path / "other.v1.yaml")
    with pytest.raises(InvalidInput, match=r"other\.v1\.yaml:1: taxonomy mine\.v1 must be in a file") as caught:
        load_taxonomy("other.v1", tmp_path)
    assert caught.value.hint.startswith("rename other.v1.yaml to mine.v1.yaml")


def test_a_map_says_nothing_about_what_is_judged(tmp_path):
    plain = Taxonomy.model_validate({"taxonomy": "t.v1", "title": "T", "labels": ["a"]})
    rule = {"ekman6.v1": {"kind": "one_to_one", "lossy": False, "labels": {"a": "anger"}}}
    mapped = Taxonomy.model_validate({"taxonomy": "t.v1", "title": "T", "labels": ["a"], "maps": rule})
    assert plain.model_dump_json() == mapped.model_dump_json()
    assert plain != mapped
    assert hash(plain) == hash(mapped)
    assert isinstance(load_map("ekman6.v1", "ekman7.v1"), TaxonomyMap)
