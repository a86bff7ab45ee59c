"""A python-based Triton backend: serves `backend: "onnxruntime"` models as they stand, where Triton's own is not there.

Triton calls it in a process of its own, with the model's ModelConfig as JSON.
"""

import json
import os
import sys
from pathlib import Path

# The stub's Python does not read it by itself.
sys.path[1:1] = os.environ.get("PYTHONPATH", "").split(os.pathsep)

import numpy as np  # noqa: E402
import onnxruntime  # noqa: E402
import triton_python_backend_utils as utils  # noqa: E402


class TritonPythonModel:
    @staticmethod
    def auto_complete_config(config):
        return config

    def initialize(self, args):
        config = json.loads(args["model_config"])
        self.outputs = [tensor["name"] for tensor in config["output"]]
        self.inputs = [tensor["name"] for tensor in config["input"]]
        folder = Path(args["model_repository"])
        file = folder / args["model_version"] / (config.get("default_model_filename") or "model.onnx")
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        self.session = onnxruntime.InferenceSession(str(file), options, providers=["CPUExecutionProvider"])
        self.hold = os.environ.get("TRIAGE_TEST_HOLD", "")

    def execute(self, requests):
        return [self._answer(request) for request in requests]

    def _answer(self, request):
        if self.hold and Path(self.hold).exists():
            Path(self.hold).read_bytes()
        # Through DLPack: the stub was built for numpy 1 and takes numpy 2's arrays for empty ones.
        given = {name: np.from_dlpack(utils.get_input_tensor_by_name(request, name)) for name in self.inputs}
        answers = self.session.run(self.outputs, given)
        return utils.InferenceResponse([utils.Tensor.from_dlpack(name, np.ascontiguousarray(array))
                                        for name, array in zip(self.outputs, answers, strict=True)])
