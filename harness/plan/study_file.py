"""Study files: what a registered study asks, runs and counts as an answer."""

from __future__ import annotations

from dataclasses import dataclass

from spike_ssm.harness.config.documents import Documents
from spike_ssm.results.documents import read_document


@dataclass(frozen=True)
class Study:
    """What a file sweeps/study/NAME.yaml holds: `budget` trials for each variant of `sweep`, then `seeds` runs."""

    title: str
    sweep: str
    budget: int
    robustness: bool
    questions: list[str]
    answers: str  # what will count as one

    @staticmethod
    def read(documents: Documents, name: str) -> Study:
        """The study file `name`. Raises `UserError`, naming the file and what it must hold."""
        return read_document(Study, documents.load("study", name), f"study/{name}.yaml")
