"""Schema of what a run leaves: one row of one parquet file, and the manifest of the sweep that asked for it.

Units are in the field names or comments. Every fraction lies in [0, 1]. A run that failed has the same columns, with
a `status` that says how, a readable `error` and nulls for what was never measured.
"""

from __future__ import annotations

import shlex
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

import pyarrow as pa

from spike_ssm.results.documents import read_document
from spike_ssm.results.errors import UserError
from spike_ssm.results.names import check_line, check_name, texts_in
from spike_ssm.results.tuning.record import Tuning

SCHEMA_VERSION = 1
VERSION_KEY = b"spike_ssm.schema_version"  # of it, in the footer of a file

MEASUREMENTS = ("speed", "pmbc_map")
"""Tasks that train nothing: their runs have no accuracy, and a section of their own in the report."""

LANGUAGE = ("wikitext103", "bbc_words", "brown")
"""Tasks of the next word: their runs have a perplexity, and neither predictions nor groups."""

Status = Literal["done", "failed", "timed out", "out of memory", "cancelled"]

FAILURES: tuple[Status, ...] = ("failed", "timed out", "out of memory", "cancelled")
"""Statuses of runs that ended without a result that counts."""

OF_A_FAILURE = ("error", "traceback", "log_tail")
"""Columns that only such runs have; they quote the machine that a run failed on."""

EPOCHS = pa.list_(
    pa.struct(
        [
            ("epoch", pa.int32()),  # counted from 1
            ("train_loss", pa.float64()),  # mean cross entropy, nats per example; no penalty on firing rates in it
            ("train_accuracy", pa.float64()),
            ("validation_loss", pa.float64()),
            ("validation_accuracy", pa.float64()),
            ("learning_rate", pa.float64()),  # of the base group at the end of the epoch
            ("seconds", pa.float64()),
        ]
    )
)

LAYERS = pa.list_(
    pa.struct(
        [
            ("layer", pa.int32()),  # counted from 0, the layer next to the encoder
            # Firing: nulls where the neurons do not spike.
            ("firing_rate", pa.float64()),  # spikes / (channels * real tokens), test set, evaluation mode
            ("silent", pa.float64()),  # share of channels that fire at less than 0.1 % of the steps
            ("saturated", pa.float64()),  # share of channels that fire at more than 90 % of the steps
            # How spikes follow each other, models/intervals.py; nulls where there are none.
            ("spike_after_spike", pa.float64()),  # share of spikes that are followed by one a step later
            ("spike_after_spike_by_chance", pa.float64()),  # the same if each channel fired at random, at its own rate
            ("interval_variation", pa.float64()),  # sd / mean of a channel's steps from spike to spike, channels' mean
            ("run_length", pa.float64()),  # mean number of spikes in a row
            ("input_std", pa.float64()),  # standard deviation of the neuron's input, mean over channels
            ("input_std_before", pa.float64()),  # the same before training, first training batch, training mode
            # Neuron parameters, mean over channels, before training (calibrated) and after; nulls where there are none.
            ("leak_before", pa.float64()),
            ("leak_after", pa.float64()),
            ("threshold_before", pa.float64()),
            ("threshold_after", pa.float64()),
            ("refractory_before", pa.float64()),  # in units of the threshold
            ("refractory_after", pa.float64()),
            ("decay_before", pa.float64()),
            ("decay_after", pa.float64()),
        ]
    )
)

OPERATIONS = pa.list_(
    pa.struct(
        [
            ("layer", pa.int32()),  # null for what is of no layer
            ("part", pa.string()),  # one of models.operations.PARTS
            ("multiply_accumulates", pa.float64()),  # per token, at the firing rate on the test set
            ("accumulates", pa.float64()),
        ]
    )
)

TIME_BINS = 32
"""Most values of a firing rate over time."""

POTENTIAL_EDGES = tuple(tenths / 10 for tenths in range(-30, 31))
"""Edges of the bins in which membrane potentials are counted, in units of the threshold, which is one of them."""

INTERVAL_EDGES = (1, 2, 3, 4, 5, 7, 9, 13, 17, 25, 33, 49, 65, 97, 129, 193, 257, 385, 513, 769, 1024)
"""Least steps of the bins in which intervals between spikes, and runs of spikes, are counted; the last has no end."""

