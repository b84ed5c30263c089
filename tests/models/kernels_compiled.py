"""The GPU kernels compiled for GPUs that need not be here: run by test_triton_kernels.py in a process of its own."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import triton
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource

from spike_ssm.models.ops.refractory_lif import fused_triton, pmbc_triton
from spike_ssm.models.ssm.scan import scan_triton

SOFT = {"reset": "soft", "raises": False, "whole": True}
HARD = {"reset": "hard", "raises": True, "whole": True}
BACK = {"surrogate": "piecewise_quadratic", "spread": 1.0, "detach": True}
THROUGH = {"surrogate": "sigmoid", "spread": 0.8, "detach": False}
COMPLEX = {"columns": 64, "planes": 2, "ahead": 0}
REAL = {"columns": 64, "planes": 1, "ahead": 1}
CASES = [
    (fused_triton._forward_kernel, {**SOFT, "keep_potential": False}, "fp32"),
    (fused_triton._forward_kernel, {**HARD, "keep_potential": True}, "fp64"),
    (fused_triton._forward_kernel, {**SOFT, "keep_potential": True, "whole": False}, "fp32"),
    (fused_triton._backward_kernel, {**SOFT, **BACK}, "fp32"),
    (fused_triton._backward_kernel, {**SOFT, **THROUGH}, "fp32"),
    (fused_triton._backward_kernel, {**HARD, **THROUGH}, "fp64"),
    (pmbc_triton._certify_kernel, {"resets": True, "raises": False}, "fp32"),
    (pmbc_triton._certify_kernel, {"resets": False, "raises": True}, "fp64"),
    (pmbc_triton._backward_kernel, {"resets": True, "raises": False, "surrogate": "arctan", "spread": 1.0}, "fp32"),
    (pmbc_triton._backward_kernel, {"resets": False, "raises": True, "surrogate": "sigmoid", "spread": 0.5}, "fp64"),
    (scan_triton._forward_kernel, COMPLEX, "fp32"),
    (scan_triton._forward_kernel, REAL, "fp64"),
    (scan_triton._edges_kernel, COMPLEX, "fp32"),
    (scan_triton._edges_kernel, REAL, "fp64"),
    (scan_triton._backward_kernel, COMPLEX, "fp32"),
    (scan_triton._backward_kernel, REAL, "fp64"),
]
LAUNCHES = {
    scan_triton._forward_kernel: scan_triton.LAUNCH,
    scan_triton._edges_kernel: scan_triton.LAUNCH,
    scan_triton._backward_kernel: scan_triton.LAUNCH_BACKWARD,
}
NUMBERS = ("rows", "batch", "channels", "length")
IN_DOUBLE = ("by_inward", "by_outward", "by_within", "by_kept")


def compiled(kernel: Any, constants: dict[str, Any], dtype: str, capability: int) -> dict[str, Any]:
    """The stages of compilation by name, for pointers and lengths that are multiples of 16 where `whole`."""
    kinds = {"iterations": "*i64"} | dict.fromkeys(IN_DOUBLE, "*fp64")
    kinds |= dict.fromkeys(NUMBERS, "i32") | dict.fromkeys(constants, "constexpr")
    signature = {name: kinds.get(name, f"*{dtype}") for name in kernel.arg_names}
    aligned = [name for name, kind in signature.items() if kind.startswith("*")]
    aligned += ["length"] if signature["length"] == "i32" and constants.get("whole", True) else []
    source = ASTSource(
        kernel,
        signature,
        {(kernel.arg_names.index(name),): value for name, value in constants.items()},
        {(kernel.arg_names.index(name),): [["tt.divisibility", 16]] for name in aligned},
    )
    target = GPUTarget("cuda", capability, 32)
    asm: dict[str, Any] = triton.compile(source, target=target, options=LAUNCHES.get(kernel, fused_triton.LAUNCH)).asm
    return asm


def spilled_bytes(cubin: bytes, path: Path) -> int:
    """Of each thread, to memory, for want of registers."""
    path.write_bytes(cubin)
    tool = Path(triton.__file__).parent / "backends" / "nvidia" / "bin" / "cuobjdump"
    usage = subprocess.run([tool, "-res-usage", path], capture_output=True, text=True, check=True).stdout
    (stack,) = re.findall(r"STACK:(\d+)", usage)
    return int(stack)


@pytest.mark.parametrize("capability", [80, 90])
@pytest.mark.parametrize(("kernel", "constants", "dtype"), CASES)
def test_every_kernel_compiles(
    kernel: Any, constants: dict[str, Any], dtype: str, capability: int, tmp_path: Path
) -> None:
    asm = compiled(kernel, constants, dtype, capability)
    assert asm["cubin"].startswith(b"\x7fELF")
    if dtype == "fp32":
        assert ("ld.global.v4" in asm["ptx"]) == constants.get("whole", True)
        assert spilled_bytes(asm["cubin"], tmp_path / "kernel.cubin") == 0


@pytest.mark.parametrize("kernel", [fused_triton._forward_kernel, pmbc_triton._certify_kernel])
def test_where_spikes_are_decided_no_product_is_fused_with_a_sum(kernel: Any) -> None:
    (constants,) = (constants for case, constants, dtype in CASES if case is kernel and dtype == "fp64")
    assert "fma" not in compiled(kernel, constants, "fp64", 90)["ptx"]


@pytest.mark.parametrize(
    ("kernel", "constants"),
    [(kernel, constants) for kernel, constants, dtype in CASES if dtype == "fp64"],
)
def test_a_single_step_of_a_single_row_compiles_where_these_sizes_become_constants(
    kernel: Any, constants: dict[str, Any]
) -> None:
    ones = {name: 1 for name in NUMBERS if name in kernel.arg_names}
    partial = {"whole": False} if "whole" in constants else {}
    assert compiled(kernel, constants | partial | ones, "fp32", 90)["cubin"]
