"""The detector of a model pack, through InsightFace's own code and a network of two kilobytes."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from curate.errors import MissingDependency
from curate.media.faces.identity import SAME_PERSON, cluster_vectors
from curate.media.faces.insightface import embed_faces, licence_note, pack_name
from curate.media.faces.open import open_detector

STRIDES = (8, 16, 32)


def make_pack(folder: Path) -> Path:
    """A network of SCRFD's nine outputs that takes pure green squares for faces."""
    nodes, constants = [], []

    def constant(name: str, value: np.ndarray) -> str:
        constants.append(numpy_helper.from_array(value, name))
        return name

    half = np.array([3.0, 4.0], np.float32)
    points = np.array([[-1, -1], [1, -1], [0, 0], [-0.8, 1], [0.8, 1]], np.float32) * half * 0.4
    constant("w", np.array([-1, 1, -1], np.float32).reshape(1, 3, 1, 1))
    constant("b", np.array([-2.0], np.float32))
    constant("column", np.array([-1, 1], np.int64))
    nodes.append(helper.make_node("Conv", ["input.1", "w", "b"], ["match"], kernel_shape=[1, 1]))
    for s in STRIDES:
        constant(f"gain{s}", np.float32(40.0 if s == 8 else 0.0))
        constant(f"shift{s}", np.float32(-20.0))
        constant(f"anchors{s}", np.array([[1.0, 0.0]], np.float32))
        constant(f"none{s}", np.zeros(1, np.float32))
        constant(f"box{s}", np.concatenate([half, half]).reshape(1, 4))
        constant(f"points{s}", points.reshape(1, 10))
        pool = {"kernel_shape": [s, s], "strides": [s, s]}
        nodes += [
            helper.make_node("AveragePool", ["match"], [f"pool{s}"], **pool),
            helper.make_node("Mul", [f"pool{s}", f"gain{s}"], [f"scaled{s}"]),
            helper.make_node("Add", [f"scaled{s}", f"shift{s}"], [f"logit{s}"]),
            helper.make_node("Sigmoid", [f"logit{s}"], [f"p{s}"]),
            helper.make_node("Reshape", [f"p{s}", "column"], [f"pc{s}"]),
            helper.make_node("MatMul", [f"pc{s}", f"anchors{s}"], [f"pa{s}"]),
            helper.make_node("Reshape", [f"pa{s}", "column"], [f"score_{s}"]),
            helper.make_node("Mul", [f"score_{s}", f"none{s}"], [f"zero{s}"]),
            helper.make_node("Add", [f"zero{s}", f"box{s}"], [f"bbox_{s}"]),
            helper.make_node("Add", [f"zero{s}", f"points{s}"], [f"kps_{s}"]),
        ]
    outputs = [
        helper.make_tensor_value_info(f"{name}_{s}", TensorProto.FLOAT, [f"n{s}", width])
        for name, width in (("score", 1), ("bbox", 4), ("kps", 10))
        for s in STRIDES
    ]
    picture = helper.make_tensor_value_info("input.1", TensorProto.FLOAT, [1, 3, "h", "w"])
    graph = helper.make_graph(nodes, "tiny", [picture], outputs, constants)
    folder.mkdir(parents=True, exist_ok=True)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=10)
    onnx.save(model, str(folder / "det_tiny.onnx"))
    return folder


def add_recognition(folder: Path) -> Path:
    """A network that takes 112 px crops and gives the mean colour of their quarters: 12 numbers."""
    nodes = [
        helper.make_node("AveragePool", ["data"], ["pooled"], kernel_shape=[56, 56], strides=[56, 56]),
        helper.make_node("Flatten", ["pooled"], ["vector"]),
    ]
    picture = helper.make_tensor_value_info("data", TensorProto.FLOAT, ["n", 3, 112, 112])
    vector = helper.make_tensor_value_info("vector", TensorProto.FLOAT, ["n", 12])
    model = helper.make_model(
        helper.make_graph(nodes, "colours", [picture], [vector]),
        opset_imports=[helper.make_opsetid("", 17)],
        ir_version=10,
    )
    onnx.save(model, str(folder / "w600k_tiny.onnx"))
    return folder


@pytest.fixture
def opencv():
    done = subprocess.run([sys.executable, "-c", "import cv2"], capture_output=True, text=True)
    if done.returncode:
        pytest.skip(f"OpenCV cannot be imported: {done.stderr.strip().splitlines()[-1]}")


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


def test_a_pack_that_is_no_network_says_what_to_do(tmp_path, opencv):
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


def test_without_libgl_one_clear_error(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "insightface", None)
    monkeypatch.setitem(sys.modules, "insightface.app", None)
    with pytest.raises(MissingDependency) as caught:
        open_detector(make_pack(tmp_path / "no_libgl"))
    assert "libgl1" in caught.value.hint


def test_a_failed_import_leaves_the_path_as_it_was(tmp_path, monkeypatch):
    (tmp_path / "insightface").mkdir()
    (tmp_path / "insightface" / "__init__.py").write_text(
        "import sys\nsys.path.insert(0, 'left-behind')\nraise ImportError('libGL.so.1')\n"
    )
    for name in [name for name in sys.modules if name.partition(".")[0] == "insightface"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(MissingDependency, match=r"libGL\.so\.1"):
        open_detector(make_pack(tmp_path / "pack"))
    assert "left-behind" not in sys.path


def test_the_default_detector_needs_no_opencv():
    program = (
        "import sys; from tests.support.media_builders import make_portrait; "
        "from curate.media.faces.open import open_detector; "
        "assert open_detector().detect(make_portrait()); assert not {'cv2', 'insightface', 'torch'} & set(sys.modules)"
    )
    root = Path(__file__).parents[2]
    subprocess.run([sys.executable, "-c", program], check=True, cwd=root)