TRACES = pa.list_(
    pa.struct(
        [
            ("layer", pa.int32()),
            # Of the whole test set, evaluation mode: the steps of a sequence, from its first, in bins of equal width.
            ("bin_steps", pa.int32()),
            ("rate_over_time", pa.list_(pa.float64())),  # firing rate in each bin
            ("tokens_over_time", pa.list_(pa.int64())),  # real tokens in each bin
            # Of the whole test set: intervals from a spike to the next, and runs of spikes in a row, by INTERVAL_EDGES.
            ("intervals", pa.list_(pa.int64())),
            ("runs", pa.list_(pa.int64())),
            # Of the first test examples, for themselves: potentials at real tokens below the first of POTENTIAL_EDGES,
            # from each up to the next, and from the last on; null where neurons have no threshold.
            ("potential", pa.list_(pa.int64())),
            # Of the first test example, the first of a pair: spikes of some channels, see results/raster.py; null
            # where neurons send more than 0 and 1.
            ("raster", pa.binary()),
            ("raster_steps", pa.int32()),
        ]
    )
)

TRACED = ("traces", "example_symbols", "example_levels")
"""Columns of what a run keeps of the inside of its neurons, and of what they saw."""

PMBC_MAP = pa.list_(
    pa.struct(
        [
            ("leak", pa.float64()),
            ("decay", pa.float64()),
            ("refractory", pa.float64()),  # in units of the threshold
            ("input_mean", pa.float64()),  # of the normally distributed input, in units of the threshold
            ("input_scale", pa.float64()),  # its standard deviation
            ("firing_rate", pa.float64()),  # of the exact spikes
            ("undetermined", pa.list_(pa.float64())),  # fraction of positions after 1, 2, ... iterations (paper mode)
            ("iterations", pa.int32()),  # until all is determined, the most of any chunk of steps (certified mode)
        ]
    )
)

ROBUSTNESS = pa.list_(
    pa.struct(
        [
            ("corruption", pa.string()),  # one of harness.config.robustness.RANGES
            ("level", pa.float64()),  # the first of a corruption is the one that changes nothing
            ("accuracy", pa.float64()),  # null where the corruption has no meaning for the network
            ("firing_rate", pa.float64()),  # as corrupted, mean over layers; null where the neurons do not spike
            ("examples", pa.int32()),  # that the accuracy is of
            ("reason", pa.string()),  # why there is no accuracy, in a few words that follow the variant's name
        ]
    )
)

RULES = pa.list_(pa.struct([("name", pa.string()), ("accuracy", pa.float64())]))

GROUPS = pa.list_(
    pa.struct(
        [
            ("grouping", pa.string()),  # a question by which test examples are parted; SHORTCUT: is its answer right?
            ("group", pa.string()),
            ("examples", pa.int32()),
            ("accuracy", pa.float64()),  # of the tested weights
            ("shortcut_accuracy", pa.float64()),
        ]
    )
)

SHORTCUT, WRONG = "shortcut", "wrong"
"""The grouping by whether the shortcut's answer is right, and the group of examples for which it is not."""

PREDICTIONS = pa.list_(
    pa.struct(
        [
            ("example", pa.int32()),  # position in the test set
            ("label", pa.int32()),
            ("prediction", pa.int32()),
            ("score", pa.float32()),  # softmax probability of the prediction
        ]
    )
)

