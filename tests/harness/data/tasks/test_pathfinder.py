"""Pathfinder: its shards, against the generator called by hand, and the released layout, written by these tests."""

from __future__ import annotations

import io
import re
import tarfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from torch.utils.data import random_split

from spike_ssm.harness.data.contours import snakes
from spike_ssm.harness.data.contours.shapes import Snakes
from spike_ssm.harness.data.contours.shapes import parameters as published
from spike_ssm.harness.data.facts import Baselines
from spike_ssm.harness.data.splits import Split, batches
from spike_ssm.harness.data.task import Dataset
from spike_ssm.harness.data.tasks import pathfinder
from spike_ssm.harness.data.tasks.pathfinder import (
    SPAN,
    GeneratedSettings,
    Pathfinder,
    PathfinderSettings,
    PathfinderSmall,
    PathfinderSmallSettings,
    PathXSettings,
    PathXSmallSettings,
    check_labels,
)
from spike_ssm.results.errors import UserError

SPLITS = ("train", "validation", "test")


def prepare_small(cache: Path, **changes: int) -> Dataset:
    """A few small images of each split."""
    sizes = {"train": 30, "validation": 11, "test": 13, **changes}
    return PathfinderSmall(PathfinderSmallSettings(**sizes)).prepare(cache, cache)  # type: ignore[arg-type]


def rows(split: Split) -> npt.NDArray[np.uint8]:
    """All sequences, [n, length]."""
    return np.stack([split.sequences[0][i] for i in range(len(split))])


def contents(cache: Path) -> dict[str, list[bytes]]:
    """What each split's files hold, end to end over its files."""
    return {split: [path.read_bytes() for path in sorted(cache.rglob(f"{split}-*.arrow"))] for split in SPLITS}


# --- generated


@pytest.mark.parametrize("kind", [PathfinderSmallSettings, PathXSmallSettings, PathfinderSettings])
def test_every_split_holds_the_generators_images_from_its_own_number_on(
    kind: type[GeneratedSettings], tmp_path: Path
) -> None:
    wish = kind(train=20, validation=5, test=6, data_seed=3)
    task = Pathfinder if kind is PathfinderSettings else PathfinderSmall
    data = task(wish).prepare(tmp_path, tmp_path)
    for number, (split, size) in enumerate((("train", 20), ("validation", 5), ("test", 6))):
        made = snakes.generate(wish.parameters(), 3, number * SPAN, size)
        assert np.array_equal(rows(getattr(data, split)), made.images.reshape(size, wish.size**2))
        assert getattr(data, split).labels.tolist() == made.labels.tolist()
    assert data.facts.classes == 2
    assert data.vocabulary is None
    assert len(data.facts.notes) == 1


def test_the_published_sets_have_the_published_parameters() -> None:
    assert PathfinderSettings().parameters() == published(32, 14)
    assert PathfinderSettings(contour_length=6).parameters() == published(32, 6)
    assert PathXSettings().parameters() == published(128, 14)
    for wish in (PathfinderSettings(), PathXSettings()):
        assert (wish.train, wish.validation, wish.test) == (160_000, 20_000, 20_000)


def test_the_small_sets_are_smaller_and_easier_and_one_has_longer_sequences() -> None:
    lengths = [kind().size ** 2 for kind in (PathfinderSmallSettings, PathXSmallSettings, PathfinderSettings)]
    assert lengths == sorted(set(lengths))
    assert PathXSmallSettings().contour_length < 6


def test_values_go_from_minus_one_to_one_as_in_s4(tmp_path: Path) -> None:
    data = prepare_small(tmp_path)
    (batch,) = batches(data.train, 30)
    torch.testing.assert_close(batch.inputs, (torch.from_numpy(rows(data.train)) / 255 - 0.5) / 0.5)
    assert (float(batch.inputs.min()), float(batch.inputs.max())) == (-1, 1)


