"""Networks to ONNX."""

import os
from typing import Any

from fastbp.files import replacing
from fastbp.interchange.contents import contents, needed
from fastbp.network import Network
from fastbp.tasks import Tasks
from fastbp.validation import path_text, shown

MOST_BYTES = (1 << 31) - (1 << 20)  # of parameters: a protobuf message has less than 2 GiB


def to_onnx(
    network: Network,
    path: str | os.PathLike[str] | None = None,
    *,
    input_name: str = "X",
    output_name: str | None = None,
) -> Any:
    """The network as a model of ONNX, which computes what `predict` does, to rounding.

    Opset 20, IR version 9: for onnxruntime 1.18 and newer. The input is (rows, inputs) of the
    network's dtype, any number of rows; scaling and output activation are in the model. It is for
    prediction: dropout, penalties and the optimizer are left behind. In float64 some activations
    are composed of several operators, as onnxruntime has not all of them in that dtype.

    Parameters
    ----------
    network : Network
        Needs onnx (``pip install "fastbp[onnx]"``).
    path : str or path-like, optional
        A file to write, which is replaced as a whole or not at all.
    input_name : str
        What the input is called.
    output_name : str, optional
        What the output is called, "y" by default. Of tasks there is an output for each, called as
        the task.

    Returns
    -------
    onnx.ModelProto
        Checked by ``onnx.checker``. Its ``metadata_props`` have the network's `feature_names`,
        where it has such, as a JSON list.

    Raises
    ------
    TypeError, ValueError
        An argument that cannot be used; a network with an activation of your own, or with 2 GiB of
        parameters or more, which is too much for a file of ONNX.
    RuntimeError
        Its scaling is not learned yet.
    OSError
        The file cannot be written; an old one is still whole.
    ModuleNotFoundError
        There is no onnx.

    Examples
    --------
    >>> import fastbp
    >>> from fastbp.interchange import to_onnx
    >>> net = fastbp.Network([4, 8, 3], loss="cross_entropy", rng=0)
    >>> model = to_onnx(net, "model.onnx")  # doctest: +SKIP
    """
    target = None if path is None else path_text(path)
    held = contents(network, "ONNX")
    loss = held.parts.loss
    if isinstance(loss, Tasks):
        outputs = {task.name: task.outputs for task in loss.groups}
        if output_name is not None:
            raise ValueError(
                f"output_name must be None where tasks name the outputs, {list(outputs)}; got "
                f"{shown(output_name)}"
            )
    else:
        name = "y" if output_name is None else output_name
        outputs = {_name(name, "output_name"): held.parts.layout.widths[-1]}
    if _name(input_name, "input_name") in outputs:
        raise ValueError(f"input_name must not be that of an output, got {shown(input_name)}")
    size = sum(array.nbytes for array in (*held.weights, *held.biases))
    if size > MOST_BYTES:
        raise ValueError(
            f"network must have less than 2 GiB of parameters for ONNX, got {size:,} bytes"
        )
    model = needed("fastbp.interchange.onnx_model", "onnx", "onnx", "to_onnx").model(
        held, input_name, outputs
    )
    if target is not None:
        replacing.replace(target, [model.SerializeToString()])
    return model


def _name(name: Any, argument: str) -> str:
    if not isinstance(name, str):
        raise TypeError(f"{argument} must be a string, got {shown(name)}")
    if not name or not name.isprintable():
        raise ValueError(
            f"{argument} must be a non-empty string of printable characters, got {shown(name)}"
        )
    return name
