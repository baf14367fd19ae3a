"""Model packs, run by InsightFace on a network of two kilobytes."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from curate.errors import MissingDependency
from curate.media.faces.identity import SAME_PERSON, cluster_vectors
from curate.media.faces.insightface import embed_faces, licence_note, pack_name
from curate.media.faces.open import open_detector
from tests.support.face_pack import add_recognition, make_pack


def test_a_pack_finds_faces(tmp_path, opencv):
    detector = open_detector(make_pack(tmp_path / "tiny"))
    assert detector.name == "insightface:tiny"
    picture = np.full((480, 640, 3), 30, np.uint8)
    assert detector.detect(picture) == []
    picture[180:220, 280:320] = (0, 255, 0)
    faces = detector.detect(picture)
    assert faces
    best = faces[0]
    assert best.score > 0.5
    assert (best.box[:2] < 300).all()
    assert best.box[0] < best.landmarks[0, 0] < best.landmarks[1, 0] < best.box[2]
    assert best.landmarks.shape == (5, 2)


def test_green_is_not_blue(tmp_path, opencv):
    detector = open_detector(make_pack(tmp_path / "tiny"))
    for colour in ((255, 0, 0), (0, 0, 255)):
        picture = np.full((480, 640, 3), 30, np.uint8)
        picture[180:220, 280:320] = colour
        assert detector.detect(picture) == []


def test_small_pictures_are_searched_at_their_size(tmp_path, opencv):
    detector = open_detector(make_pack(tmp_path / "tiny"))
    pictures = np.full((2, 96, 96, 3), 30, np.uint8)
    pictures[1, 32:64, 40:72] = (0, 255, 0)
    nothing, found = detector.detect_small(pictures)
    assert nothing == []
    middle = (found[0].box[:2] + found[0].box[2:]) / 2
    assert np.abs(middle - (56, 48)).max() <= 16


def test_faces_are_grouped_by_whose_they_are(tmp_path, opencv):
    folder = add_recognition(make_pack(tmp_path / "full"))
    rng = np.random.default_rng(0)
    red, blue = np.zeros((112, 112, 3), np.uint8), np.zeros((112, 112, 3), np.uint8)
    red[..., 0] = blue[..., 2] = 250
    crops = [
        np.clip(base + rng.integers(0, 20, base.shape), 0, 255).astype(np.uint8) for base in (red, blue, red, blue)
    ]
    vectors = embed_faces(folder, crops)
    assert vectors.shape == (4, 12)
    assert np.allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
    assert cluster_vectors(vectors, min_cosine=SAME_PERSON) == [0, 1, 0, 1]
    assert cluster_vectors(vectors[:1], min_cosine=SAME_PERSON) == [0]
    assert embed_faces(folder, []).shape == (0, 12)


def test_a_pack_without_recognition_gives_no_vectors(tmp_path, opencv):
    assert embed_faces(make_pack(tmp_path / "tiny"), [np.zeros((112, 112, 3), np.uint8)]) is None


def test_the_licence_of_a_pack_is_stated():
    assert licence_note("centerface") is None
    note = licence_note(pack_name(Path("models/buffalo_l")))
    assert "buffalo_l" in note
    assert "non-commercial research" in note


def test_an_invalid_pack_has_a_hint(tmp_path, opencv):
    (tmp_path / "pack").mkdir()
    (tmp_path / "pack" / "det.onnx").write_text("not a network")
    with pytest.raises(MissingDependency, match="pack") as caught:
        open_detector(tmp_path / "pack")
    assert caught.value.hint


@pytest.mark.parametrize("is_there", [False, True])
def test_a_folder_without_a_pack_says_what_to_do(tmp_path, is_there):
    folder = tmp_path / "pack"
    if is_there:
        folder.mkdir()
    with pytest.raises(MissingDependency, match="pack") as caught:
        open_detector(folder)
    assert caught.value.hint


def test_without_the_package_one_clear_error(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "insightface", None)
    monkeypatch.setitem(sys.modules, "insightface.app", None)
    with pytest.raises(MissingDependency) as caught:
        open_detector(make_pack(tmp_path / "no_package"))
    assert caught.value.hint == 'pip install "curate[insightface]"'


def test_a_failed_import_leaves_the_path_as_it_was(tmp_path, monkeypatch):
    (tmp_path / "insightface").mkdir()
    (tmp_path / "insightface" / "__init__.py").write_text(
        "import sys\nsys.path.insert(0, 'left-behind')\nraise ImportError('libGL.so.1')\n"
    )
    for name in [name for name in sys.modules if name.partition(".")[0] == "insightface"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(MissingDependency, match=r"libGL\.so\.1") as caught:
        open_detector(make_pack(tmp_path / "pack"))
    assert "libgl1" in caught.value.hint
    assert "left-behind" not in sys.path


def test_the_default_detector_needs_no_opencv():
    program = (
        "import sys; from tests.support.media_builders import make_portrait; "
        "from curate.media.faces.open import open_detector; "
        "assert open_detector().detect(make_portrait()); assert not {'cv2', 'insightface', 'torch'} & set(sys.modules)"
    )
    root = Path(__file__).parents[2]
    subprocess.run([sys.executable, "-c", program], check=True, cwd=root)
