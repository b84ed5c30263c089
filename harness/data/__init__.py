"""Benchmark tasks, one file each. To add a task: write its file, add it here, and give it a YAML in sweeps/task."""

from __future__ import annotations

from spike_ssm.harness.data.settings import TaskSettings
from spike_ssm.harness.data.task import Task
from spike_ssm.harness.data.tasks import (
    delayed_recall,
    foldoc,
    image,
    listops,
    mnist,
    pathfinder,
    retrieval,
    text,
    wikitext,
)

TASKS: dict[str, tuple[type[Task], type[TaskSettings]]] = {
    "listops": (listops.ListOps, listops.ListOpsSettings),
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
    "delayed_recall": (delayed_recall.DelayedRecall, delayed_recall.DelayedRecallSettings),
}
"""Task name -> (task, its settings). A task is followed by its stand-ins."""
