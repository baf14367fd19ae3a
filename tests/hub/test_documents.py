"""The documents beside the shards of a release: each sentence follows from a figure, and its opposite from another."""

import json
from types import SimpleNamespace

import pyarrow as pa
import pytest
import yaml

from curate.corpus.credits import Credits
from curate.errors import InvalidInput
from curate.hub.card_audit import audit_section
from curate.hub.card_facts import AuditFigure, ModelUse
from curate.hub.card_people import (
    agreement_section,
    citation_section,
    consent_section,
    instructions_section,
    limitations,
    limitations_section,
    models_section,
)
from curate.hub.citation import citation_file
from curate.recipe import load_recipe
from curate.stages.released_documents import licence_facts
from tests.release.test_export import make_release
from tests.support.builders import make_recipe
from tests.support.release_builders import make_corpus

CREDITS = Credits(
    "Films", "Clips of films.", ("Bee, Ann", "The Affect Lab"), "Bee (2027). Films.\nA journal.", "a@example.org"
)


def facts(**changes):
    """Facts of a card with nothing special in them, as far as the sections read them."""
    plain = {
        "name": "films", "version": "1.0.0", "credits": Credits(), "licence": None, "is_spdx": False, "agreement": (),
        "instructions": "", "other_guidelines": 0, "models": (), "consents": {}, "labels": {}, "separations": (),
        "languages": (),
    }  # fmt: skip
    return SimpleNamespace(**plain | changes)


def counts(**changes):
    from curate.release.statistics import Statistics
    from tests.support.release_builders import make_labels

    made = Statistics(make_labels())
    made.rows["train"] = 20
    made.label_sources["train"].update({"human": 20})
    for name, value in changes.items():
        setattr(made, name, value) if not isinstance(value, dict) else getattr(made, name).update(value)
    return made


def figure(field, measure, value, low=None, high=None, note="", **group):
    return SimpleNamespace(
        field=field, group=group, measure=measure, value=value, low=low, high=high, items=9, raters=2, note=note
    )


def test_agreement_has_intervals_and_undefined_figures_have_reasons():
    assert agreement_section(facts()).startswith("No item has judgements of two people")
    rows = [
        figure("emotion", "percent", 0.5, 0.25, 0.75, note="too few"),
        figure("valence", "ccc", None, note="no variance", values="blind"),
        figure("valence", "icc_2_1", -0.125, arm="voice"),
    ]
    text = agreement_section(facts(agreement=rows))
    assert "| `emotion` | all | `percent` | 0.500 | 0.250 to 0.750 | 9 | 2 |" in text
    assert "| `valence` | arm voice | `icc_2_1` | -0.125 |  | 9 | 2 |" in text
    assert "| :-- | :-- | :-- | --: | :-- | --: | --: |" in text
    assert "- too few (emotion)\n- no variance (valence blind)" in text
    assert "No interval could be computed." not in text
    assert "No interval could be computed." in agreement_section(facts(agreement=rows[1:]))


def test_proposals_are_audited_where_somebody_saw_none():
    def audited(measure, name, value, *, topic="distances", note="the model is m", low=0.25, **group):
        return AuditFigure(topic, "emotion", group, measure, name, value, low, 0.75, 1_009, 2, note)

    assert audit_section([], 0) == ""
    assert audit_section([], 300_000).endswith("300,000 judgements are too many to be audited here.")
    text = audit_section(
        [
            audited("distance_people", "two halves <of> people", 0.5),
            audited("distance_model", "model", None, note="the model is m; why; not"),
            audited("share_people", "fear: share by people", 0.4, topic="over all items", label="fear"),
            audited("share_model", "fear: by the model alone", 0.3, topic="over all items", low=None, label="fear"),
            audited("share_people", "joy: share by people", 1.0, topic="over all items", low=None, label="joy"),
            audited("reliability", "bins", 0.1, topic="bins"),
        ],
        0,
    )
    assert "Distances:\n\n| field |  | value | 95 % interval | items | raters |" in text
    assert "| `emotion` | two halves &lt;of&gt; people | 0.500 | 0.250 to 0.750 | 1,009 | 2 |" in text
    assert "| `emotion` | fear | 0.400 (0.250 to 0.750) |  | 0.300 |" in text
    assert "joy" not in text, "without an interval, a share says nothing of other items"
    assert text.endswith("- the model is m (emotion)\n- why; not (emotion: model)")
    assert "bins" not in text.lower()


