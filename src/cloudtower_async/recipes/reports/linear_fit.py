"""Least-squares fit of a line."""

from __future__ import annotations

from collections.abc import Sequence
from math import fsum
from typing import NamedTuple


class LinearFit(NamedTuple):
    """A line through points.

    Args:
        slope: Growth of y for each unit of x.
        r_squared: Share of the variance of y that the line explains, 0 to 1; 1 if y never changes.
    """

    slope: float
    r_squared: float


def fit_line(xs: Sequence[float], ys: Sequence[float]) -> LinearFit | None:
    """Return the line with the least squared distance from the points.

    Args:
        xs: Finite values of x.
        ys: Finite values of y, one for each x.

    Returns:
        The line, or None if all values of x are the same or too close to tell apart.
    """
    if not xs or min(xs) == max(xs):
        return None
    if min(ys) == max(ys):  # rounding errors must not turn a constant into a trend
        return LinearFit(0.0, 1.0)
    # Use differences from the means, because sums of squares of the values would lose precision.
    mean_x, mean_y = fsum(xs) / len(xs), fsum(ys) / len(ys)
    from_x = [x - mean_x for x in xs]
    from_y = [y - mean_y for y in ys]
    variance_x = fsum(x * x for x in from_x)
    variance_y = fsum(y * y for y in from_y)
    if not variance_x:  # differences too small to square
        return None
    if not variance_y:
        return LinearFit(0.0, 1.0)
    slope = fsum(x * y for x, y in zip(from_x, from_y, strict=True)) / variance_x
    return LinearFit(slope, min(slope * slope * variance_x / variance_y, 1.0))
