"""The documentation is true: its links lead somewhere, its commands exist, its example runs."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from dataclasses import fields
from pathlib import Path
from types import ModuleType

import pandas as pd
import pytest
import torch

from benchmarks import convolution, network
from spike_ssm.harness.config.command_line import parse_command_line
from spike_ssm.harness.config.compose import TASK_SETTINGS, Composer
from spike_ssm.harness.sweep import main
from spike_ssm.harness.system.root import ROOT
from spike_ssm.models.network import Classifier, Inputs, ModelSettings
from spike_ssm.models.neurons import NEURONS
from spike_ssm.models.neurons.sdn import SDN
from spike_ssm.models.ssm.scan.scan_cpu import CHUNK
from spike_ssm.reports.loading.sweep import load

PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")])
TEXT = "\n".join(page.read_text() for page in PAGES)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_relative_link_leads_to_a_file(page: Path) -> None:
    links = [link for link in re.findall(r"\]\(([^)#]+)", page.read_text()) if "://" not in link]
    missing = [link for link in links if not (page.parent / link).exists()]
    assert not missing


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_file_named_in_code_quotes_exists(page: Path) -> None:
    folders = "harness|models|reports|results|sweeps|tests|benchmarks|src"
    named = re.findall(rf"`((?:{folders})/[\w./]+\.\w+)`", page.read_text())
    real = [
        name for name in named if name == name.lower() and name != "sweeps/neuron/delta.yaml"
    ]  # others are examples
    assert [name for name in real if not (ROOT / name).exists()] == []


def test_every_page_is_in_the_index() -> None:
    index = (ROOT / "docs" / "index.md").read_text()
    assert [page.name for page in PAGES if page.name != "index.md" and f"{page.name})" not in index] == []


LONGEST_LINE = 160
"""Characters of a line of prose: more than one sentence seldom needs, so that a diff shows sentences."""


def prose(page: Path) -> list[tuple[int, str]]:
    """Number and text of the lines that are no table, code or picture."""
    lines, in_code = [], False
    for number, line in enumerate(page.read_text().splitlines(), 1):
        in_code ^= line.startswith("```")
        if not in_code and not line.startswith(("|", "    ", "```", "<", "![")):
            lines.append((number, line))
    return lines


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_prose_has_one_sentence_per_line(page: Path) -> None:
    long = [number for number, line in prose(page) if len(line) > LONGEST_LINE]
    assert long == [], f"lines of {page.name} with more than {LONGEST_LINE} characters"
    several = [number for number, line in prose(page) if re.search(r"[a-z)`]{3}\. (`|[A-Z][a-z]+ [a-z])", line)]
    assert several == [], f"lines of {page.name} with more than one sentence"


EACH_HELPS = """
import runpy, sys
for module in sys.argv[1:]:
    sys.argv = [module, "--help"]
    try:
        runpy.run_module(module, run_name="__main__", alter_sys=True)
    except SystemExit as ended:
        print(f"{module} ended with {ended.code}")
