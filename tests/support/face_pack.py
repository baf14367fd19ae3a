"""Face model packs of two kilobytes, in the format of InsightFace."""

from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

STRIDES = (8, 16, 32)


def make_pack(folder: Path) -> Path:
    """Write a model pack whose detector has the nine outputs of SCRFD and detects pure green squares as faces."""
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
    """Add a recognition network that returns the mean colour of each quarter of a 112 px crop: 12 numbers."""
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
