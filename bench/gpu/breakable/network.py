"""One number: there is nothing to compute, only a device to be on."""

import torch
from torch import nn


class One(nn.Module):
    """Holds a parameter, so that there is a state to load."""

    def __init__(self) -> None:
        super().__init__()
        self.one = nn.Parameter(torch.ones(1))
