"""Tails of three distributions, over arrays, without scipy: its import costs more than all that they are needed for.

The tests hold them to scipy's.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

_MEET = 1.18
"""Where both series of Kolmogorov's distribution are exact with four terms."""
_ROWS = 256
"""Features whose sums are made at once, so that many categories take little memory."""


def kolmogorov(x: Floats) -> Floats:
    """The limit of P(sqrt(n) D >= x)."""
    import numpy as np

    terms = np.arange(1, 5)[:, None]
    far = np.maximum(x, _MEET)
    tail = 2 * (np.where(terms % 2, 1, -1) * np.exp(-2 * terms**2 * far**2)).sum(axis=0)
    near = np.clip(x, 1e-3, _MEET)
    head = math.sqrt(2 * math.pi) / near * np.exp(-((2 * terms - 1) ** 2) * math.pi**2 / (8 * near**2)).sum(axis=0)
    found: Floats = np.where(x >= _MEET, tail, 1 - head)
    return np.clip(found, 0.0, 1.0)


def chi_square(x: Floats, df: NDArray[np.int64]) -> Floats:
    """P(X >= x) of the chi-square distributions with whole degrees of freedom; 1 where there are none."""
    import numpy as np

    found = np.ones(len(x))
    for start in range(0, len(x), _ROWS):
        part = slice(start, start + _ROWS)
        found[part] = _chi_square(x[part], df[part])
    return found


def _chi_square(x: Floats, df: NDArray[np.int64]) -> Floats:
    """Whole degrees make the incomplete gamma function a finite sum of positive terms."""
    import numpy as np

    half = np.maximum(x, 1e-300)[:, None] / 2
    most = int(df.max(initial=0)) // 2
    odd = (df % 2)[:, None]
    powers = np.arange(most)[None, :] + odd / 2
    factorials = np.array([[math.lgamma(i + 1 + s / 2) for i in range(most)] for s in (0, 1)]).reshape(2, most)
    terms = np.exp(-half + powers * np.log(half) - factorials[odd[:, 0]])
    terms = np.where(np.arange(most)[None, :] < (df // 2)[:, None], terms, 0.0)
    found = terms.sum(axis=1) + np.where(odd[:, 0] == 1, _erfc(np.sqrt(half[:, 0])), 0.0)
    return np.where((df <= 0) | (x <= 0), 1.0, np.clip(found, 0.0, 1.0))


def two_sided(z: Floats) -> Floats:
    """P(|Z| >= |z|) of the normal distribution."""
    import numpy as np

    return _erfc(np.abs(z) / math.sqrt(2))


def _erfc(x: Floats) -> Floats:
    import numpy as np

    return np.fromiter(map(math.erfc, x.tolist()), float, len(x))
