"""Running models: in process with ONNX Runtime, or on a Triton server."""

from adapters.inference.opening import open_inference

__all__ = ["open_inference"]
