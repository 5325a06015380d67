"""Several processes train one network: each computes a part of every batch, and all take the same step.

Every process makes the whole batch, by the same draws, and computes its own part of it. What the network
answers is then gathered, so that loss, accuracy and everything after them are those of the whole batch, and
the same in every process. DistributedDataParallel adds up the gradients. What looks at a batch as a whole
sees the whole: batch normalisation adds its sums up over all processes, dropout takes its rows of the draws
for all pictures. So the result is that of one process but for the order in which sums are rounded.
"""

from __future__ import annotations

import os
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import Tensor, distributed, nn
from torch.autograd import Function
from torch.nn import functional
from torch.nn.parallel import DistributedDataParallel
from torch.overrides import TorchFunctionMode

__all__ = ["ALONE", "Team", "joined", "lost_another"]

PATIENCE = timedelta(minutes=30)
"""How long a process waits for the others: while one prepares, nobody is lost. Whoever started them sees a
death at once."""

LOST = ("gloo/", "Connection closed by peer", "Connection reset by peer", "NCCL", "Broken pipe")
"""What torch says when another process is gone."""

UNWANTED = (
    "`broadcast_buffers` is deprecated",  # what stands in for it is not in every torch that is allowed
    "find_unused_parameters=True was specified",  # a network may leave a weight out of one batch
    "Grad strides do not match bucket view strides",  # 1×1 kernels, channels last; costs nothing here
)


Result = TypeVar("Result")


class Team:
    """The processes of one training, as one of them sees them.

    Args:
        rank: which of them this is; the first one, 0, writes.
        size: how many there are.
    """

    def __init__(self, rank: int = 0, size: int = 1) -> None:
        self.rank, self.size = rank, size
        self._wrapped: tuple[tuple[int, ...], DistributedDataParallel] | None = None

    @property
    def first(self) -> bool:
        """Whether this is the process that writes."""
        return self.rank == 0

    def answers(self, network: nn.Module, x: Tensor) -> Tensor:
        """Returns what the network answers to a whole batch (n, …), of which each process computes a part.

        Every process must call it with the same batch. A batch of fewer pictures than there are processes
        is computed by each of them.
        """
        if self.size == 1:
            return network(x)
        learning = network.training and torch.is_grad_enabled()
        called = self._in_step(network) if learning else network
        if len(x) < self.size:
            return called(x)
        sizes = [len(part) for part in torch.arange(len(x)).tensor_split(self.size)]
        start = sum(sizes[: self.rank])
        mine = x[start : start + sizes[self.rank]]
        if not learning:
            return _gathered(called(mine), sizes)
        with _AsOne(start, sizes[self.rank], len(x)):
            answers = called(mine)
        exact = answers if answers.dtype == torch.float64 else answers.float()
        return _Gathered.apply(exact, sizes, self.rank)

    def decided(self, decision: Any) -> Any:
        """Returns what the first process decided; the others bring None, or anything."""
        if self.size == 1:
            return decision
        box = [decision]
        distributed.broadcast_object_list(box, src=0)
        return box[0]

    def in_turn(self, work: Callable[[], Result]) -> Result:
        """Returns what some work gives; the first process does it first, the others find what it kept."""
        if self.size == 1:
            return work()
        if not self.first:
            distributed.barrier()
        done = work()
        if self.first:
            distributed.barrier()
        return done

    def _in_step(self, network: nn.Module) -> DistributedDataParallel:
        """Returns the network as DistributedDataParallel; a new one when other weights learn than did."""
        learning = tuple(id(weight) for weight in network.parameters() if weight.requires_grad)
        if self._wrapped is None or self._wrapped[0] != learning:
            self._wrapped = None  # its hooks go with it
            wrapped = DistributedDataParallel(network, broadcast_buffers=False, find_unused_parameters=True)
            self._wrapped = (learning, wrapped)
        return self._wrapped[1]


ALONE = Team()
"""One process, which does as if there were no others."""


@contextmanager
def joined(rank: int, size: int, meeting: Path, device: str) -> Iterator[Team]:
    """Joins the processes of a training on this machine, and leaves them at the end.

    Args:
        rank: which process this is, from 0 on.
        size: how many there are.
        meeting: a file that all of them name, and that is not there yet.
        device: "cpu", or "cuda": then each process has the GPU of its rank.
    """
    # On one machine nobody needs another interface, and the name of a machine may lead nowhere.
    os.environ.setdefault("GLOO_SOCKET_IFNAME", "lo0" if sys.platform == "darwin" else "lo")
    for message in UNWANTED:
        warnings.filterwarnings("ignore", message)
    if device == "cuda":
        torch.cuda.set_device(rank)
    distributed.init_process_group(
        "nccl" if device == "cuda" else "gloo",
        store=distributed.FileStore(str(meeting), size),
        rank=rank,
        world_size=size,
        timeout=PATIENCE,
    )
    try:
        yield Team(rank, size)
    finally:
        distributed.destroy_process_group()


def lost_another(error: BaseException) -> bool:
    """Says whether an error means that another process of the training is gone."""
    return isinstance(error, RuntimeError) and any(word in str(error) for word in LOST)


