"""Which pictures make an epoch: each once, or as many with every class as often as any other."""

from __future__ import annotations

import torch
from torch import Tensor

from darkroom.errors import Invalid

__all__ = ["balanced_order"]


def balanced_order(labels: Tensor, generator: torch.Generator) -> Tensor:
    """Returns the indices (N,) of N pictures to see, all classes that occur equally often.

    Within a class every picture comes as often as any other, give or take once, so that chance decides as
    little as it can. What does not come out even is drawn.

    Args:
        labels: (N,) int64 on the processor.
        generator: of the processor.

    Raises:
        Invalid: there are no pictures.

    Source: class-balanced resampling; Kang et al., Decoupling representation and classifier for long-tailed
    recognition, 2020, section 3, q = 0.
    """
    if len(labels) == 0:
        raise Invalid(
            "training.nothing-to-sample",
            "There are no pictures to sample from.",
            do="Give train pictures: darkroom dataset show DATASET",
        )
    classes = labels.unique()
    quotas = torch.full((len(classes),), len(labels) // len(classes))
    more = torch.randperm(len(classes), generator=generator)[: len(labels) % len(classes)]
    quotas[more] += 1
    parts = [
        _repeated((labels == label).nonzero()[:, 0], int(quota), generator)
        for label, quota in zip(classes, quotas, strict=True)
    ]
    drawn = torch.cat(parts)
    return drawn[torch.randperm(len(drawn), generator=generator)]


def _repeated(members: Tensor, count: int, generator: torch.Generator) -> Tensor:
    """Returns so many of the members, each as often as any other, give or take once."""
    rounds, rest = divmod(count, len(members))
    some = members[torch.randperm(len(members), generator=generator)[:rest]]
    return torch.cat([members.repeat(rounds), some])
