"""Trained networks as folders of the model repository: model.onnx, config.pbtxt, labels.txt. Training only."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

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
    """Names and shapes (without the batch) of a model's input and outputs."""

    input_name: str
    input_shape: tuple[int, ...]
    outputs: Mapping[str, tuple[int, ...]]


def write_model(network: nn.Module, signature: Signature, out: Path, *, examples: Floats, labels: Sequence[str],
                parameters: Mapping[str, str]) -> str:
    """Write `out`/1/model.onnx, config.pbtxt and labels.txt; returns the SHA-256 of the model file.

    The exported graph must say of `examples` what the network says, to 1e-4 (else Permanent).
    """
    file = out / "1" / "model.onnx"
    file.parent.mkdir(parents=True, exist_ok=True)
    _export(network.eval(), signature, file)
    _compare(network, signature, file, examples)
    sha256 = hashlib.sha256(file.read_bytes()).hexdigest()
    (out / "labels.txt").write_text("\n".join(labels) + "\n")
    (out / "config.pbtxt").write_text(_config(out.name, signature, {"sha256": sha256, **parameters}))
    return sha256


def _export(network: nn.Module, signature: Signature, file: Path) -> None:
    batch = torch.export.Dim("batch", min=1, max=1024)
    program = torch.onnx.export(network, (torch.zeros(2, *signature.input_shape),), dynamo=True,
                                input_names=[signature.input_name], output_names=list(signature.outputs),
                                dynamic_shapes=({0: batch},), verbose=False)
    proto = program.model_proto
    for node in proto.graph.node:
        del node.metadata_props[:]
    del proto.graph.metadata_props[:]
    del proto.metadata_props[:]
    onnx.checker.check_model(proto)
    onnx.save_model(proto, str(file), save_as_external_data=False)


def _compare(network: nn.Module, signature: Signature, file: Path, examples: Floats) -> None:
    session = onnxruntime.InferenceSession(str(file), providers=["CPUExecutionProvider"])
    with torch.no_grad():
        answer = network(torch.from_numpy(examples))
    expected = answer if isinstance(answer, tuple) else (answer,)
    given = session.run(list(signature.outputs), {signature.input_name: examples})
    difference = max(float(np.abs(g - e.numpy()).max()) for g, e in zip(given, expected, strict=True))
    if not difference <= TOLERANCE:
        raise Permanent(f"the exported model differs from the trained one by {difference:.2g}")


def _config(name: str, signature: Signature, parameters: Mapping[str, str]) -> str:
    """config.pbtxt, Triton's ModelConfig in protobuf text."""
    message = model_config_pb2.ModelConfig(name=name, backend="onnxruntime", max_batch_size=32)
    message.input.add(name=signature.input_name, data_type=model_config_pb2.TYPE_FP32, dims=signature.input_shape)
    for output, shape in signature.outputs.items():
        message.output.add(name=output, data_type=model_config_pb2.TYPE_FP32, dims=shape)
    message.version_policy.specific.versions.append(1)
    for key in sorted(parameters):
        message.parameters[key].string_value = parameters[key]
    return str(text_format.MessageToString(message))