RUN = pa.schema(
    [
        ("id", pa.string()),
        ("schema_version", pa.int32()),
        ("status", pa.string()),  # done, or one of FAILURES
        ("error", pa.string()),  # one sentence for people; null when done
        ("traceback", pa.string()),
        ("log_tail", pa.string()),  # the last lines that a failed run printed
        ("task", pa.string()),
        ("neuron", pa.string()),
        ("scale", pa.string()),  # laptop | gpu | paper
        ("seed", pa.int64()),
        ("config", pa.string()),  # JSON of everything that decides the outcome; its hash is the id
        ("environment", pa.string()),  # JSON: versions, device, threads, seed streams
        ("code_version", pa.string()),
        ("code_warning", pa.string()),  # where the code changed between submission and start
        # Where a run was stopped and went on: of the process that ended it, as are `environment`, `machine_shared` and
        # test_*_per_s; `epochs`, train_* and `peak_memory_mib` are of all processes.
        ("started_at", pa.string()),  # ISO 8601, UTC
        ("duration_s", pa.float64()),  # of all processes, each up to the checkpoint from which the next one went on
        ("parameters", pa.int64()),  # trainable
        ("all_parameters", pa.int64()),  # the frozen ones too
        ("tested_weights", pa.string()),  # best: of the best validation accuracy, or perplexity; last
        ("test_accuracy", pa.float64()),  # of the tested weights
        ("best_test_accuracy", pa.float64()),
        ("last_test_accuracy", pa.float64()),
        ("validation_accuracy", pa.float64()),  # of the tested weights
        ("validation_examples", pa.int32()),
        # of the next word, where that is the task: there accuracies are shares of words
        ("test_perplexity", pa.float64()),
        ("best_test_perplexity", pa.float64()),
        ("last_test_perplexity", pa.float64()),
        ("validation_perplexity", pa.float64()),
        ("best_epoch", pa.int32()),
        ("shortcut_accuracy", pa.float64()),  # test accuracy of the task's shortcut, see the task's docstring
        ("majority_accuracy", pa.float64()),  # test accuracy of always answering train's commonest label
        ("shortcut_perplexity", pa.float64()),
        ("rules", RULES),  # test accuracy of the simple rules that were tried, the shortcut first
        ("groups", GROUPS),  # accuracy by groups of test examples; null where there are targets at every step
        ("data_notes", pa.list_(pa.string())),  # what this copy of the data lacks, where it differs from the published
        ("firing_rate", pa.float64()),  # mean over layers, as the next two; nulls where the neurons do not spike
        ("silent", pa.float64()),
        ("saturated", pa.float64()),
        ("spike_after_spike", pa.float64()),  # mean over layers, as the next three; nulls where nothing spikes
        ("spike_after_spike_by_chance", pa.float64()),
        ("interval_variation", pa.float64()),
        ("run_length", pa.float64()),
        ("train_samples_per_s", pa.float64()),
        ("train_tokens_per_s", pa.float64()),  # real tokens, padding not counted
        ("train_ms_per_step", pa.float64()),
        ("test_samples_per_s", pa.float64()),
        ("test_tokens_per_s", pa.float64()),
        ("machine_shared", pa.bool_()),  # others used the machine while this run was timed
        # CPU: resident set sampled each epoch, null for a measurement; GPU: allocator peak
        ("peak_memory_mib", pa.float64()),
        ("convolution", pa.string()),  # how the SSM was computed, models/ssm/choice.py; null for what trained nothing
        # recurrent execution, 45 nm, see models/operations.py and results/energy.py; as dense without spikes
        ("energy_nj_per_token", pa.float64()),
        ("dense_energy_nj_per_token", pa.float64()),  # the same network with a dense (MAC) mixing layer, no neuron
        ("projection_energy_nj_per_token", pa.float64()),  # of the mixing layers alone, as papers count
        ("dense_projection_energy_nj_per_token", pa.float64()),
        ("undetermined", pa.float64()),  # PMBC's undetermined fraction; 0 for exact solvers
        # measurements of the neuron alone (harness/measurements); null for a trained network
        ("forward_ms", pa.float64()),  # forward alone; `train_ms_per_step` is forward and backward
        ("loop_ms_per_step", pa.float64()),  # forward and backward of the plain loop, interleaved in the same process
        ("times_loop", pa.float64()),  # loop_ms_per_step / train_ms_per_step: above 1 is faster than the loop
        ("spike_mismatch", pa.float64()),  # fraction of positions whose spike is not the loop's
        ("iterations", pa.int32()),  # of PMBC, the most of any chunk when certified; null for other solvers
        ("saved_mib", pa.float64()),  # what one forward keeps for its backward
        ("pmbc_map", PMBC_MAP),  # one entry per point of the grid
        ("epochs", EPOCHS),
        ("layers", LAYERS),
        ("operations", OPERATIONS),
        ("traces", TRACES),  # one entry per layer; null where the neurons do not spike
        # what was read when the rasters of `traces` were sent, as many steps: texts of tokens, or grey levels
        ("example_symbols", pa.list_(pa.string())),
        ("example_levels", pa.list_(pa.float32())),  # in [0, 1]
        ("robustness", ROBUSTNESS),  # of a trained network, evaluated again; null for what was trained or measured
        ("predictions", PREDICTIONS),
    ],
    metadata={VERSION_KEY: str(SCHEMA_VERSION)},
)


