"""A trained network as a folder of the model repository: model.onnx, config.pbtxt, labels.txt."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import torch
from google.protobuf import text_format
from torch import nn
from tritonclient.grpc import model_config_pb2

from gateway.errors import Permanent
from gateway.pipeline import Floats

TOLERANCE = 1e-4


@dataclass(frozen=True, slots=True)
class Signature:
    """Names and shapes (without the batch, float32) of a model's inputs and outputs, in the order of `forward`.

    `labelled`: the output whose columns labels.txt names. A None in a shape is free, as is the batch.
    """

    inputs: Mapping[str, tuple[int | None, ...]]
    outputs: Mapping[str, tuple[int | None, ...]]
    labelled: str = ""
    max_batch_size: int = 64


@dataclass(frozen=True, slots=True)
class Release:
    """What config.pbtxt and the ONNX file's own metadata say of a model.

    `status`: one honest line (`validated on ...` or `demonstration: ...`). `preprocessing`: what was done to the input,
    in words and numbers. `training`: data, seed, epochs, figures. `further`: other parameters, by name.
    """

    version: str
    status: str
    labels: tuple[str, ...]
    thresholds: Mapping[str, float]
    preprocessing: Mapping[str, Any] | str
    training: Mapping[str, Any]
    demonstration: bool = False
    further: Mapping[str, str] | None = None

    def parameters(self) -> dict[str, str]:
        told = self.preprocessing
        return {"version": self.version, "status": self.status, "labels": ",".join(self.labels),
                "demonstration": str(self.demonstration).lower(),
                "thresholds": json.dumps({name: round(float(level), 6) for name, level in self.thresholds.items()}),
                "preprocessing": told if isinstance(told, str) else json.dumps(told, sort_keys=True),
                "training": json.dumps(self.training, sort_keys=True), **(self.further or {})}


def write_model(network: nn.Module, signature: Signature, release: Release, out: Path,
                examples: Sequence[Floats]) -> str:
    """Write `out`/1/model.onnx, config.pbtxt and labels.txt (`out`: MODEL_REPOSITORY/NAME); returns the SHA-256.

    `examples`: one array (batch, ...) for each input, two records at least; the exported graph must say of them what
    the network says, to 1e-4, else Permanent and nothing of the model is replaced.
    """
    parameters = release.parameters()
    proto = _exported(network.cpu().eval(), signature, examples, parameters)
    content = proto.SerializeToString(deterministic=True)
    compare(network, content, signature, examples)
    file = out / "1" / "model.onnx"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(content)
    sha256 = hashlib.sha256(content).hexdigest()
    (out / "labels.txt").write_text("\n".join(release.labels) + "\n", encoding="utf-8")
    (out / "config.pbtxt").write_text(config(out.name, signature, {**parameters, "sha256": sha256}), encoding="utf-8")
    return sha256


def _exported(network: nn.Module, signature: Signature, examples: Sequence[Floats],
              parameters: Mapping[str, str]) -> Any:
    given = tuple(torch.from_numpy(np.ascontiguousarray(example[:2])) for example in examples)
    batch = torch.export.Dim("batch", min=1, max=1024)
    shapes = tuple(_dynamic(name, shape, batch) for name, shape in signature.inputs.items())
    program = torch.onnx.export(network, given, dynamo=True, input_names=list(signature.inputs),
                                output_names=list(signature.outputs), dynamic_shapes=shapes, verbose=False)
    proto = program.model_proto
    for node in proto.graph.node:
        del node.metadata_props[:]
    del proto.graph.metadata_props[:]
    del proto.metadata_props[:]
    onnx.helper.set_model_props(proto, dict(sorted(parameters.items())))
    onnx.checker.check_model(proto)
    return proto


def _dynamic(name: str, shape: tuple[int | None, ...], batch: Any) -> dict[int, Any]:
    free = {axis + 1: torch.export.Dim(f"{name}_{axis}", min=2) for axis, size in enumerate(shape) if size is None}
    return {0: batch, **free}


def compare(network: nn.Module, content: bytes, signature: Signature, examples: Sequence[Floats]) -> float:
    """The largest difference between the graph and the network; raises Permanent above 1e-4."""
    session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    with torch.no_grad():
        answer = network(*(torch.from_numpy(example) for example in examples))
    expected = answer if isinstance(answer, tuple) else (answer,)
    given = session.run(list(signature.outputs), dict(zip(signature.inputs, examples, strict=True)))
    difference = float(np.max([np.abs(g - e.numpy()).max() for g, e in zip(given, expected, strict=True)]))
    if not difference <= TOLERANCE:
        raise Permanent(f"the exported model differs from the trained one by {difference:.2g}")
    return difference


def config(name: str, signature: Signature, parameters: Mapping[str, str]) -> str:
    """config.pbtxt, Triton's ModelConfig in protobuf text."""
    message = model_config_pb2.ModelConfig(name=name, backend="onnxruntime", max_batch_size=signature.max_batch_size)
    for tensor, shape in signature.inputs.items():
        message.input.add(name=tensor, data_type=model_config_pb2.TYPE_FP32, dims=_dims(shape))
    for tensor, shape in signature.outputs.items():
        message.output.add(name=tensor, data_type=model_config_pb2.TYPE_FP32, dims=_dims(shape),
                           label_filename="labels.txt" if tensor == signature.labelled else "")
    message.version_policy.specific.versions.append(1)
    message.dynamic_batching.SetInParent()  # of what waits already: a lone request is not kept waiting
    for key in sorted(parameters):
        message.parameters[key].string_value = parameters[key]
    return str(text_format.MessageToString(message))


def _dims(shape: tuple[int | None, ...]) -> list[int]:
    return [-1 if size is None else size for size in shape]
