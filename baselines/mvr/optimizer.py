"""StableAdamW with AMSGrad, which no library that we found has in this form."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer


class StableAdamW(Optimizer):
    """AdamW whose step shrinks where gradients outgrow their second moments, tensor by tensor.

    Update clipping of Wortsman et al., Stable and low-precision training for large-scale vision-language models (2023),
    alg. 2; AMSGrad of Reddi et al., On the convergence of Adam and beyond (2018), alg. 2.

    Args:
        parameters: to optimise.
        lr: step size.
        betas: decay of the first and the second moment.
        eps: added to the denominator.
        weight_decay: decoupled: parameters shrink by lr · weight_decay a step.
        amsgrad: divide by the largest second moment so far.
        clip: RMS of gradient over denominator from which on a step shrinks.
    """

    def __init__(
        self,
        parameters: Iterable[Tensor],
        lr: float = 2e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-10,
        weight_decay: float = 1e-5,
        amsgrad: bool = True,
        clip: float = 1.0,
    ) -> None:
        options = {"lr": lr, "betas": betas, "eps": eps, "weight_decay": weight_decay, "amsgrad": amsgrad, "clip": clip}
        super().__init__(parameters, options)

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:  # type: ignore[override]
        """Update every parameter that has a gradient."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is not None:
                    self._update(parameter, parameter.grad, group)
        return loss

    def _update(self, parameter: Tensor, gradient: Tensor, group: dict[str, Any]) -> None:
        state = self.state[parameter]
        if not state:
            state["step"] = 0
            for name in ("first", "second", "largest"):
                state[name] = torch.zeros_like(parameter)
        state["step"] += 1
        (fast, slow), rate = group["betas"], group["lr"]
        parameter.mul_(1 - rate * group["weight_decay"])
        state["first"].lerp_(gradient, 1 - fast)
        state["second"].mul_(slow).addcmul_(gradient, gradient, value=1 - slow)
        moment = state["second"]
        if group["amsgrad"]:
            moment = torch.maximum(state["largest"], moment, out=state["largest"])
        denominator = moment.sqrt().div_(math.sqrt(1 - slow ** state["step"])).add_(group["eps"])
        excess = max(1.0, float((gradient / denominator).square().mean().sqrt()) / group["clip"])
        parameter.addcdiv_(state["first"], denominator, value=-rate / (1 - fast ** state["step"]) / excess)


def scheduled_rate(step: int, steps: int, base: float, final: float, warmup: int) -> float:
    """The rate of a step, from 0: linear up to `base` over `warmup` steps, then half a cosine down to `final`."""
    if step < warmup:
        return base * (step + 1) / warmup
    share = (step - warmup) / max(1, steps - 1 - warmup)
    return final + (base - final) * 0.5 * (1 + math.cos(math.pi * min(1.0, share)))
