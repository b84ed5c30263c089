"""Delayed recall: a class is shown, noise follows, and at the end it is asked for: a probe of memory to be dialled.

Ours. A sequence of `length` tokens: noise, `shown` times the same symbol of a class, `delay` tokens of noise, and a
question mark. Noise has symbols of its own, so who remembers the symbol for `delay` steps answers everything (100 %),
and who sees the last steps alone is at chance. With `model.pooling=last` and a causal network the answer must come
through the network's state; with `mean` the head sees the symbol itself.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from spike_ssm.harness.data.cache import Preparation
from spike_ssm.harness.data.facts import Facts
from spike_ssm.harness.data.rules import Answers, Rule, by_naive_bayes
from spike_ssm.harness.data.settings import LONGEST, TaskSettings
from spike_ssm.harness.data.splits import SPLITS, Flat, Integers, Shard, Split
from spike_ssm.harness.data.task import Task
from spike_ssm.results.errors import UserError

NOISE = tuple("abcdefgh")
"""Symbols of the noise, all as frequent."""

QUESTION = "?"
SEEN = 32
"""Tokens at the end that the shortcut sees."""


@dataclass
class DelayedRecallSettings(TaskSettings):
    """Lengths in tokens, and examples of each split. Raises `UserError`.

    classes: as many symbols, all as frequent. shown: how often the class's symbol stands. delay: tokens of noise
    between it and the question.
    """

    limits: ClassVar = {
        "classes": (2, 26),
        **dict.fromkeys(("length", "shown"), (1, LONGEST)),
        "delay": (0, LONGEST),
        **dict.fromkeys(SPLITS, (1, 10_000_000)),
        "data_seed": (0, 2**63 - 1),
    }
    name: str = "delayed_recall"
    classes: int = 8
    length: int = 1024
    shown: int = 4
    delay: int = 512
    train: int = 6_000
    validation: int = 1_000
    test: int = 2_000
    data_seed: int = 0

    def __post_init__(self) -> None:
        """Check every value."""
        super().__post_init__()
        most = self.length - self.shown - 1
        if self.delay > most:
            raise UserError(
                f"task.delay={self.delay} is longer than the sequence: of task.length={self.length} tokens "
                f"{self.shown} show the class and one asks, which leaves a delay of at most {most}."
            )


def _last_tokens(train: Split, test: Split, facts: Facts) -> Answers:
    """The answers to `test` of who sees the last tokens alone."""

    def seen(split: Split, facts: Facts) -> Iterator[Integers]:  # noqa: ARG001
        return (sequence[-SEEN:].astype(np.int64) for sequence in split.sequences[0])

    return by_naive_bayes(seen)(train, test, facts)


LAST_TOKENS = Rule("last tokens", f"Naive Bayes on the last {SEEN} tokens, whatever their order.", _last_tokens)


class DelayedRecall(Task):
    """Which class was shown. Tokens are uint8: the classes' symbols A, B and so on, then noise, then the question."""

    rules: ClassVar[Sequence[Rule]] = (LAST_TOKENS,)
    source: ClassVar[str] = "Generated; ours."

    def build(self, preparation: Preparation, files: Path) -> Facts:  # noqa: ARG002
        """Generate all three splits."""
        for number, split in enumerate(SPLITS):
            preparation.write(split, 0, partial(_shard, self.settings, number))
        symbols = [chr(ord("A") + number) for number in range(self.settings.classes)]
        return Facts(self.settings.classes, [*symbols, *NOISE, QUESTION])


def _shard(settings: DelayedRecallSettings, split: int) -> Shard:
    """The examples of a split, which no other split's size changes."""
    count, generator = getattr(settings, SPLITS[split]), np.random.default_rng([settings.data_seed, split])
    classes = settings.classes
    labels = generator.integers(0, classes, count, dtype=np.uint8)
    tokens = generator.integers(classes, classes + len(NOISE), (count, settings.length), dtype=np.uint8)
    end = settings.length - 1 - settings.delay
    tokens[:, end - settings.shown : end] = labels[:, None]
    tokens[:, -1] = classes + len(NOISE)
    offsets: npt.NDArray[np.int64] = np.arange(count + 1, dtype=np.int64) * settings.length
    return Shard((Flat(tokens.ravel(), offsets),), labels)
