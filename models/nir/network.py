"""A graph of NIR as a module."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from graphlib import CycleError, TopologicalSorter
from typing import Any

import nir
import numpy as np
import torch
from torch import Tensor, nn

from spike_ssm.models.backbone import real_tokens
from spike_ssm.models.nir.nodes import NODES
from spike_ssm.models.nir.run import RUNNERS, Affine, Pooling, Runner


class NIRNetwork(nn.Module):
    """A graph without cycles, of the nodes `models.nir.nodes.NODES`, with one input and one output; see `forward`.

    Its numbers are buffers, in float64 where all those of the graph are, else in float32: it is to be run, not trained.

    Raises ValueError, naming the node, for another graph, for shapes that do not fit, and for another time step than 1.
    """

    def __init__(self, graph: nir.NIRGraph) -> None:
        super().__init__()
        _check_step(graph.metadata)
        _check_kinds(graph.nodes)
        _check_sizes(graph.nodes)
        self.sources: dict[str, list[str]] = {name: [] for name in graph.nodes}
        for source, name in graph.edges:
            _check_edge(graph.nodes, source, name)
            if source in self.sources[name]:
                raise ValueError(f"The edge {source!r} -> {name!r} is there twice.")
            self.sources[name].append(source)
        self.order = _in_order(self.sources)
        self.input, self.output = _the_only(nir.Input, graph.nodes), _the_only(nir.Output, graph.nodes)
        for name, sources in self.sources.items():
            if bool(sources) == (name == self.input):
                raise ValueError(f"The node {name!r} is given {', '.join(sources) or 'nothing'}.")
        self._last_reader = {source: name for name in self.order for source in self.sources[name]}
        self.size = int(graph.nodes[self.input].output_type["output"][0])
        inner = [name for name in self.order if name not in (self.input, self.output)]
        self._places = {name: place for place, name in enumerate(inner)}
        self.runners = nn.ModuleList(_runner(name, graph.nodes[name]) for name in inner)
        self.pools = self._pooled()
        precisions = {each.dtype for each in self.buffers()}
        self.to(torch.float64 if precisions == {torch.float64} else torch.float32)
        self._check_finite()

    def runner(self, name: str) -> nn.Module:
        """The module that runs the node `name`, for its hooks; not of the input or the output."""
        return self.runners[self._places[name]]

    def forward(self, inputs: Tensor, lengths: Tensor | None = None) -> Tensor:
        """The output of the graph: [B, L, n], or [B, n] at the end of each sequence where the graph pools its steps.

        inputs: [B, L, features], or [B, L] of one feature, or integer tokens [B, L] for one-hot features.
        lengths: integers [B], the steps of each sequence, which is padded on the right; None: all.

        Raises ValueError for other inputs.
        """
        x = self._entering(inputs)
        lengths = torch.full((len(inputs),), inputs.shape[1]) if lengths is None else lengths
        mask = real_tokens(inputs, lengths)
        signals = {self.input: x}
        for name in self.order[1:]:
            first, *others = (signals[source] for source in self.sources[name])
            signals[name] = self._run(name, sum(others, first), mask, lengths)
            for source in self.sources[name]:
                if self._last_reader[source] == name:
                    del signals[source]
        y = signals[self.output]
        return y[..., 0] if self.pools else y.transpose(1, 2)

    def _run(self, name: str, x: Tensor, mask: Tensor | None, lengths: Tensor) -> Tensor:
        if name == self.output:
            return x
        module = self.runner(name)
        return module(x, mask, lengths) if isinstance(module, Pooling) else module(x)  # type: ignore[no-any-return]

    def _entering(self, inputs: Tensor) -> Tensor:
        """What enters the graph: [B, features, L], or tokens [B, L]."""
        if not inputs.is_floating_point():
            return self._tokens(inputs)
        if inputs.ndim == 2 and self.size == 1:
            inputs = inputs[..., None]
        if inputs.ndim != 3 or inputs.shape[2] != self.size:
            raise ValueError(f"The graph takes numbers [B, L, {self.size}], not {list(inputs.shape)}.")
        return inputs.transpose(1, 2).contiguous()

    def _tokens(self, tokens: Tensor) -> Tensor:
        readers = [name for name, sources in self.sources.items() if self.input in sources]
        if not all(name in self._places and isinstance(self.runner(name), Affine) for name in readers):
            raise ValueError("The graph takes numbers, not tokens: its input does not go to a Linear alone.")
        if tokens.ndim != 2 or (tokens.numel() and not 0 <= int(tokens.min()) <= int(tokens.max()) < self.size):
            raise ValueError(f"The graph takes tokens [B, L] from 0 to {self.size - 1}.")
        return tokens

    def _check_finite(self) -> None:
        """Raise ValueError where a number that was finite in the file is not in the precision of the network."""
        for name, place in self._places.items():
            for label, values in self.runners[place].named_buffers():
                if not values.isfinite().all():
                    raise ValueError(f"The node {name!r} has numbers ({label}) that are too large for {values.dtype}.")

    def _pooled(self) -> bool:
        """Whether the output is one value for a sequence. Raises ValueError where such meets values of steps."""
        at_end: dict[str, bool] = {}
        for name in self.order:
            module = self.runner(name) if name in self._places else None
            found = {at_end[source] for source in self.sources[name]}
            if len(found) > 1:
                raise ValueError(f"The node {name!r} adds values of steps to values of whole sequences.")
            if found == {True} and isinstance(module, Runner) and module.remembers:
                raise ValueError(f"The node {name!r} goes through time, but its input is one value for a sequence.")
            at_end[name] = found == {True} or isinstance(module, Pooling)
        return at_end[self.output]


def _check_step(metadata: Mapping[str, Any]) -> None:
    """Raise ValueError where times are in another unit than our step; without a word on it they are taken as steps."""
    step = metadata.get("dt", 1.0)
    if not isinstance(step, int | float | np.number) or step != 1:
        raise ValueError(f"The graph has time steps of dt={step}, but only those of 1 can be run.")


def _check_edge(nodes: Mapping[str, nir.NIRNode], source: str, name: str) -> None:
    """Raise ValueError unless an edge joins nodes that there are, and the sizes of what goes along it agree."""
    for end in (source, name):
        if end not in nodes:
            raise ValueError(f"The edge {source!r} -> {name!r} has an end {end!r}, which is no node.")
    given, wanted = nodes[source].output_type["output"], nodes[name].input_type["input"]
    if len(given) != 1 or not np.array_equal(given, wanted):
        raise ValueError(
            f"The edge {source!r} -> {name!r} does not fit: {source!r} gives {_shape(given)} and {name!r} takes "
            f"{_shape(wanted)}; both must be the same, and one number."
        )


def _shape(sizes: Iterable[Any]) -> list[int]:
    return [int(size) for size in sizes]


def _in_order(sources: Mapping[str, list[str]]) -> list[str]:
    """The nodes, each after those it is given the outputs of. Raises ValueError for a cycle."""
    try:
        return list(TopologicalSorter(sources).static_order())
    except CycleError as error:
        cycle = " -> ".join(error.args[1])
        raise ValueError(f"The graph is recurrent, which cannot be run: {cycle}.") from error


def _the_only(kind: type[nir.NIRNode], nodes: Mapping[str, nir.NIRNode]) -> str:
    """The name of the one node of its kind. Raises ValueError where there are none or several."""
    found = [name for name, node in nodes.items() if isinstance(node, kind)]
    if len(found) != 1:
        raise ValueError(f"The graph must have one {kind.__name__}, but it has {', '.join(found) or 'none'}.")
    return found[0]


def _check_kinds(nodes: Mapping[str, nir.NIRNode]) -> None:
    """Raise ValueError, naming the node, for a kind that cannot be run."""
    for name, node in nodes.items():
        if type(node) not in NODES.values():
            kinds = ", ".join(NODES)
            raise ValueError(f"The node {name!r} is a {type(node).__name__}; those that can be run are {kinds}.")


def _check_sizes(nodes: Mapping[str, nir.NIRNode]) -> None:
    """Raise ValueError, naming the node, for sizes that are no whole numbers of at least 1."""
    for name, node in nodes.items():
        for sizes in map(np.asarray, (node.input_type["input"], node.output_type["output"])):
            if sizes.ndim != 1 or sizes.dtype.kind not in "iu" or not (sizes > 0).all():
                raise ValueError(f"The node {name!r} has the size {sizes.tolist()}; sizes are whole numbers above 0.")


def _runner(name: str, node: nir.NIRNode) -> Runner:
    """The module that runs `node`. Raises ValueError, naming it."""
    try:
        return RUNNERS[type(node)](node)
    except (TypeError, ValueError) as error:
        sentence = str(error).rstrip(".")
        raise ValueError(f"The node {name!r}, a {type(node).__name__}, cannot be run: {sentence}.") from error