def test_instructions_are_shown_if_raters_had_them():
    assert "Nothing is recorded" in instructions_section(facts(), counts())
    text = instructions_section(facts(instructions="Listen *twice*.", other_guidelines=1), counts(arms={"voice": 3}))
    assert "voice (3 judgements)" in text
    assert "> Listen \\*twice\\*." in text
    assert "1 judgement was made with other instructions." in text


def test_models_are_named_with_their_prompts():
    assert models_section(facts()) == "No model proposed a label."
    text = models_section(facts(models=[ModelUse("gpt", "gpt-5 <b>", "emotion.v1", "ab" * 32, 7)]))
    assert "| gpt | gpt-5 &lt;b&gt; | `emotion.v1` | `abababababab` | 7 |" in text


def test_consent_is_stated_as_sources_state_it():
    assert "stated for none of the 2 sources" in consent_section(facts(consents={"": 2}), counts())
    text = consent_section(facts(consents={"": 1, "research only": 3}), counts(modalities={"audio": 1}))
    assert "- research only: 3 sources\n- not stated: 1 source" in text
    assert "use them only for what those people agreed to" in text
    other = consent_section(facts(consents={"research only": 3}), counts(modalities={"text": 3}))
    assert "not stated" not in other
    assert "people" not in other


LOW = [figure("emotion", "krippendorff_alpha_nominal", 0.2, 0.1, 0.3)]
HIGH = [figure("emotion", "krippendorff_alpha_nominal", 0.8, 0.7, 0.9)]
APART = [SimpleNamespace(key="speaker", known=15, total=20)]
WHOLE = [SimpleNamespace(key="speaker", known=20, total=20)]
LIMITS = {
    "model": ({}, {"label_sources": {"train": {"model": 5, "human": 15}}}, "5 of 20 labels are a model's"),
    "alone": ({}, {"raters": {1: 1, 2: 3}}, "1 of 4 reviewed items has one rater only."),
    "agreement": ({"agreement": LOW}, {}, "Raters agree little on emotion: krippendorff_alpha_nominal is 0.20 (0.1"),
    "copied": ({}, {"copied": {"emotion": 2}, "answers": {"emotion": 8}}, "2 of 8 answers of people are the pre-"),
    "rare": ({"labels": {"emotion": ("fear",)}}, {}, "Fewer than 10 items have these labels of emotion: fear."),
    "unknown": ({"separations": APART}, {"rows": {"test": 5}}, "The speaker is unknown for 5 of 20 items"),
    "language": ({"languages": ("en",)}, {}, "All texts whose language is known are in one language: en."),
}  # fmt: skip
NO_LIMITS = {
    "agreement": ({"agreement": HIGH}, {}),
    "alone": ({}, {"raters": {2: 4}}),
    "copied": ({}, {"answers": {"emotion": 8}}),
    "rare": ({"labels": {"emotion": ("fear",)}}, {"classes": {"emotion": {"train": {"fear": 10}}}}),
    "unknown": ({"separations": WHOLE}, {"rows": {"test": 5}}),
    "one split": ({"separations": APART}, {}),
    "language": ({"languages": ("de", "en")}, {}),
}


@pytest.mark.parametrize("name", LIMITS)
def test_each_limit_follows_from_a_figure(name):
    of_facts, of_counts, sentence = LIMITS[name]
    (found,) = limitations(facts(**of_facts), counts(**of_counts))
    assert found.startswith(sentence)


