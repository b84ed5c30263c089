"""Benchmark tasks, one file each. To add a task: write its file, add it here, and give it a YAML in sweeps/task."""

from __future__ import annotations

from spike_ssm.harness.data.own import tasks as own
from spike_ssm.harness.data.settings import TaskSettings
from spike_ssm.harness.data.task import Task
from spike_ssm.harness.data.tasks import (
    delayed_recall,
    fashion_mnist,
    foldoc,
    image,
    listops,
    mnist,
    mnist_digits,
    pathfinder,
    retrieval,
    text,
    wikitext,
)
from spike_ssm.models.named import is_dotted, named_class
from spike_ssm.results.errors import UserError

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
    "mnist_digits": (mnist_digits.MnistDigits, mnist_digits.MnistDigitsSettings),
    "fashion_mnist": (fashion_mnist.FashionMnist, fashion_mnist.FashionMnistSettings),
    "ps_fashion_mnist": (fashion_mnist.PsFashionMnist, fashion_mnist.PsFashionMnistSettings),
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
    "csv_texts": (own.CsvTexts, own.CsvTextsSettings),
    "csv_series": (own.CsvSeries, own.CsvSeriesSettings),
    "folder_texts": (own.FolderTexts, own.FolderTextsSettings),
    "folder_images": (own.FolderImages, own.FolderImagesSettings),
}
"""Task name -> (task, its settings). A task is followed by its stand-ins; the last ones read data of a user's own."""


def find_task(name: str) -> tuple[type[Task], type[TaskSettings]]:
    """The task called `name` and its settings: one of `TASKS`, or a class of the user's by its dotted path.

    Raises `UserError` where there is none.
    """
    if is_dotted(name):
        try:
            return named_class(name, Task, TaskSettings)  # type: ignore[type-abstract]
        except ValueError as error:
            raise UserError(str(error)) from error
    if name not in TASKS:
        raise UserError(
            f"There is no task {name!r}; choose one of {', '.join(TASKS)}, or name a class of yours by its dotted "
            "path, such as my_module.MyTask."
        )
    return TASKS[name]
