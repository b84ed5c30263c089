"""S4D: a diagonal state space model as a long convolution.

Source: Gu et al. 2022 (arXiv 2206.11893), zero-order hold, complex parameters. State n of channel h obeys
x' = A x + B u, y = 2 Re(C x) + D u; only one of each conjugate pair is stored, hence the 2 Re.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from models.ssm.convolution import convolution
from models.ssm.kernel import s4d_kernel

INITIALISATIONS = ("lin", "inv")


def initial_frequencies(name: str, pairs: int) -> Tensor:
    """Imaginary parts of A, [pairs], for `pairs` conjugate pairs. S4D-Lin: pi n; S4D-Inv: (N/pi)(N/(2n+1) - 1)."""
    n = torch.arange(pairs, dtype=torch.float32)
    if name == "lin":
        return math.pi * n
    if name == "inv":
        size = 2 * pairs
        return (size / math.pi) * (size / (2 * n + 1) - 1)
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
        state_size: N, real size of the state; N / 2 conjugate pairs are stored.
        bidirectional: add a second kernel that looks ahead.
        initialisation: `lin` or `inv`.
        dt_min, dt_max: the step size of each channel is drawn log-uniformly from this range.

    `ssm_parameters` (A, B, dt) want a learning rate of their own and no weight decay (S4 practice).
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
    ) -> None:
        super().__init__()
        check_sizes(state_size, dt_min, dt_max)
        pairs, directions = state_size // 2, 2 if bidirectional else 1
        self.state_size = state_size
        self.bidirectional = bidirectional
        self.log_dt = nn.Parameter(torch.empty(channels).uniform_(math.log(dt_min), math.log(dt_max)))
        self.log_decay = nn.Parameter(torch.full((channels, pairs), math.log(0.5)))  # Re A = -exp(log_decay)
        self.frequency = nn.Parameter(initial_frequencies(initialisation, pairs).repeat(channels, 1))
        self.b = nn.Parameter(torch.view_as_real(torch.ones(channels, pairs, dtype=torch.complex64)))
        c = torch.randn(directions, channels, pairs, dtype=torch.complex64)
        self.c = nn.Parameter(torch.view_as_real(c))
        self.d = nn.Parameter(torch.randn(channels))

    def ssm_parameters(self) -> list[nn.Parameter]:
        """A, B and dt."""
        return [self.log_dt, self.log_decay, self.frequency, self.b]

    def _discretised(self) -> tuple[Tensor, Tensor]:
        """A times the step size, and B by zero-order hold, both [H, N/2]."""
        a = torch.complex(-self.log_decay.exp(), self.frequency)
        dt_a = self.log_dt.exp()[:, None] * a
        return dt_a, torch.view_as_complex(self.b) * torch.expm1(dt_a) / a

    def kernels(self, length: int) -> Tensor:
        """The convolution kernels, [directions, H, L], without the skip."""
        dt_a, discrete_b = self._discretised()
        return s4d_kernel(dt_a, torch.view_as_complex(self.c) * discrete_b, length)

    def forward(self, x: Tensor) -> Tensor:
        """[B, H, L] -> [B, H, L]. Steps beyond an example's length must be zero in x; they come out as garbage."""
        return convolution(x, self.d, *self.kernels(x.shape[-1]))

    def by_direction(self, x: Tensor) -> Tensor:
        """[B, H, L] -> [B, 2H, L]: the two parts whose sum is `forward`, the causal one first; the skip is in that one.

        Only for a bidirectional layer.
        """
        causal, ahead = self.kernels(x.shape[-1])
        return torch.cat((convolution(x, self.d, causal), convolution(x, 0.0, torch.zeros_like(ahead), ahead)), 1)

    def step(self, x: Tensor, state: Tensor | None) -> tuple[Tensor, Tensor]:
        """One time step of `forward` by recurrence: x [B, H] -> [B, H]; state [B, H, N/2], None at the start.

        Raises ValueError for a bidirectional layer, which needs the steps to come.
        """
        if self.bidirectional:
            raise ValueError(
                "A bidirectional network looks ahead and cannot be streamed; set model.bidirectional=false and train "
                "that, or give the whole sequence."
            )
        dt_a, discrete_b = self._discretised()
        state = discrete_b * x[..., None] + (0 if state is None else torch.exp(dt_a) * state)
        y = 2 * (torch.view_as_complex(self.c)[0] * state).real.sum(-1)
        return y + self.d * x, state

    def multiplications_per_step(self) -> int:
        """Real multiply-accumulates of one time step in recurrent form.

        Per state and direction: decay of the state 4 (a complex product), input 2, output 2; and one for D.
        """
        directions, channels, pairs = self.c.shape[:3]
        return int(channels * (directions * pairs * 8 + 1))