@pytest.mark.parametrize("name", NO_LIMITS)
def test_no_limit_is_stated_that_is_not_so(name):
    of_facts, of_counts = NO_LIMITS[name]
    assert limitations(facts(**of_facts), counts(**of_counts)) == []
    assert "The figures of this card show none." in limitations_section(facts(**of_facts), counts(**of_counts))


def test_a_citation_is_that_of_the_recipe():
    plain = citation_section(facts())
    assert "Its makers name no publication: cite films, version `1.0.0`." in plain
    assert "Made by" not in plain
    assert "Contact" not in plain
    text = citation_section(facts(credits=CREDITS))
    assert "Made by Bee, Ann; The Affect Lab." in text
    assert "> Bee \\(2027\\). Films.\n> A journal." in text
    assert "Contact: a\\@example.org" in text


def test_the_citation_file_is_that_of_the_format():
    bare = yaml.safe_load(citation_file(facts()))
    assert bare["authors"] == [{"name": "The makers of films"}]
    assert {"license", "contact", "abstract"}.isdisjoint(bare)
    full = yaml.safe_load(citation_file(facts(credits=CREDITS, name="Films", **licence_facts("cc-by-4.0"))))
    assert full["cff-version"] == "1.2.0"
    assert full["authors"] == [{"family-names": "Bee", "given-names": "Ann"}, {"name": "The Affect Lab"}]
    assert full["license"] == "CC-BY-4.0"
    assert full["contact"] == [{"name": "The makers of Films", "email": "a@example.org"}]
    web = Credits(contact="https://example.org")
    assert yaml.safe_load(citation_file(facts(credits=web)))["contact"][0]["website"] == "https://example.org"
    asked = yaml.safe_load(citation_file(facts(credits=Credits(contact="Ask Ann"))))
    assert asked["contact"] == [{"name": "Ask Ann"}]
    assert "license" not in yaml.safe_load(citation_file(facts(**licence_facts("LicenseRef-mine"))))
    assert licence_facts("Ask me") == {"licence": "Ask me"}
    assert licence_facts(None) == {"licence": None}


def test_the_recipe_says_who_made_the_corpus(tmp_path):
    recipe = make_recipe(tmp_path, {"stage": "ingest", "files": "*.txt"})
    (tmp_path / "a.txt").write_text("words")
    text = recipe.read_text() + yaml.safe_dump({**CREDITS._asdict(), "authors": list(CREDITS.authors)})
    recipe.write_text(text)
    assert load_recipe(recipe).recipe.credits == CREDITS
    recipe.write_text(text.replace("contact:", "contakt:"))
    with pytest.raises(InvalidInput) as caught:
        load_recipe(recipe)
    assert "did you mean contact" in caught.value.problems[0]


@pytest.fixture(scope="module")
def release(tmp_path_factory):
    """A release of twelve items in two splits, with everything that its makers can say."""
    made = make_corpus(tmp_path_factory.mktemp("documents") / "ws", items=12, sources=6)
    made = made._replace(tools=made.tools._replace(credits=CREDITS))
    _, folder = make_release(made, split={"train": 0.5, "test": 0.5})
    return folder


