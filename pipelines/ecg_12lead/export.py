"""The trained network as a folder of the model repository: model.onnx, config.pbtxt, labels.txt. Training only."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
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
from pipelines.ecg.leads import LEADS
from pipelines.ecg.preprocess import WINDOW
from pipelines.ecg_12lead.labels import OUTPUTS
from pipelines.ecg_12lead.network import Calibrated

TOLERANCE = 1e-4


def write_model(network: nn.Module, slopes: Sequence[float], offsets: Sequence[float], out: Path, *, examples: Floats,
                parameters: Mapping[str, str]) -> str:
    """Write `out`/1/model.onnx, config.pbtxt and labels.txt; returns the SHA-256 of the model file.

    `examples` (records, 12, 1000): the exported graph must say of them what the network says, to 1e-4 (else Permanent).
    """
    model = Calibrated(network, torch.tensor(slopes, dtype=torch.float32),
                       torch.tensor(offsets, dtype=torch.float32)).eval()
    file = out / "1" / "model.onnx"
    file.parent.mkdir(parents=True, exist_ok=True)
    _export(model, file)
    _compare(model, file, examples)
    sha256 = hashlib.sha256(file.read_bytes()).hexdigest()
    (out / "labels.txt").write_text("\n".join(OUTPUTS) + "\n")
    (out / "config.pbtxt").write_text(config(out.name, {"sha256": sha256, **parameters}))
    return sha256


def _export(model: nn.Module, file: Path) -> None:
    batch = torch.export.Dim("batch", min=1, max=1024)
    program = torch.onnx.export(model, (torch.zeros(2, len(LEADS), WINDOW),), dynamo=True, input_names=["ecg"],
                                output_names=["probabilities"], dynamic_shapes={"ecg": {0: batch}}, verbose=False)
    proto = program.model_proto
    for node in proto.graph.node:
        del node.metadata_props[:]
    del proto.graph.metadata_props[:]
    del proto.metadata_props[:]
    onnx.checker.check_model(proto)
    onnx.save_model(proto, str(file), save_as_external_data=False)


def _compare(model: nn.Module, file: Path, examples: Floats) -> None:
    session = onnxruntime.InferenceSession(str(file), providers=["CPUExecutionProvider"])
    with torch.no_grad():
        expected = model(torch.from_numpy(examples)).numpy()
    (given,) = session.run(["probabilities"], {"ecg": examples})
    difference = float(np.abs(given - expected).max())
    if not difference <= TOLERANCE:
        raise Permanent(f"the exported model differs from the trained one by {difference:.2g}")


def config(name: str, parameters: Mapping[str, str]) -> str:
    """config.pbtxt, Triton's ModelConfig in protobuf text."""
    message = model_config_pb2.ModelConfig(name=name, backend="onnxruntime", max_batch_size=64)
    message.input.add(name="ecg", data_type=model_config_pb2.TYPE_FP32, dims=[len(LEADS), WINDOW])
    message.output.add(name="probabilities", data_type=model_config_pb2.TYPE_FP32, dims=[len(OUTPUTS)],
                       label_filename="labels.txt")
    message.version_policy.specific.versions.append(1)
    message.dynamic_batching.max_queue_delay_microseconds = 1000
    for key in sorted(parameters):
        message.parameters[key].string_value = parameters[key]
    return str(text_format.MessageToString(message))
