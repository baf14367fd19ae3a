"""Whose face it is, across all sources: from the pictures of two people to splits, card and run record."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from curate.media.faces.identity import assign_identities
from curate.pipeline import open_corpus
from curate.recipe import load_recipe
from curate.release.versions import Releases
from curate.storage.workspace import Workspace
from tests.support.builders import make_recipe
from tests.support.face_pack import add_recognition, make_pack
from tests.support.runs import run_quietly

RED, BLUE = (230, 20, 20), (20, 20, 230)
NOTE = "non-commercial research"


def make_people(count: int, *, of: int, apart: float, seed: int = 0):
    """Vectors of ``count`` tracks of ``of`` people, spread by ``apart``; ids, sources, vectors and whose each is."""
    rng = np.random.default_rng(seed)
    people_of = rng.integers(0, of, count)
    vectors = rng.normal(size=(of, 512))[people_of] + apart * rng.normal(size=(count, 512))
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    ids = [f"{number:08x}" for number in rng.permutation(count)]
    return ids, [f"s{number % 17}" for number in range(count)], vectors.astype(np.float32), people_of.tolist()


def make_picture(path: Path, colour: tuple[int, int, int], seed: int) -> None:
    """A green face, as the tiny pack sees it, before a wall of some colour."""
    rng = np.random.default_rng(seed)
    rgb = np.tile(np.array(colour, np.uint8), (480, 640, 1)) + rng.integers(0, 20, (480, 640, 1), np.uint8)
    rgb[200:240, 280:320] = (0, 255, 0)
    Image.fromarray(rgb).save(path)


def make_album(folder: Path, *, pack: Path | None, pictures: int = 6) -> Path:
    recipe = make_recipe(
        folder,
        {"stage": "ingest", "files": "*.png", "licence": "CC0-1.0"},
        {"stage": "preprocess", "faces": {"model_pack": str(pack)} if pack else {}},
        {"stage": "export", "split": {"train": 0.5, "test": 0.5, "disjoint_by": ["identity"]}},
        labels="image_emotion.v1",
    )
    for number in range(pictures):
        make_picture(folder / f"{number}.png", RED if number % 2 else BLUE, number)
    return recipe


def rows(recipe: Path, workspace: Path, table: str) -> list[dict]:
    return open_corpus(load_recipe(recipe), Workspace(workspace)).read(table).to_pylist()


@pytest.mark.parametrize("seed", range(3))
def test_people_are_distinguished_in_any_order(seed):
    ids, sources, vectors, people_of = make_people(300, of=20, apart=0.7, seed=seed)
    names = assign_identities(ids, sources, vectors)
    assert len(set(names)) == len(set(zip(names, people_of, strict=True))) == len(set(people_of))
    assert all(name == min(i for i, identity in zip(ids, names, strict=True) if identity == name) for name in names)
    order = np.random.default_rng(9).permutation(300)
    again = assign_identities([ids[i] for i in order], [sources[i] for i in order], vectors[order])
    assert again == [names[i] for i in order]


def test_nobody_and_vectors_of_nothing():
    assert assign_identities([], [], np.zeros((0, 8), np.float32)) == []
    assert assign_identities(["b", "a"], ["s", "s"], np.zeros((2, 8), np.float32)) == ["b", "a"]


def test_faces_of_one_person_carry_one_name_in_all_sources(tmp_path, opencv):
    pack = add_recognition(make_pack(tmp_path / "colours"))
    recipe = make_album(tmp_path / "album", pack=pack)
    first = run_quietly(recipe, tmp_path / "one")
    faces, items = (rows(recipe, tmp_path / "one", name) for name in ("faces", "items"))
    assert len(faces) == len(items) == 6
    named = {face["face_id"]: face["identity"] for face in faces}
    people = {name: sorted(face for face, identity in named.items() if identity == name) for name in named.values()}
    assert sorted(map(len, people.values())) == [3, 3]
    assert all(name == members[0] for name, members in people.items())
    assert [item["face_identity"] for item in items] == [named[item["face_id"]] for item in items]
    run_quietly(recipe, tmp_path / "two", workers=2)
    assert rows(recipe, tmp_path / "two", "faces") == faces
    assert rows(recipe, tmp_path / "two", "items") == items

    assert not run_quietly(recipe, tmp_path / "one").changed
    releases = Releases(Workspace(tmp_path / "one").releases)
    splits = releases.splits(releases.manifests("sample")[-1])
    people_of = {item["item_id"]: item["face_identity"] for item in items}
    assert len({(people_of[item], split) for item, split in splits.items()}) == 2
    assert NOTE in (Path(first.release) / "README.md").read_text()
    record = json.loads((Workspace(tmp_path / "one").local / "runs" / first.run_id / "run.json").read_text())
    (message,) = [stage["message"] for stage in record["stages"] if stage["stage"] == "preprocess"]
    assert NOTE in message
    assert "colours" in message


def test_a_further_picture_joins_its_person(tmp_path, opencv):
    pack = add_recognition(make_pack(tmp_path / "colours"))
    recipe = make_album(tmp_path / "album", pack=pack, pictures=4)
    run_quietly(recipe, tmp_path / "grown")
    make_album(tmp_path / "album", pack=pack, pictures=8)
    run_quietly(recipe, tmp_path / "grown")
    run_quietly(recipe, tmp_path / "new")
    for table in ("faces", "items"):
        assert rows(recipe, tmp_path / "grown", table) == rows(recipe, tmp_path / "new", table)
    assert len({face["identity"] for face in rows(recipe, tmp_path / "grown", "faces")}) == 2


def test_a_run_killed_before_the_names_gives_them_next_time(tmp_path, opencv, monkeypatch):
    pack = add_recognition(make_pack(tmp_path / "colours"))
    recipe = make_album(tmp_path / "album", pack=pack)

    def die(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("curate.stages.preprocess.across_sources.name_faces", die)
        with pytest.raises(KeyboardInterrupt):
            run_quietly(recipe, tmp_path / "w", until="preprocess")
    assert all(face["identity"] is None for face in rows(recipe, tmp_path / "w", "faces"))
    run_quietly(recipe, tmp_path / "w")
    assert {face["identity"] for face in rows(recipe, tmp_path / "w", "faces")} != {None}


def test_without_recognition_nobody_is_named(tmp_path, opencv):
    recipe = make_album(tmp_path / "album", pack=make_pack(tmp_path / "plain"))
    done = run_quietly(recipe, tmp_path / "w")
    assert {face["identity"] for face in rows(recipe, tmp_path / "w", "faces")} == {None}
    assert NOTE in (Path(done.release) / "README.md").read_text()


def test_the_embedded_detector_needs_no_note(tmp_path):
    recipe = make_album(tmp_path / "album", pack=None, pictures=1)
    done = run_quietly(recipe, tmp_path / "w")
    assert NOTE not in (Path(done.release) / "README.md").read_text()
    assert not any(stage.message for stage in done.stages if stage.stage == "preprocess")