def test_a_release_says_the_same_in_all_its_documents(release):
    card = (release / "README.md").read_text(encoding="utf-8")
    document = json.loads((release / "croissant.json").read_text(encoding="utf-8"))
    citation = yaml.safe_load((release / "CITATION.cff").read_text(encoding="utf-8"))
    manifest = json.loads((release / "manifest.json").read_text(encoding="utf-8"))
    assert document["name"] == citation["title"] == "Films"
    assert "# Films\n\nClips of films.\n" in card
    assert document["version"] == citation["version"] == manifest["version"]
    assert document["license"] == "https://spdx.org/licenses/CC-BY-4.0"
    assert [person["name"] for person in document["creator"]] == ["Bee, Ann", "The Affect Lab"]
    shards = {file["path"]: file for file in manifest["files"] if file["rows"] is not None}
    described = {entry["@id"]: entry for entry in document["distribution"] if entry["@type"] == "cr:FileObject"}
    assert {path: (entry["sha256"], entry["contentSize"]) for path, entry in described.items()} == {
        path: (file["sha256"], f"{file['size_bytes']} B") for path, file in shards.items()
    }
    assert {"CITATION.cff", "croissant.json"} <= {file["path"] for file in manifest["files"]}
    assert document["rai:annotationsPerItem"] == "6 items: 2 raters"
    assert document["rai:machineAnnotationTools"] == ["words 1"]
    assert document["rai:dataAnnotationProtocol"][0].startswith("emotion: Which emotions are shown?")
    assert document["rai:dataCollectionTimeFrame"] == ["2027-01-01"]
    assert set(document["rai:personalSensitiveInformation"]) == {
        "faces of people", "voices of people", "videos of people", "names of speakers",
    }  # fmt: skip
    assert any("a model's, reviewed by nobody" in sentence for sentence in document["rai:dataLimitations"])


def test_hostile_words_of_a_recipe_are_data_in_every_document(tmp_path):
    evil = "</script> $name {{ 7 * 7 }}\n---\n# \ud800 [x](javascript:1)\x00"
    made = make_corpus(tmp_path / "ws", items=2)
    made = made._replace(tools=made.tools._replace(credits=Credits(evil, evil, (evil,), evil, evil)))
    _, folder = make_release(made)
    header, card = (folder / "README.md").read_text(encoding="utf-8").split("\n---\n", 1)
    assert yaml.safe_load(header.removeprefix("---\n"))["pretty_name"].startswith("</script> $name")
    assert "\n---\n" not in card
    assert "[x](javascript" not in card
    assert json.loads((folder / "croissant.json").read_text(encoding="utf-8"))["name"].startswith("</script> $name")
    assert yaml.safe_load((folder / "CITATION.cff").read_text(encoding="utf-8"))["title"] == evil


def document_sets(release):
    document = json.loads((release / "croissant.json").read_text(encoding="utf-8"))
    return [records["@id"] for records in document["recordSet"]]


def test_every_configuration_is_described(release):
    assert document_sets(release) == [
        "train",
        "test",
        "labels/train",
        "labels/test",
        "judgements/train",
        "judgements/test",
    ]


def test_mlcroissant_reads_every_row(release, monkeypatch):
    mlcroissant = pytest.importorskip("mlcroissant")
    monkeypatch.setattr("socket.socket.connect", None)
    dataset = mlcroissant.Dataset(jsonld=str(release / "croissant.json"))
    assert not dataset.metadata.ctx.issues.errors
    # Nothing in a release depends on a clock.
    assert {issue.partition('"')[2].partition('"')[0] for issue in dataset.metadata.ctx.issues.warnings} == {
        "https://schema.org/datePublished"
    }
    stored = {}
    for path in sorted(release.glob("data/*.parquet")):
        rows = pa.parquet.read_table(path, columns=["item_id", "text", "emotion", "start_s", "reviewed"]).to_pylist()
        stored |= {row.pop("item_id"): row for row in rows}
    read = {}
    for split in ("train", "test"):
        for record in dataset.records(record_set=split):
            row = {name.partition("/")[2]: value for name, value in record.items()}
            read[row["item_id"].decode()] = {
                "text": row["text"].decode(), "start_s": row["start_s"], "reviewed": bool(row["reviewed"]),
                "emotion": None if row["emotion"] is None else list(row["emotion"]),
            }  # fmt: skip
            assert row["face"] is None or row["face"].size == (24, 24)
    assert read == stored
    for records in document_sets(release):
        folder, _, split = records.rpartition("/")
        files = release.glob(f"{folder or 'data'}/{split}-*.parquet")
        expected = sum(pa.parquet.read_metadata(path).num_rows for path in files)
        assert sum(1 for _ in dataset.records(record_set=records)) == expected > 0
