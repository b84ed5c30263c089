"""Study files: what a registered study asks, runs and counts as an answer."""

from __future__ import annotations

from dataclasses import dataclass, fields

from spike_ssm.harness.config.documents import Documents
from spike_ssm.results.errors import UserError


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
        """Raises `UserError`, naming the file and what it must hold."""
        content = documents.load("study", name)
        text = (str, "a text")
        kinds: dict[str, tuple[type, str]] = {
            **{"title": text, "sweep": text, "budget": (int, "a whole number"), "answers": text},
            **{"robustness": (bool, "true or false"), "questions": (list, "a list")},
        }
        wrong = [key for key, (kind, _) in kinds.items() if not isinstance(content.get(key), kind)]
        unknown = sorted(set(content) - {each.name for each in fields(Study)})
        if wrong or unknown:
            what = f"its {wrong[0]} must be {kinds[wrong[0]][1]}" if wrong else f"{unknown[0]} is not known"
            raise UserError(f"The study file study/{name}.yaml must hold {', '.join(kinds)}: {what}.")
        return Study(**content)