"""
"""What `python -m MODULE --help` does, for one module after the other in one process, which imports torch once."""


def test_every_module_named_in_a_command_can_be_run() -> None:
    modules = sorted(set(re.findall(r"python -m ([a-z_.]+)", TEXT)))
    assert {"harness.sweep", "harness.train", "reports", "benchmarks.neuron"} <= set(modules)
    shown = subprocess.run(
        [sys.executable, "-c", EACH_HELPS, *modules], cwd=ROOT, capture_output=True, text=True, check=False
    )
    ended = re.findall("^.* ended with .*$", shown.stdout, re.MULTILINE)
    assert ended == [f"{module} ended with 0" for module in modules], shown.stderr


def test_every_sweep_command_of_the_readme_names_settings_that_exist(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    commands = re.findall(r"^ +python -m harness.sweep (\+sweep=.*)$", (ROOT / "README.md").read_text(), re.MULTILINE)
    assert len(commands) >= 2
    for command in commands:
        assert main([*command.split(), "dry_run=true", "estimate=false", f"paths.results={tmp_path}"]) == 0
        assert "runs," in capsys.readouterr().out


def test_every_setting_named_in_the_documentation_exists() -> None:
    settings = Composer().settings(parse_command_line([]).overrides)
    of_tasks = {field.name for each in TASK_SETTINGS.values() for field in fields(each)}
    for group, key in re.findall(r"`(task|neuron|model|optim|launcher|paths)\.([a-z_]+)", TEXT):
        assert hasattr(getattr(settings, group), key) or (group == "task" and key in of_tasks), f"{group}.{key}"


def test_the_make_targets_of_the_readme_exist() -> None:
    makefile = (ROOT / "Makefile").read_text()
    for target in re.findall(r"^ +make ([a-z]+)", (ROOT / "README.md").read_text(), re.MULTILINE):
        assert re.search(rf"^{target}:", makefile, re.MULTILINE)


def test_every_neuron_has_its_section_and_its_picture() -> None:
    text = (ROOT / "docs" / "neurons.md").read_text()
    for name in NEURONS:
        assert f"\n## {name}\n" in text
        assert f"](neurons/{name}.svg)" in text


def test_the_spike_error_that_the_documentation_states_is_that_of_the_file() -> None:
    (stated,) = re.findall(r"errs on such input, ([0-9.]+) %", (ROOT / "docs" / "neurons.md").read_text())
    assert stated == f"{100 * SDN.stated_spike_error():.3f}"


def test_the_neuron_of_the_documentation_takes_under_25_lines_and_trains(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = (ROOT / "docs" / "neurons.md").read_text()
    (code,), (yaml,) = (re.findall(rf"```{kind}\n(.*?)```", text, re.DOTALL) for kind in ("python", "yaml"))
    assert len([line for line in (code + yaml).splitlines() if line.strip()]) + 1 < 25  # 1: its line in NEURONS
    module = ModuleType("delta")
    monkeypatch.setitem(sys.modules, "delta", module)
    exec(compile(code, "delta.py", "exec"), module.__dict__)
    monkeypatch.setitem(NEURONS, "delta", (module.__dict__["Delta"], module.__dict__["DeltaSettings"]))
    (tmp_path / "neuron").mkdir()
    (tmp_path / "neuron" / "delta.yaml").write_text(yaml)
    chosen = Composer(tmp_path).settings({"neuron": "delta"})
    assert chosen.neuron.threshold == 0.5
    network = Classifier(Inputs(20), 3, ModelSettings(layers=2, channels=8), chosen.neuron)
    network(torch.randint(3, 20, (2, 40)), torch.tensor([40, 25])).sum().backward()
    assert all(neuron.threshold.stored.grad is not None for neuron in network.neurons)
    x, state, spikes = torch.randn(2, 8, 50), None, []
    for x_t in x.unbind(-1):
        spike, state = network.neurons[0].step(x_t, state)
        spikes.append(spike)
    assert torch.equal(torch.stack(spikes, -1), network.neurons[0](x))


PROCESSORS = {"avx2": "AVX2", "avx512": "AVX-512"}
"""The instruction sets that were measured, by their names in files -> in texts."""


def stored(name: str) -> pd.DataFrame:
    """The rows of results/measured/NAME.parquet."""
    return pd.read_parquet(ROOT / "results" / "measured" / f"{name}.parquet")


def measured(processor: str, candidate: str, phase: str, length: int) -> float:
    frame = stored(f"neuron_{processor}")
    rows = frame[(frame["section"] == "against SpikingJelly") & (frame["candidate"] == candidate)]
    rows = rows[(rows["length"] == length) & (rows["pass"] == phase)]
    return float(rows["ratio"].iloc[0])


def test_the_readmes_speed_is_the_least_that_was_measured() -> None:
    (text,) = re.findall(r"the fused solver is (\d+) times as fast", (ROOT / "README.md").read_text())
    assert round(min(measured(name, "fused", "forward + backward", 4096) for name in PROCESSORS)) == int(text)


def cells_of_the_neuron(processor: str) -> list[str]:
    """Rows of the neuron's speeds by length."""
    rows, both = [], "forward + backward"
    for length in (1024, 4096, 8192):
        fused = [f"{measured(processor, 'fused', phase, length):.0f}" for phase in ("forward", both)]
        others = [f"{measured(processor, solver, both, length):.1f}" for solver in ("pmbc", "sequential")]
        rows.append(" | ".join([f"| {PROCESSORS[processor]} | {length:,}", *fused, *others]) + " |")
    return rows


def limits_of_the_neuron(processor: str) -> dict[str, str]:
    """What -> measured, of the operator's memory, its time by length and its choice."""
    frame = stored(f"neuron_{processor}")
    memory = frame[frame["section"] == "memory"].set_index("candidate")["ratio"]
    lengths = frame[frame["section"] == "length"]["ms"]
    auto = frame[(frame["section"] == "choice") & (frame["candidate"] == "auto")]["ratio"]
    return {
        "peak memory of forward + backward beyond input, output and gradients, in sizes of the input, `fused`": (
            f"{memory['fused']:.2f}"
        ),
        "the same, SpikingJelly": f"{memory['spikingjelly']:.1f}",
        "time at constant B * H * L, longest over shortest, L from 1,024 to 65,536": (
            f"{lengths.max() / lengths.min():.2f}"
        ),
        "`auto` against the best solver, worst of six sizes, of its speed": f"{auto.min():.2f}",
    }


