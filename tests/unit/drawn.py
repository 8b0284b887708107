"""Inputs that hypothesis draws for the tests of boxes, suppression and pooling."""

import torch
from hypothesis import strategies as st
from torch import Tensor

SEEDS = st.integers(0, 2**31)
COORDINATES = st.floats(-100, 1000, width=32)
SIDES = st.one_of(st.just(0.0), st.floats(0.5, 500, width=32))


@st.composite
def boxes(draw: st.DrawFn, min_size: int = 0, max_size: int = 12, sides: st.SearchStrategy = SIDES) -> Tensor:
    """(N, 4) boxes anywhere, some without area."""
    corners_and_sides = st.tuples(COORDINATES, COORDINATES, sides, sides)
    rows = torch.tensor(draw(st.lists(corners_and_sides, min_size=min_size, max_size=max_size))).reshape(-1, 4)
    return torch.cat((rows[:, :2], rows[:, :2] + rows[:, 2:]), dim=1)


def crowded_boxes(count: int, seed: int, side: int = 20) -> Tensor:
    """(N, 4) boxes with whole corners in a small square: many overlap, many are equal, some have no area."""
    generator = torch.Generator().manual_seed(seed)
    corner = torch.randint(0, side, (count, 2), generator=generator)
    size = torch.randint(0, side // 2, (count, 2), generator=generator)
    return torch.cat((corner, corner + size), dim=1).float()


def image_boxes(count: int, seed: int, width: float = 800, height: float = 600, longest: float = 250) -> Tensor:
    """(N, 4) boxes with sides of 16 px and more, of which some reach over the border of a width x height image."""
    generator = torch.Generator().manual_seed(seed)
    corner = torch.rand(count, 2, generator=generator) * torch.tensor([width, height]) - 20
    return torch.cat((corner, corner + 16 + torch.rand(count, 2, generator=generator) * (longest - 16)), dim=1)
