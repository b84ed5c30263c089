"""S4D: a diagonal state space model, as a recurrence or as a long convolution.

Source: Gu et al. 2022 (arXiv 2206.11893), zero-order hold. State n of channel h obeys x' = A x + B u,
y = 2 Re(C x) + D u; only one of each conjugate pair is stored, hence the 2 Re. S4D-Real has N real states instead of
N / 2 pairs, as many real parameters, and y = C x + D u: without the factor 2 that the code of S4 keeps there, so that
our outputs begin half as large as those of its `is_real`; the threshold or the norm takes that up.
"""

from __future__ import annotations

import math
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from spike_ssm.models.ssm.choice import check_way, for_length, resolved
from spike_ssm.models.ssm.convolution import convolution
from spike_ssm.models.ssm.discretisation import discretised
from spike_ssm.models.ssm.kernel import s4d_kernel
from spike_ssm.models.ssm.scan import scan, start, step

INITIALISATIONS = ("lin", "inv", "real")


def initial_states(name: str, state_size: int) -> Tensor:
    """Initial A: complex [N / 2] for N / 2 conjugate pairs, with real part -1/2; real [N] for S4D-Real.

    S4D-Lin: imaginary part pi n; S4D-Inv: (N / pi)(N / (2n + 1) - 1); S4D-Real: -(n + 1). Raises ValueError for a name
    that is not one of `INITIALISATIONS`.
    """
    n = torch.arange(state_size if name == "real" else state_size // 2, dtype=torch.float32)
    if name == "lin":
        return torch.complex(torch.full_like(n, -0.5), math.pi * n)
    if name == "inv":
        return torch.complex(torch.full_like(n, -0.5), (state_size / math.pi) * (state_size / (2 * n + 1) - 1))
    if name == "real":
        return -(n + 1)
    raise ValueError(f"S4D initialisation {name!r} does not exist; choose one of {', '.join(INITIALISATIONS)}.")


def check_sizes(state_size: int, dt_min: float, dt_max: float) -> None:
    """Raise ValueError unless an S4D layer can have this state size and range of step sizes."""
    if state_size < 2 or state_size % 2:
        raise ValueError(f"state_size must be an even number of at least 2, but it is {state_size}.")
    if not 0 < dt_min <= dt_max:
        raise ValueError(f"dt_min and dt_max must obey 0 < dt_min <= dt_max, but they are {dt_min} and {dt_max}.")


class S4D(nn.Module):
    """One S4D layer, [B, H, L] -> [B, H, L], with a skip D.

    Args:
        channels: H.
        state_size: N, real size of the state: N / 2 stored conjugate pairs, or N real states.
        bidirectional: add a second kernel that looks ahead.
        initialisation: `lin` or `inv`; `real`, whose states stay real.
        directions_apart: give the two directions of a bidirectional layer apart, [B, 2H, L], instead of their sum.
        b_trainable: false: B stays 1, as in S4D's minimal code.
        dt_min, dt_max: the step size of each channel is drawn log-uniformly from this range.
        convolution: how it is computed, see `models.ssm.choice.WAYS`.

    `ssm_parameters` (A, B) and `log_dt` want a learning rate of their own and no weight decay (S4 practice).
    """

    def __init__(
        self,
        channels: int,
        state_size: int,
        *,
        bidirectional: bool = True,
        initialisation: str = "lin",
        dt_min: float = 1e-3,
        dt_max: float = 1e-1,
        directions_apart: bool = False,
        b_trainable: bool = True,
        convolution: str = "auto",
    ) -> None:
        super().__init__()
        check_sizes(state_size, dt_min, dt_max)
        check_way(convolution)
        a, directions = initial_states(initialisation, state_size), 2 if bidirectional else 1
        self.state_size = state_size
        self.bidirectional = bidirectional
        self.directions_apart = directions_apart
        self.convolution = convolution
        self.is_real = not a.is_complex()
        self.log_dt = nn.Parameter(torch.empty(channels).uniform_(math.log(dt_min), math.log(dt_max)))
        self.log_decay = nn.Parameter((-a.real).log().repeat(channels, 1))  # Re A = -exp(log_decay)
        self.frequency = None if self.is_real else nn.Parameter(a.imag.repeat(channels, 1))
        self.b = _stored(torch.ones(channels, len(a), dtype=a.dtype))
        self.b.requires_grad = b_trainable
        self.c = _stored(torch.randn(directions, channels, len(a), dtype=a.dtype))
        self.d = nn.Parameter(torch.randn(channels))

    def ssm_parameters(self) -> list[nn.Parameter]:
        """Parameters that make up A and B."""
        return [self.log_decay, *([] if self.frequency is None else [self.frequency]), self.b]

    def _recurrence(self) -> tuple[Tensor, Tensor]:
        """A times the step size, [H, N/2] or real [H, N], and C times the discretised B, with directions in front."""
        return discretised(self.log_dt, self.log_decay, self.frequency, self.b, self.c)

    def kernels(self, length: int) -> Tensor:
        """The convolution kernels, [directions, H, L], without the skip."""
        return s4d_kernel(*self._recurrence(), length)

    def forward(self, x: Tensor) -> Tensor:
        """Output [B, H, L] of x [B, H, L]; with `directions_apart` the causal part and the skip, then what looks ahead.

        Steps beyond an example's length must be zero in x; they come out as garbage.
        """
        if (model := self.for_scan(x)) is not None:
            return scan(x, *model)
        if self._way_for(x) == "scan":
            dt_a, (causal, ahead) = self._recurrence()
            looking_ahead = scan(x, dt_a, torch.stack((torch.zeros_like(ahead), ahead)), torch.zeros_like(self.d))
            return torch.cat((scan(x, dt_a, causal[None], self.d), looking_ahead), 1)
        kernels = self.kernels(x.shape[-1])
        convolved = partial(convolution, x, by_product=self._way_for(x) == "product")
        if not self.directions_apart:
            return convolved(self.d, *kernels)
        causal, ahead = kernels
        return torch.cat((convolved(self.d, causal), convolved(0.0, torch.zeros_like(ahead), ahead)), 1)

    def for_scan(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor] | None:
        """Step size times A, weights and skip of the scan that `forward` is for x [B, H, L]; None where it is none."""
        if self.directions_apart or self._way_for(x) != "scan":
            return None
        return *self._recurrence(), self.d

    def way(self, device: torch.device) -> str:
        """How `forward` is computed for inputs on `device`, one of `models.ssm.choice.WAYS` but `auto`."""
        return resolved(self.convolution, self.numbers, device)

    def _way_for(self, x: Tensor) -> str:
        """`scan`, `fft` or `product`."""
        return for_length(self.way(x.device), len(x), x.shape[-1])

    @property
    def numbers(self) -> int:
        """Real numbers in a channel's states, of all directions."""
        return self.c.shape[0] * self.state_size

    def start(self, x: Tensor, affine: Tensor | None = None) -> Any:
        """The state before the first `step` of x [B, H], each of which goes through `affine` [2, H] first; see `scan`.

        The parameters are those of now. Raises ValueError for a bidirectional layer, which needs the steps to come.
        """
        if self.bidirectional:
            raise ValueError(
                "A bidirectional network looks ahead and cannot be streamed; set model.bidirectional=false and train "
                "that, or give the whole sequence."
            )
        return start(x, affine, *self._recurrence(), self.d)

    @torch.no_grad()
    def step(self, x: Tensor, state: Any | None) -> tuple[Tensor, Any]:
        """One time step of `forward`: x [B, H] -> [B, H], and the next state; None at the start.

        On a CPU these are the numbers of the scan, bit for bit. Raises ValueError as `start` does.
        """
        return step(x, self.start(x) if state is None else state)

    def multiplications_per_step(self) -> int:
        """Real multiply-accumulates per time step, of all channels, in recurrent form.

        Per state and direction: decay of the state 4 (a complex product), input 2, output 2, or 1 each where the state
        is real; and one for D.
        """
        directions, channels, states = self.c.shape[:3]
        return int(channels * (directions * states * (3 if self.is_real else 8) + 1))


def _stored(values: Tensor) -> nn.Parameter:
    """Parameter of complex numbers as pairs of real ones, which every optimiser and file format knows."""
    return nn.Parameter(torch.view_as_real(values) if values.is_complex() else values)