def _gathered(mine: Tensor, sizes: list[int]) -> Tensor:
    """Returns the parts (n_i, …) of all processes as one (n, …)."""
    most = max(sizes)
    padded = mine.new_zeros((most, *mine.shape[1:]))
    padded[: len(mine)] = mine
    parts = [torch.empty_like(padded) for _ in sizes]
    distributed.all_gather(parts, padded)
    return torch.cat([part[:size] for part, size in zip(parts, sizes, strict=True)])


class _Gathered(Function):
    """Gathers the parts of all processes; backwards each takes the gradient of its own.

    DistributedDataParallel takes the mean over the processes, where the sum is wanted: hence the factor.
    """

    @staticmethod
    def forward(ctx: Any, mine: Tensor, sizes: list[int], rank: int) -> Tensor:
        ctx.sizes, ctx.rank = sizes, rank
        return _gathered(mine.contiguous(), sizes)

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> Any:
        start = sum(ctx.sizes[: ctx.rank])
        mine = gradients[0][start : start + ctx.sizes[ctx.rank]]
        return mine * len(ctx.sizes), None, None


class _AsOne(TorchFunctionMode):
    """While a network computes a part of a batch, lets what looks at the batch as a whole see the whole.

    Args:
        start: place of the part's first picture in the batch.
        mine: pictures of the part.
        whole: pictures of the batch.
    """

    def __init__(self, start: int, mine: int, whole: int) -> None:
        super().__init__()
        self._start, self._mine, self._whole = start, mine, whole

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func is functional.batch_norm:
            return _batch_norm(*args, **(kwargs or {}))
        if func is functional.dropout:
            return self._dropout(*args, **(kwargs or {}))
        return func(*args, **(kwargs or {}))

    def _dropout(self, x: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False) -> Tensor:
        """Drops what one process would drop: draws for the whole batch, and takes the part's rows."""
        if not training or p == 0 or len(x) != self._mine:
            return functional.dropout(x, p, training, inplace)
        layout = torch.channels_last if _is_channels_last(x) else torch.contiguous_format
        ones = torch.ones((self._whole, *x.shape[1:]), dtype=x.dtype, device=x.device)
        kept = functional.dropout(ones.contiguous(memory_format=layout), p)
        return x * kept[self._start : self._start + self._mine]


def _is_channels_last(x: Tensor) -> bool:
    return x.ndim == 4 and x.is_contiguous(memory_format=torch.channels_last) and not x.is_contiguous()


def _batch_norm(
    x: Tensor,
    running_mean: Tensor | None,
    running_var: Tensor | None,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    training: bool = False,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Tensor:
    """Does as functional.batch_norm, with mean and variance over the pictures of all processes."""
    if not training:
        return functional.batch_norm(
            x, running_mean, running_var, weight, bias, training, momentum, eps
        )  # fmt: skip
    answer, mean, variance, count = _Normalised.apply(x, eps)
    if running_mean is not None and running_var is not None:
        with torch.no_grad():
            unbiased = variance * count / (count - 1)
            running_mean.mul_(1 - momentum).add_(momentum * mean.to(running_mean.dtype))
            running_var.mul_(1 - momentum).add_(momentum * unbiased.to(running_var.dtype))
    sides = (1, -1, *(1,) * (x.ndim - 2))
    if weight is not None:
        answer = answer * weight.view(sides)
    if bias is not None:
        answer = answer + bias.view(sides)
    return answer.to(x.dtype)


class _Normalised(Function):
    """Subtracts the mean of each channel over all pictures of all processes, and divides by the deviation.

    Source: Ioffe and Szegedy, Batch normalization, 2015, algorithm 1, and the gradients of section 3.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, eps: float) -> Any:
        wide = torch.float64 if x.device.type == "cpu" else torch.float32  # as torch's own kernels
        across, sides = _across(x), (1, -1, *(1,) * (x.ndim - 2))
        exact = x.to(wide)
        # Two sums in turn: a difference of squares would lose what a small variance consists of.
        sums = torch.cat([exact.sum(across), exact.new_tensor([x.numel() / x.shape[1]])])
        distributed.all_reduce(sums)
        mean, count = sums[:-1] / sums[-1], sums[-1]
        centred = exact - mean.view(sides)
        squares = centred.square().sum(across)
        distributed.all_reduce(squares)
        variance = squares / count
        scale = (variance + eps).rsqrt()
        answer = (centred * scale.view(sides)).to(x.dtype)
        ctx.save_for_backward(answer, scale, count)
        ctx.mark_non_differentiable(mean, variance, count)
        return answer, mean, variance, count

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> Any:
        answer, scale, count = ctx.saved_tensors
        across, sides = _across(answer), (1, -1, *(1,) * (answer.ndim - 2))
        gradient, normalised = gradients[0].to(scale.dtype), answer.to(scale.dtype)
        sums = torch.stack([gradient.sum(across), (gradient * normalised).sum(across)])
        distributed.all_reduce(sums)
        means = sums / count
        of_x = gradient - means[0].view(sides) - normalised * means[1].view(sides)
        return (of_x * scale.view(sides)).to(answer.dtype), None


def _across(x: Tensor) -> list[int]:
    """Returns every dimension but that of the channels."""
    return [0, *range(2, x.ndim)]
