"""What a device can do at most: products a second."""

import torch
from bench_gradients_gpu import timed

from training.working_copy import multiplies_bfloat16

PEAKS = {
    "NVIDIA H100 80GB HBM3": 989.4,
    "NVIDIA H100 PCIe": 756.0,
    "NVIDIA H200": 989.4,
    "NVIDIA A100": 312.0,
}
"""The vendor's TFLOPS of dense bfloat16 products, by how torch's name of the device begins."""


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