@settings(max_examples=10, deadline=None)
@given(shard=st.integers(1, 40))
def test_the_data_do_not_depend_on_how_they_are_divided_over_files(
    shard: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    whole = prepare_small(tmp_path_factory.mktemp("whole"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pathfinder, "SHARD", shard)
        parts = prepare_small(tmp_path_factory.mktemp("parts"))
    assert len(parts.train.sequences[0].parts) == -(-30 // shard)
    for split in SPLITS:
        assert np.array_equal(rows(getattr(parts, split)), rows(getattr(whole, split)))
        assert np.array_equal(getattr(parts, split).labels, getattr(whole, split).labels)
    assert parts.baselines == whole.baselines


def test_a_split_does_not_depend_on_the_size_of_another(tmp_path: Path) -> None:
    few, many = prepare_small(tmp_path), prepare_small(tmp_path, train=50)
    assert np.array_equal(rows(many.train)[:30], rows(few.train))
    assert np.array_equal(rows(many.validation), rows(few.validation))
    assert np.array_equal(rows(many.test), rows(few.test))


def test_the_seed_decides_every_split(tmp_path: Path) -> None:
    one, other = prepare_small(tmp_path), prepare_small(tmp_path, data_seed=1)
    for split in SPLITS:
        assert not np.array_equal(rows(getattr(one, split)), rows(getattr(other, split)))


@pytest.mark.parametrize("survivors", [0, 1, 4])
def test_an_interrupted_preparation_goes_on_and_ends_in_the_same_bytes(
    survivors: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pathfinder, "SHARD", 10)  # three files of train, two of validation, two of test
    prepare_small(tmp_path / "uninterrupted")
    generate, made = snakes.generate, []

    def interrupted(parameters: Snakes, seed: int, first: int, count: int) -> snakes.Images:
        if len(made) == survivors:
            raise KeyboardInterrupt
        made.append(first)
        return generate(parameters, seed, first, count)

    monkeypatch.setattr(snakes, "generate", interrupted)
    with pytest.raises(KeyboardInterrupt):
        prepare_small(tmp_path / "interrupted")
    survivors = 99
    prepare_small(tmp_path / "interrupted")
    assert len(made) == len(set(made)) == 7
    assert contents(tmp_path / "interrupted") == contents(tmp_path / "uninterrupted")


def test_a_preparation_draws_nothing_beside_the_display_of_whoever_asked_for_it(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")  # rich takes it for a terminal
    prepare_small(tmp_path)
    assert capfd.readouterr() == ("", "")


def test_in_the_small_images_the_markers_distance_tells_much_and_the_other_rules_little(tmp_path: Path) -> None:
    found = prepare_small(tmp_path, train=4000, test=2000).baselines
    assert found.shortcut_accuracy == found.rules["markers' distance"] > 0.57
    for accuracy in (found.rules["nearest mean"], found.rules["brightness"], found.majority_accuracy):
        assert accuracy == pytest.approx(0.5, abs=0.05)


def test_at_the_published_size_the_markers_distance_tells_little(tmp_path: Path) -> None:
    settings = PathfinderSettings(train=4000, validation=1, test=2000)
    found = Pathfinder(settings).prepare(tmp_path, tmp_path).baselines
    assert found.shortcut_accuracy == found.rules["markers' distance"] == pytest.approx(0.555, abs=0.025)


@pytest.mark.parametrize(("setting", "value"), [("train", 0), ("test", -1), ("data_seed", -1), ("validation", 2**33)])
def test_a_setting_out_of_range_is_a_sentence(setting: str, value: int) -> None:
    with pytest.raises(UserError, match=rf"^task\.{setting}={value} is not allowed: .*\.$"):
        PathfinderSettings(**{setting: value})  # type: ignore[arg-type]


@pytest.mark.parametrize(("size", "length"), [(33, 14), (32, 7)])
def test_a_set_that_was_not_published_is_a_sentence(size: int, length: int) -> None:
    with pytest.raises(UserError, match=rf"size={size} with contour_length={length}: .*\.$"):
        PathfinderSettings(size=size, contour_length=length)


def test_small_images_without_room_are_a_sentence() -> None:
    with pytest.raises(UserError, match=r"seed_distance=\d+ is not allowed: .*size=9.*\.$"):
        PathfinderSmallSettings(size=9)


# --- released


def png(array: npt.NDArray[np.uint8]) -> bytes:
    file = io.BytesIO()
    Image.fromarray(array).save(file, "PNG")
    return file.getvalue()


def write_release(
    files: Path, size: int = 32, folder: str = "curv_contour_length_14", images: int = 40
) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8]]:
    """LRA's layout: PNG files in batches, and one line of text an image in a file called .npy."""
    random = np.random.default_rng(0)
    pixels, labels = random.integers(0, 256, (images, size, size), np.uint8), random.integers(0, 2, images)
    root = files / "lra_release" / "lra_release" / f"pathfinder{size}" / folder
    contour_length = {"curv_baseline": 6, "curv_contour_length_9": 9, "curv_contour_length_14": 14}[folder]
    (root / "metadata").mkdir(parents=True)
    for batch in range(4):
        (root / "imgs" / str(batch)).mkdir(parents=True)
        lines = []
        for index, number in enumerate(range(batch * images // 4, (batch + 1) * images // 4)):
            (root / "imgs" / str(batch) / f"sample_{index}.png").write_bytes(png(pixels[number]))
            lines.append(
                f"imgs/{batch} sample_{index}.png {index} {labels[number]} 1.0 {contour_length} 4 2 0.5 1 2.0\n"
            )
        (root / "metadata" / f"{batch}.npy").write_text("".join(lines))
    return pixels, labels.astype(np.uint8)


def prepare_released(files: Path, cache: Path | None = None, **changes: int) -> Dataset:
    wish = PathfinderSettings(released=True, **changes)  # type: ignore[arg-type]
    return Pathfinder(wish).prepare(cache or files.parent / "cache", files)


@pytest.mark.parametrize(
    ("size", "length", "folder"),
    [(32, 14, "curv_contour_length_14"), (32, 6, "curv_baseline"), (128, 9, "curv_contour_length_9")],
)
def test_the_release_is_divided_as_s4_divides_it(size: int, length: int, folder: str, tmp_path: Path) -> None:
    pixels, labels = write_release(tmp_path / "files", size, folder)
    data = prepare_released(tmp_path / "files", size=size, contour_length=length)
    generator = torch.Generator().manual_seed(42)
    for split, part in zip(SPLITS, random_split(range(40), [32, 4, 4], generator), strict=True):  # type: ignore[arg-type]
        index = list(part.indices)
        assert np.array_equal(rows(getattr(data, split)), pixels[index].reshape(len(index), -1))
        assert getattr(data, split).labels.tolist() == labels[index].tolist()
    assert list(data.facts.notes) == ["This copy has 40 images where the release has 200,000."]


def test_the_released_archive_is_unpacked_where_only_it_is_there(tmp_path: Path) -> None:
    write_release(tmp_path / "files")
    archived = tmp_path / "archived"
    archived.mkdir()
    with tarfile.open(archived / "lra_release.gz", "w:gz") as archive:
        archive.add(tmp_path / "files" / "lra_release", "lra_release")
    one, other = prepare_released(tmp_path / "files"), prepare_released(archived, tmp_path / "other")
    for split in SPLITS:
        assert np.array_equal(rows(getattr(one, split)), rows(getattr(other, split)))


def test_how_the_release_is_divided_over_files_does_not_matter(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_release(tmp_path / "files")
    whole = prepare_released(tmp_path / "files")
    monkeypatch.setattr(pathfinder, "SHARD", 3)
    parts = prepare_released(tmp_path / "files", tmp_path / "other")
    assert len(parts.train.sequences[0].parts) == 11
    for split in SPLITS:
        assert np.array_equal(rows(getattr(parts, split)), rows(getattr(whole, split)))


def test_fewer_released_images_are_the_first_of_the_same_splits_and_are_noted(tmp_path: Path) -> None:
    write_release(tmp_path / "files")
    whole, few = prepare_released(tmp_path / "files"), prepare_released(tmp_path / "files", train=10, test=2)
    assert np.array_equal(rows(few.train), rows(whole.train)[:10])
    assert np.array_equal(rows(few.validation), rows(whole.validation))
    assert np.array_equal(rows(few.test), rows(whole.test)[:2])
    assert few.facts.notes[1:] == [
        "Of the 32 train examples, 10 drawn at random are used.",
        "Of the 4 test examples, 2 drawn at random are used.",
    ]


def test_a_missing_release_is_a_sentence_that_says_where_it_comes_from(tmp_path: Path) -> None:
    (tmp_path / "files").mkdir()
    with pytest.raises(UserError, match=r"^Pathfinder of 32 x 32 is missing: .* pathfinder/pathfinder32; .*\.$"):
        prepare_released(tmp_path / "files")


def test_a_missing_difficulty_is_a_sentence(tmp_path: Path) -> None:
    write_release(tmp_path / "files")
    with pytest.raises(UserError, match=r"^\S*curv_baseline/metadata cannot be read .*\.$"):
        prepare_released(tmp_path / "files", contour_length=6)


def test_too_few_images_are_a_sentence(tmp_path: Path) -> None:
    write_release(tmp_path / "files", images=8)
    with pytest.raises(UserError, match=r"^\S*pathfinder32 holds only 8 images, too few to divide: .*\.$"):
        prepare_released(tmp_path / "files")


@pytest.mark.parametrize(
    ("damage", "sentence"),
    [
        (lambda root: (root / "imgs/2/sample_3.png").unlink(), r"imgs/2/sample_3\.png cannot be read .*"),
        (lambda root: (root / "imgs/2/sample_3.png").write_bytes(b"x"), r"imgs/2/sample_3\.png is damaged .*"),
        (
            lambda root: (root / "metadata/1.npy").write_text("imgs/1 sample_0.png 0 7\n"),
            r"metadata/1\.npy, line 1: .*",
        ),
    ],
)
def test_a_damaged_release_is_a_sentence_and_leaves_nothing(
    damage: Callable[[Path], object], sentence: str, tmp_path: Path
) -> None:
    write_release(tmp_path / "files")
    root = tmp_path / "files" / "lra_release" / "lra_release" / "pathfinder32" / "curv_contour_length_14"
    damage(root)
    with pytest.raises(UserError, match=rf"^{re.escape(str(root))}/{sentence}\.$"):
        prepare_released(tmp_path / "files")
    assert not list((tmp_path / "cache").rglob("*.arrow"))


HARD = "lra_release/lra_release/pathfinder32/curv_contour_length_14"


@pytest.mark.fault(
    "The metadata of released Pathfinder images list an image twice, or are of another difficulty.",
    "One sentence that names the file and the line; nothing is prepared.",
)
@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda text: text * 2, r"metadata/2\.npy, line 11: imgs/2 sample_0\.png is listed for the second time: .*"),
        (
            lambda text: text.replace(" 14 ", " 6 "),
            r"metadata/2\.npy, line 1: the contour length is 6 where curv_contour_length_14 has 14: .*",
        ),
    ],
    ids=["doubled list", "another difficulty"],
)
def test_metadata_that_cannot_be_right_are_a_sentence(
    change: Callable[[str], str], sentence: str, tmp_path: Path
) -> None:
    write_release(tmp_path / "files")
    path = tmp_path / "files" / HARD / "metadata" / "2.npy"
    path.write_text(change(path.read_text()))
    with pytest.raises(UserError, match=rf"^{re.escape(str(tmp_path / 'files' / HARD))}/{sentence}\.$"):
        prepare_released(tmp_path / "files")


def test_images_that_repeat_others_are_noted(tmp_path: Path) -> None:
    write_release(tmp_path / "files")
    images = tmp_path / "files" / HARD / "imgs"
    (images / "1" / "sample_3.png").write_bytes((images / "0" / "sample_2.png").read_bytes())
    notes = prepare_released(tmp_path / "files").facts.notes
    assert "1 of the images repeat others, which may be in another split." in notes


@pytest.mark.fault(
    "The release holds Pathfinder in its outer folder too.",
    "The inner one is read, as elsewhere, and the report notes that there is another.",
)
def test_of_two_folders_the_inner_one_is_read_and_noted(tmp_path: Path) -> None:
    pixels, _ = write_release(tmp_path / "files" / "lra_release")
    write_release(tmp_path / "files", images=20)
    data = prepare_released(tmp_path / "files")
    assert len(data.train) + len(data.validation) + len(data.test) == len(pixels)
    inner, outer = (f"lra_release/lra_release/{folder}pathfinder32" for folder in ("lra_release/", ""))
    assert data.facts.notes[0] == f"Read from {inner}, though there is {outer} too."


@pytest.mark.fault(
    "The labels of released Pathfinder images are of other images.",
    "One sentence: the rules that always tell a little of the labels tell nothing.",
)
def test_labels_of_other_images_are_a_sentence() -> None:
    """What the rules reach on the generated images is in the documentation; here 55.5 % of 20,000, or chance."""

    def found(accuracy: float) -> Baselines:
        return Baselines(0.501, {"markers' distance": accuracy, "nearest mean": 0.5, "brightness": 0.503})

    check_labels(found(0.555), 20_000)
    check_labels(found(0.503), 4)
    with pytest.raises(UserError, match=r"^The labels seem to belong to other images: .* Long Range Arena .*\.$"):
        check_labels(found(0.503), 20_000)
