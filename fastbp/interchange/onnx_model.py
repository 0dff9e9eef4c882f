"""What a network computes, as a model of ONNX. Imports onnx: functions import it when called."""

import json
from typing import Any

import numpy as np
import onnx

from fastbp.interchange.contents import Contents
from fastbp.interchange.onnx_activations import activated
from fastbp.interchange.onnx_graph import IR_VERSION, OPSET, Graph
from fastbp.tasks import Tasks
from fastbp.version import __version__

ROWS = "rows"  # the dimension that is not known


def model(held: Contents, input_name: str, outputs: dict[str, int]) -> Any:
    """The model, checked by onnx.

    Parameters
    ----------
    held : Contents
        The network's.
    input_name : str
        What the model's input is called.
    outputs : dict of str to int
        The names of its outputs, and how many columns each has.
    """
    layout = held.parts.layout
    graph = Graph(layout.dtype, [input_name, *outputs])
    value = _scaled(graph, held, input_name)
    for number, (weights, biases) in enumerate(zip(held.weights, held.biases, strict=True), 1):
        graph.scope = f"layer_{number}_"
        parameters = [
            graph.constant(array, f"{graph.scope}{kind}")
            for kind, array in (("weights", weights), ("biases", biases))
        ]
        value = graph.node("Gemm", value, *parameters)
        value = activated(graph, held.parts.activations[number - 1].name, value)
    values = [value]
    if isinstance(held.parts.loss, Tasks):
        values = _split(graph, held.parts.loss, value)
    for name, value in zip(outputs, values, strict=True):
        graph.rename(value, name)
    kind = onnx.helper.np_dtype_to_tensor_dtype(layout.dtype)

    def described(name: str, columns: int) -> Any:
        return onnx.helper.make_tensor_value_info(name, kind, [ROWS, columns])

    made = onnx.helper.make_model(
        onnx.helper.make_graph(
            graph.nodes,
            "network",
            [described(input_name, layout.widths[0])],
            [described(name, columns) for name, columns in outputs.items()],
            graph.initializers,
        ),
        opset_imports=[onnx.helper.make_opsetid("", OPSET)],
        ir_version=IR_VERSION,
        producer_name="fastbp",
        producer_version=__version__,
    )
    if held.names is not None:
        onnx.helper.set_model_props(made, {"feature_names": json.dumps(held.names)})
    onnx.checker.check_model(made, full_check=True)
    return made


def _scaled(graph: Graph, held: Contents, value: str) -> str:
    """The inputs as the first layer sees them: computed in float64, rounded once."""
    if held.scaling is None:
        return value
    graph.scope = "scaling_"
    narrow = graph.dtype != "float64"
    if narrow:
        value = graph.node("Cast", value, to=onnx.TensorProto.DOUBLE)
    shift, factor = held.scaling
    if shift.any():
        value = graph.node("Sub", value, graph.constant(shift, "scaling_shift"))
    value = graph.node("Mul", value, graph.constant(factor, "scaling_factor"))
    return graph.node("Cast", value, to=onnx.TensorProto.FLOAT) if narrow else value


def _split(graph: Graph, tasks: Tasks, value: str) -> list[str]:
    """The outputs of each task."""
    graph.scope = "outputs_"
    counts = np.array([task.outputs for task in tasks.groups], np.int64)
    sizes = graph.constant(counts, "outputs_of_tasks")
    values = graph.several("Split", [value, sizes], len(counts), axis=1)
    return [
        activated(graph, task.activation.name, one)
        for task, one in zip(tasks.groups, values, strict=True)
    ]
