"""Sets of tasks that sweeps name."""

from __future__ import annotations

LRA = ("listops", "text", "retrieval", "image", "pathfinder", "pathx")
"""The six tasks of the Long Range Arena."""

ALL = {
    "laptop": ("listops", "bbc_order", "bbc_order_pairs", "mnist_digits", "pathfinder_small", "pathx_small"),
    "workstation": ("listops", "bbc_order", "bbc_order_pairs", "fashion_mnist", "pathfinder", "pathx_small"),
    "gpu": LRA,
    "paper": LRA,
}
"""Scale -> what `task=all` stands for: a task of each of the six kinds of the Long Range Arena."""
