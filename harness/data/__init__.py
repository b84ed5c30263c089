"""Benchmark tasks, one file each. To add a task: write its file, add it here, and give it a YAML in sweeps/task."""

from __future__ import annotations

from spike_ssm.harness.data.splits import Batch, Split, batches
from spike_ssm.harness.data.task import Baselines, Dataset, Facts, Task, TaskSettings
from spike_ssm.harness.data.tasks import foldoc, image, mnist, pathfinder, retrieval, text, wikitext
from spike_ssm.harness.data.tasks.listops import ListOps, ListOpsSettings

TASKS: dict[str, tuple[type[Task], type[TaskSettings]]] = {
    "listops": (ListOps, ListOpsSettings),
    "text": (text.Text, text.TextSettings),
    "bbc_order": (text.BbcOrder, text.BbcOrderSettings),
    "bbc_articles": (text.BbcArticles, text.BbcArticlesSettings),
    "retrieval": (retrieval.Retrieval, retrieval.RetrievalSettings),
    "bbc_order_pairs": (retrieval.BbcOrderPairs, retrieval.BbcOrderPairsSettings),
    "bbc_pairs": (retrieval.BbcPairs, retrieval.BbcPairsSettings),
    "foldoc": (foldoc.Foldoc, foldoc.FoldocSettings),
    "image": (image.Image, image.ImageSettings),
    "mnist_digits": (mnist.MnistDigits, mnist.MnistDigitsSettings),
    "fashion_mnist": (mnist.FashionMnist, mnist.FashionMnistSettings),
    "pathfinder": (pathfinder.Pathfinder, pathfinder.PathfinderSettings),
    "pathfinder_small": (pathfinder.PathfinderSmall, pathfinder.PathfinderSmallSettings),
    "pathx": (pathfinder.Pathfinder, pathfinder.PathXSettings),
    "pathx_small": (pathfinder.PathfinderSmall, pathfinder.PathXSmallSettings),
    "smnist": (mnist.SMnist, mnist.SMnistSettings),
    "psmnist": (mnist.PsMnist, mnist.PsMnistSettings),
    "wikitext103": (wikitext.Wikitext103, wikitext.Wikitext103Settings),
    "bbc_words": (wikitext.BbcWords, wikitext.BbcWordsSettings),
    "brown": (wikitext.Brown, wikitext.BrownSettings),
}
"""Task name -> (task, its settings). A task is followed by its stand-ins."""

LRA = ("listops", "text", "retrieval", "image", "pathfinder", "pathx")
"""The six tasks of the Long Range Arena."""

ALL = {
    "laptop": ("listops", "bbc_order", "bbc_order_pairs", "mnist_digits", "pathfinder_small", "pathx_small"),
    "gpu": LRA,
    "paper": LRA,
}
"""Scale -> what `task=all` stands for: a task of each of the six kinds of the Long Range Arena."""

__all__ = [
    "ALL",
    "LRA",
    "TASKS",
    "Baselines",
    "Batch",
    "Dataset",
    "Facts",
    "ListOps",
    "ListOpsSettings",
    "Split",
    "Task",
    "TaskSettings",
    "batches",
]
