"""Half precision where the machine computes faster with it. Needs the `train` extra."""

from __future__ import annotations

from typing import Any

import torch


def half_where_fast(device: torch.device | str) -> Any:
    """Autocast to bfloat16: on a CUDA device, and on processors that multiply it; else nothing changes."""
    kind = torch.device(device).type
    fast = kind == "cuda" or bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())
    return torch.autocast(kind, dtype=torch.bfloat16, enabled=fast)
