"""Licences of several sources combine to the most restrictive one, or stop the export; expired consent leaves it."""

from datetime import date

import pytest
import yaml
from pydantic import ValidationError

from curate.errors import InvalidInput
from curate.hub.card import LICENCES, hub_licences
from curate.release.licences import combine_licences, terms_of
from curate.release.versions import Releases
from curate.stages.export import Export
from curate.stages.ingest.stage import Ingest
from tests.support.release_builders import make_corpus

COMBINED = [
    ({"CC0-1.0"}, "CC0-1.0"),
    ({"CC0-1.0", "CC-BY-4.0"}, "CC-BY-4.0"),
    ({"MIT", "CC-BY-4.0", "ODC-By-1.0"}, "CC-BY-4.0"),
    ({"CC-BY-3.0", "CC-BY-4.0"}, "CC-BY-4.0"),
    ({"CC-BY-4.0", "CC-BY-SA-4.0"}, "CC-BY-SA-4.0"),
    ({"CC-BY-SA-3.0", "CC-BY-SA-4.0"}, "CC-BY-SA-4.0"),
    ({"CC-BY-4.0", "CC-BY-NC-4.0"}, "CC-BY-NC-4.0"),
    ({"CC-BY-NC-4.0", "CC-BY-NC-SA-4.0"}, "CC-BY-NC-SA-4.0"),
    ({"cc-by-4.0", "ODbL-1.0"}, "ODbL-1.0"),
]
EXCLUDED = [
    ({"CC-BY-NC-4.0", "CC-BY-SA-4.0"}, "commercial use"),
    ({"CC-BY-SA-4.0", "CC-BY-NC-SA-4.0"}, "the whole under itself"),
    ({"ODbL-1.0", "CC-BY-SA-4.0"}, "the whole under itself"),
    ({"ODbL-1.0", "CC-BY-NC-4.0"}, "commercial use"),
    ({"CC-BY-ND-4.0"}, "forbids adaptations"),
    ({"CC-BY-NC-ND-4.0", "CC0-1.0"}, "forbids adaptations"),
]


@pytest.mark.parametrize(("licences", "whole"), COMBINED)
def test_the_most_restrictive_licence_holds(licences, whole):
    assert combine_licences(licences) == (whole, (), ())
    assert hub_licences([whole])[0] in LICENCES


@pytest.mark.parametrize(("licences", "reason"), EXCLUDED)
def test_licences_that_exclude_each_other_have_no_combination(licences, reason):
    combination = combine_licences(licences)
    assert combination.licence is None
    assert reason in combination.problems[0]


def test_unknown_licences_are_said_to_be_unknown():
    combination = combine_licences(["LicenseRef-studio", None, "CC-BY-4.0", "CC-BY-ND-SA-4.0"])
    assert combination == (None, (), ("CC-BY-ND-SA-4.0", "LicenseRef-studio", "not stated"))
    first, second = combination.sentences()
    assert "LicenseRef-studio are unknown here" in first
    assert second == "Some sources have no stated licence."
    assert terms_of("CC-BY-9.9") is None


def make_mixed(tmp_path, *licences):
    for number, licence in enumerate(licences):
        made = make_corpus(tmp_path / "w", items=2, sources=1, first=number * 5, media=False, licence=licence)
    return made


def card(made) -> tuple[dict, str]:
    releases = Releases(made.corpus.workspace.releases)
    text = (releases.fetch(releases.manifests()[-1]) / "README.md").read_text()
    return yaml.safe_load(text.split("---\n")[1]), text


def test_a_card_states_the_licence_of_the_whole(tmp_path):
    made = make_mixed(tmp_path, "CC-BY-4.0", "CC-BY-SA-4.0")
    Export(stage="export").perform(*made)
    assert card(made)[0]["license"] == "cc-by-sa-4.0"


def test_an_export_stops_unless_the_recipe_says_why_it_may_go_on(tmp_path):
    made = make_mixed(tmp_path, "CC-BY-NC-4.0", "CC-BY-SA-4.0")
    with pytest.raises(InvalidInput, match="do not allow one release") as caught:
        Export(stage="export").perform(*made)
    assert "CC-BY-NC-4.0 and CC-BY-SA-4.0 exclude each other" in caught.value.problems[0]
    assert Releases(made.corpus.workspace.releases).manifests() == []
    override = {"licence": "CC-BY-NC-4.0", "reason": "the second owner agreed in writing"}
    Export(stage="export", licence_override=override).perform(*made)
    header, text = card(made)
    assert header["license"] == "cc-by-nc-4.0"
    assert "because the second owner agreed in writing" in text
    assert "exclude each other" in text
    with pytest.raises(ValidationError):
        Export(stage="export", licence_override={"licence": "MIT"})


@pytest.mark.parametrize(
    ("override", "name"), [(None, "stated-for-each-source"), ("LicenseRef-Film Lab (EU)", "licenseref-film-lab-eu")]
)
def test_a_licence_that_the_hub_does_not_know_is_named_for_what_it_is(tmp_path, override, name):
    made = make_mixed(tmp_path, "LicenseRef-ours")
    settings = {"licence_override": {"licence": override, "reason": "both owners agreed"}} if override else {}
    Export(stage="export", **settings).perform(*made)
    header, _ = card(made)
    assert (header["license"], header["license_name"]) == ("other", name)


def test_expired_consent_leaves_the_next_release_and_is_said_everywhere(tmp_path):
    made = make_mixed(tmp_path, "CC-BY-4.0", "CC-BY-4.0")
    make_corpus(tmp_path / "w", items=3, sources=1, first=20, media=False, consent_until="2027-01-31")
    stage, on_the_day = Export(stage="export"), date(2027, 1, 31)
    assert stage.perform(made.corpus, made.tools._replace(today=on_the_day)).counts["items"] == 7
    after = made.tools._replace(today=date(2027, 2, 1))
    forecast = stage.foresee(made.corpus, after)
    assert forecast.changes
    receipt = stage.perform(made.corpus, after)
    assert receipt.counts["items"] == 4
    sentence = "3 items are left out of the release, because the consent to use 1 source has expired"
    for text in (forecast.message, receipt.message, card(made)[1].replace("\n", " ")):
        assert sentence in text
    again = stage.perform(made.corpus, after)
    assert not again.changed
    assert sentence in again.message
    assert list(Ingest(files="*", licence="MIT", consent_until="2027-01-31").notices(after)) == [
        "consent ended on 2027-01-31: these items are left out of releases"
    ]
    assert list(Ingest(files="*", licence="MIT", consent_until="2027-02-01").notices(after)) == []


def test_participants_are_named_by_files(tmp_path):
    from curate.stages.ingest.participants import participants_of

    pattern = Ingest(files="*", participant=r"raw/(P\d+)_").participant
    assert participants_of(["raw/P07_a.mp4", "raw/x.mp4"], pattern) == ["P07", None]
    for wrong in ("raw", "(a)(b)", "(", r"(?=a)(b)"):
        with pytest.raises(ValidationError):
            Ingest(files="*", participant=wrong)