def with_one_thread(processor: str) -> str:
    """What the fused solver takes with one thread, in words."""
    frame = stored(f"neuron_{processor}_threads_1")
    rows = frame[(frame["section"] == "against SpikingJelly") & (frame["candidate"] == "fused")]
    rows = rows.assign(ns=1e6 * rows["ms"] / (rows["batch"] * rows["channels"] * rows["length"]))
    both = rows[rows["pass"] == "forward + backward"]
    times = f"{both['ratio'].min():.0f} to {both['ratio'].max():.0f} times as fast as SpikingJelly"
    return f"{PROCESSORS[processor]}: {span(both['ns'])} ns for a number, {times}"


def cells_of_the_network(name: str) -> dict[str, str]:
    """What the rows of results/measured/NAME.parquet come to."""
    frame = stored(name)
    ours = frame[frame["candidate"] == "refractory LIF"].groupby(["section", "state_size"]).min(numeric_only=True)
    ratio = ours["ratio"]
    by_state_size = {
        "times as fast as the plain composition": ("against the plain composition", (64, 16)),
        "times as fast as before": ("against before", (16, 4)),
        "time of a step over that of its matrix products of the mixing alone": ("products alone", (16, 4)),
    }
    return {
        **{f"{what}, state size {n}": f"{ratio[s, n]:.1f}" for what, (s, ns) in by_state_size.items() for n in ns},
        "peak memory of a step, over the plain composition's": f"{ratio['memory', 64]:.2f}",
        "times as fast as the same network with GELU (dense S4D)": f"{ratio['against GELU', 64]:.2f}",
        "time a token, longest over shortest, L from 1,024 to 16,384": f"{1 / ratio['length', 64]:.2f}",
        "one step of the causal network in streaming": f"{ours['value']['streaming', 64]:,.0f} µs",
    }


def cells_of_the_state_space_model(name: str) -> dict[str, str]:
    """What the rows of results/measured/NAME.parquet come to."""
    frame = stored(name)
    worst = frame.groupby(["section", "candidate", "state_size"])["ratio"].min()
    step = frame[(frame["section"] == "training step") & (frame["candidate"] == "as chosen")].set_index("threads")
    what = {
        ("causal", "scan"): "one direction, N = {}, scan: times as fast as the FFT",
        ("bidirectional", "as chosen"): "two directions, N = {}, as chosen: times as fast as the FFT",
        ("choice", "as chosen"): "short and middle lengths, N = {}, as chosen: speed over the fastest way's",
    }
    return {
        **{text.format(n): f"{worst[*place, n]:.2f}" for place, text in what.items() for n in (4, 16, 64)},
        "a training step of the laptop's ListOps network, as chosen: times as fast as by FFT, one thread; two": (
            f"{step['ratio'][1]:.2f}; {step['ratio'][2]:.2f}"
        ),
        "the FFT of some channels at a time, whose arrays stay in the caches: times as fast as all at once": span(
            frame[frame["candidate"] == "some at a time"]["ratio"]
        ),
    }


def joined(columns: list[dict[str, str]]) -> dict[str, str]:
    """What -> the cells of a row, of a table's columns."""
    return {what: " | ".join(column[what] for column in columns) for what in columns[0]}


def span(values: pd.Series[float]) -> str:
    """From the least to the most."""
    return f"{values.min():.2f} to {values.max():.2f}"


def rows_of_the_performance_page() -> list[str]:
    """Beginnings of table rows, and sentences, that docs/performance.md must hold."""
    networks = [cells_of_the_network(f"network_{name}{end}") for name in PROCESSORS for end in ("", "_threads_1")]
    models = [cells_of_the_state_space_model(f"convolution_{name}") for name in PROCESSORS]
    neurons = [limits_of_the_neuron(name) for name in PROCESSORS]
    cells = {**joined(networks), **joined(models), **joined(neurons)}
    return [
        *(row for name in PROCESSORS for row in cells_of_the_neuron(name)),
        *(with_one_thread(name) for name in PROCESSORS),
        *(f"| {what} | {value} |" for what, value in cells.items()),
    ]


def test_the_performance_pages_numbers_are_the_measured_ones() -> None:
    page = (ROOT / "docs" / "performance.md").read_text()
    assert [row for row in rows_of_the_performance_page() if row not in page] == []


def test_the_ffts_times_on_the_performance_page_are_the_measured_ones() -> None:
    page = (ROOT / "docs" / "performance.md").read_text()
    for processor, name in PROCESSORS.items():
        frame = stored(f"convolution_{processor}")
        fft = frame[frame["section"].isin(["causal", "bidirectional"]) & (frame["candidate"] == "FFT")]
        fft = fft[fft["threads"] == 1]
        ns = 1e6 * fft["ms"] / (fft["batch"] * fft["channels"] * fft["length"])
        assert f"{ns.min():.0f} to {ns.max():.0f} ns with {name}" in page


