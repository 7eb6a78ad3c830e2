"""What a device can do at most, and what a model asks of it: FLOPs a token, products a second."""

import torch
from bench_gradients_gpu import timed
from transformers import PreTrainedModel

from training.working_copy import multiplies_bfloat16

PEAKS = {
    "NVIDIA H100 80GB HBM3": 989.4,
    "NVIDIA H100 PCIe": 756.0,
    "NVIDIA H200": 989.4,
    "NVIDIA A100": 312.0,
}
"""The vendor's TFLOPS of dense bfloat16 products, by how torch's name of the device begins."""


def flops_per_token(model: PreTrainedModel, length: int) -> int:
    """FLOPs that training a token of a row of so many takes, forward and backward.

    6 for each weight that multiplies (looking up an embedding does not) and, for attention's two
    products, 12 d_model a layer and token of the row; the half that the causal mask hides counts.
    """
    config = model.config
    multiplied = sum(weight.numel() for weight in model.parameters())
    if not config.tie_word_embeddings:
        multiplied -= config.vocab_size * config.hidden_size
    return 6 * multiplied + 12 * config.num_hidden_layers * config.hidden_size * length


def product_rate(device: torch.device, size: int, times: int) -> float:
    """TFLOPS of square bfloat16 products, float32's where those are slow."""
    dtype = torch.bfloat16 if multiplies_bfloat16(device) else torch.float32
    left, right = (torch.randn(size, size, device=device, dtype=dtype) for _ in range(2))

    def multiply() -> None:
        for _ in range(times):
            torch.mm(left, right)

    multiply()
    return 2 * size**3 * times / timed(multiply, device)[1] / 1e12


def vendor_peak(device_name: str) -> float | None:
    """The vendor's TFLOPS, where they are known."""
    return next((peak for name, peak in PEAKS.items() if device_name.startswith(name)), None)
