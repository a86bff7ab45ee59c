"""Names, types, shapes and batches of what goes into a model and comes out, against its config.pbtxt. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from tritonclient.grpc import model_config_pb2
from tritonclient.utils import triton_to_np_dtype

from gateway.errors import Permanent
from gateway.pipeline import Array

Arrays = dict[str, Array]


def type_name(tensor: Any) -> str:
    """Triton's wire name of a config tensor's type: `FP32`, `INT64`, `BYTES`..."""
    name = model_config_pb2.DataType.Name(tensor.data_type).removeprefix("TYPE_")
    return "BYTES" if name == "STRING" else str(name)


def check_inputs(config: Any, inputs: Mapping[str, Array], outputs: Sequence[str]) -> None:
    """Raises Permanent unless the inputs are exactly those of the config and the outputs among its own."""
    wanted = {tensor.name: tensor for tensor in config.input}
    if wanted.keys() != inputs.keys():
        raise Permanent(f"model {config.name} takes {sorted(wanted)}, given {sorted(inputs)}")
    unknown = set(outputs) - {tensor.name for tensor in config.output}
    if unknown or not outputs:
        raise Permanent(f"model {config.name} has no output {sorted(unknown)}")
    for name, array in inputs.items():
        _check(config, wanted[name], array)
    if config.max_batch_size > 0 and len({len(array) for array in inputs.values()}) != 1:
        raise Permanent(f"the inputs of model {config.name} have different batch sizes")


def check_outputs(config: Any, answer: Mapping[str, Array], batch: int) -> None:
    """Raises Permanent when what came back is not what the config says, or not for all of the batch."""
    for tensor in config.output:
        if tensor.name in answer:
            _check(config, tensor, answer[tensor.name])
            if config.max_batch_size > 0 and len(answer[tensor.name]) != batch:
                raise Permanent(f"model {config.name} answered for {len(answer[tensor.name])} of {batch}")


def _check(config: Any, tensor: Any, array: Array) -> None:
    if array.dtype != np.dtype(triton_to_np_dtype(type_name(tensor))):
        raise Permanent(f"{tensor.name} of model {config.name} is {type_name(tensor)}, not {array.dtype}")
    dims = tuple(tensor.dims)
    shape = array.shape[1:] if config.max_batch_size > 0 else array.shape
    fits = len(shape) == len(dims) and all(d in (-1, s) for d, s in zip(dims, shape, strict=True))
    if not fits or not array.size:
        raise Permanent(f"{tensor.name} of model {config.name} has shape {dims}, not {shape}")


def in_batches(config: Any, inputs: Mapping[str, Array], run: Callable[[Arrays], Arrays]) -> Arrays:
    """`run` on parts of at most `max_batch_size`, the answers joined."""
    answers = [run(part) for part in _parts(config.max_batch_size, inputs)]
    if len(answers) == 1:
        return answers[0]
    return {name: np.concatenate([answer[name] for answer in answers]) for name in answers[0]}


def _parts(limit: int, inputs: Mapping[str, Array]) -> Iterator[Arrays]:
    batch = len(next(iter(inputs.values())))
    if limit <= 0 or batch <= limit:
        yield dict(inputs)
        return
    for start in range(0, batch, limit):
        yield {name: array[start:start + limit] for name, array in inputs.items()}