def test_the_targets_of_the_performance_page_are_those_of_the_benchmarks() -> None:
    page = (ROOT / "docs" / "performance.md").read_text()
    section = page[page.index("## The network") : page.index("## The harness")]
    stated = sorted(float(bound) for bound in re.findall(r"\| at (?:least|most) ([0-9.]+) \|$", section, re.MULTILINE))
    targets = [1.5 if target.section == "length" else target.bound for target in network.TARGETS["cpu"]]
    assert stated == sorted([*targets, *(b for bounds in convolution.TARGETS.values() for b in bounds.values())])


def test_the_scans_chunks_have_the_stated_length() -> None:
    page, picture = ((ROOT / "docs" / name).read_text() for name in ("performance.md", "scan.svg"))
    assert f"in chunks of {CHUNK} steps" in page
    assert f"inputs of {CHUNK} steps" in picture


def test_the_performance_pages_times_of_the_harness_are_the_measured_ones() -> None:
    page = (ROOT / "docs" / "performance.md").read_text()
    frame = stored("harness_cpu")
    seconds = frame[frame["unit"] == "s"].set_index("section")["value"]
    for section, digits in (("submitting", 1), ("looking", 1), ("finishing", 1), ("starting", 2)):
        assert f"| {seconds[section]:.{digits}f} s |" in page, section


def test_the_performance_pages_speed_of_each_neuron_over_its_loop_is_the_measured_one() -> None:
    page = (ROOT / "docs" / "performance.md").read_text()
    runs = stored("speed_laptop")
    runs = runs[runs["task"] == "speed"].reset_index(drop=True)
    config = pd.json_normalize([json.loads(each) for each in runs["config"]])
    solved = config["neuron.name"].isin(("brf", "tc_lif", "drf")) | (config["neuron.solver"] == "fused")
    assert set(config["neuron.name"][solved]) == {"refractory_lif", "brf", "tc_lif", "drf"}
    assert not runs["machine_shared"].any()
    for name, its in runs[solved].groupby(config["neuron.name"]):
        at = its.set_index(config["task.length"][its.index])
        cells = [f"{at['times_loop'][n]:.0f} ({at['train_ms_per_step'][n]:.2f} ms)" for n in (1024, 4096, 8192)]
        assert f"| `{name}` | {' | '.join(cells)} |" in page
    (batch,), (channels,) = (config[f"task.{size}"][solved].unique() for size in ("batch", "channels"))
    assert f"B = {batch}, H = {channels})" in page


def test_the_python_example_of_the_readme_runs() -> None:
    (example,) = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    subprocess.run([sys.executable, "-c", example], cwd=ROOT, check=True)


def test_every_test_file_named_in_the_documentation_exists() -> None:
    named = set(re.findall(r"`(tests/[\w/]+\.py)`", TEXT))
    assert named
    assert [path for path in named if not (ROOT / path).is_file()] == []


def test_the_performance_pages_numbers_of_the_report_are_the_measured_ones() -> None:
    page = (ROOT / "docs" / "performance.md").read_text()
    frame = stored("reports_cpu").set_index("section")
    assert f"| building the page of 2,000 runs | {frame.loc['building', 'value']:.1f} s |" in page
    assert f"| its size | {frame.loc['page', 'value']:.1f} MB |" in page


SMALL = (
    *("task.min_length=3", "task.max_length=12", "task.train=64", "task.validation=16", "task.test=16"),
    *("model.layers=1", "model.channels=8", "model.state_size=4", "optim.epochs=1", "launcher=debug", "seed=0"),
)


def test_the_sweep_over_data_seeds_is_compared_within_each_data_seed(tmp_path: Path) -> None:
    (yaml,) = re.findall(r"```yaml\n(.*?)```", (ROOT / "docs" / "running.md").read_text(), re.DOTALL)
    (tmp_path / "sweep").mkdir()
    (tmp_path / "sweep" / "other_data.yaml").write_text(yaml)
    paths = [f"paths.{name}={tmp_path / name}" for name in ("results", "reports", "cache")]
    assert main(["+sweep=other_data", "--config-dir", str(tmp_path), *SMALL, *paths]) == 0
    sweep = load(tmp_path / "results", "other_data")
    seeds = {task: {json.loads(c)["task"]["data_seed"] for c in sweep.done_on(task)["config"]} for task in sweep.tasks}
    assert seeds == {"data_0": {0}, "data_1": {1}, "data_2": {2}}
    assert set(sweep.manifest.task_notes) == set(seeds), "what the shortcut is"
    page = (tmp_path / "reports" / "other_data.md").read_text()
    assert re.findall(r"^## (.*)$", page, re.MULTILINE)[:3] == list(seeds)
    assert page.count("vs lif_soft, points") == len(seeds)