@dataclass(frozen=True)
class PlannedRun:
    """One run of a sweep: its id and where it stands on every axis, e.g. `{"task": "listops", "refractory": "none"}`.

    `variant` names the point without task and seed: runs with one variant and one task are averaged over seeds.
    """

    id: str
    axes: dict[str, str]
    variant: str
    seed: int


def run_label(task: str | None, variant: str, seed: int) -> str:
    """Name that people call a run by; the task is left out where it is None."""
    return " · ".join([*([task] if task else []), variant, f"seed {seed}"])


@dataclass(frozen=True)
class Effect:
    """A variant said to have an effect, and the variants that it must be compared with before that is believed."""

    variant: str
    reference: str | None  # without the effect; None where it is not in the sweep
    controls: list[str]  # which might do the same without it
    missing: list[str]  # labels of controls that are not in the sweep
    rates: list[str]  # without it, at other firing rates, the reference among them


@dataclass(frozen=True)
class Controls:
    """Questions of a sweep about its effects: are they what they are called, or something plainer?"""

    of: str  # in words, e.g. refractoriness
    effects: list[Effect]


@dataclass(frozen=True)
class Asked:
    """What commands asked for, taken together, as values: with these, `planned` and the runs' ids a sweep is repeated.

    axes: an axis, or `seed`, of which not all was asked for -> labels, and values that the sweep file does not list.
    """

    sweep: str  # the sweep file
    axes: dict[str, list[Any]] = field(default_factory=dict)
    overrides: dict[str, Any] = field(default_factory=dict)  # other settings, of the latest command
    config_dir: str | None = None  # the folder of the user's files
    of: str | None = None  # the sweep whose trained runs are evaluated
    tuned: str | None = None  # true, or the file of a tuning
    sequential: bool = False  # seeds in order, and no more of a variant once it is decided


@dataclass(frozen=True)
class Manifest:
    """Plan of a sweep, what it set out to run; the report compares it with what is there."""

    name: str
    title: str
    question: str
    scale: str
    scale_note: str  # the banner's sentence: what this scale is and is not
    baseline: str | None  # variant that the others are compared with
    words: list[str]  # of the command line that repeats the sweep, to be shown
    runs: list[PlannedRun] = field(default_factory=list)
    variant_notes: dict[str, str] = field(default_factory=dict)  # one sentence a variant
    task_notes: dict[str, str] = field(default_factory=dict)  # one sentence a task: what its shortcut is
    tuning: Tuning | None = None  # that chose settings for its variants
    controls: Controls | None = None
    asked: Asked | None = None  # None: written before this was kept

    @property
    def is_sequential(self) -> bool:
        """Whether runs may be left out because their variant was decided after fewer seeds."""
        return self.asked is not None and self.asked.sequential and self.baseline is not None

    @property
    def command(self) -> str:
        """The command line that repeats the sweep."""
        return shlex.join(["python", "-m", "harness.sweep", *self.words])

    def to_json(self) -> dict[str, Any]:
        """Plain containers, for a JSON file."""
        return asdict(self)

    @staticmethod
    def from_json(content: dict[str, Any]) -> Manifest:
        """The inverse of `to_json`; until 0.1 there was the whole command line instead of its words.

        Raises `UserError` for what is no manifest, and for texts that could not be shown or be names of files.
        """
        if "command" in content:
            if not isinstance(content["command"], str):  # of which shlex would read the standard input instead
                raise UserError(f"The manifest's command must be a text, but it is {content['command']!r}.")
            earlier = {name: value for name, value in content.items() if name != "command"}
            return Manifest.from_json({**earlier, "words": shlex.split(content["command"])[3:]})
        manifest = read_document(Manifest, content, "the manifest")
        check_name("sweep", manifest.name)
        for run in manifest.runs:
            check_name("run", run.id)
            check_line("the variant", run.variant)
        for text in [*manifest.words, *texts_in(asdict(manifest.asked) if manifest.asked else {})]:
            check_line("the words", text)
        return manifest
