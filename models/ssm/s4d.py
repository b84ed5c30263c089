"""S4D: a diagonal state space model as a long convolution.

Source: Gu et al. 2022 (arXiv 2206.11893), zero-order hold, complex parameters. State n of channel h obeys
x' = A x + B u, y = 2 Re(C x) + D u; only one of each conjugate pair is stored, hence the 2 Re.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

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


def causal_convolution(x: Tensor, kernel: Tensor, reverse_kernel: Tensor | None = None) -> Tensor:
    """y_t = sum_j kernel_j x_{t-j} + sum_j reverse_kernel_j x_{t+1+j}, by FFT with zero padding.

    x [..., H, L] and kernels [..., H, L] broadcast. The reverse kernel starts at lag -1 (as in the S4 code base): lag 0
    belongs to the causal kernel alone, so that no step is counted twice.
    """
    length = x.shape[-1]
    size = 2 * length
    response = torch.fft.rfft(kernel, n=size)
    if reverse_kernel is not None:
        placed = torch.nn.functional.pad(reverse_kernel.flip(-1), (length, 0))  # lag -1 wraps to the last place
        response = response + torch.fft.rfft(placed, n=size)
    y: Tensor = torch.fft.irfft(torch.fft.rfft(x, n=size) * response, n=size)
    return y[..., :length]


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
        """The convolution kernels, [directions, H, L]."""
        dt_a, discrete_b = self._discretised()
        steps = torch.arange(length, device=dt_a.device)
        vandermonde = torch.exp(dt_a[..., None] * steps)  # [H, N/2, L]
        weights = torch.view_as_complex(self.c) * discrete_b
        return 2 * torch.einsum("dhn,hnl->dhl", weights, vandermonde).real

    def forward(self, x: Tensor) -> Tensor:
        """[B, H, L] -> [B, H, L]. Steps beyond an example's length must be zero in x; they come out as garbage."""
        kernels = self.kernels(x.shape[-1])
        y = causal_convolution(x, kernels[0], kernels[1] if self.bidirectional else None)
        return y + self.d[:, None] * x

    def by_direction(self, x: Tensor) -> Tensor:
        """[B, H, L] -> [B, 2H, L]: the two parts whose sum is `forward`, the causal one first; the skip is in that one.

        Only for a bidirectional layer.
        """
        causal, ahead = self.kernels(x.shape[-1])
        none = torch.zeros_like(causal)
        past, future = causal_convolution(x[:, None], torch.stack((causal, none)), torch.stack((none, ahead))).unbind(1)
        return torch.cat((past + self.d[:, None] * x, future), 1)

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
