"""Numba: exponential, softplus and sigmoid of vectors (see ``lanes``), to a few units of rounding.

The same series serve both float types; double precision takes more terms of them. LLVM unrolls the
loops over terms and computes their coefficients while it compiles.
"""

from __future__ import annotations

import math

from numba import njit

from maskfield.ops.lanes import below, by_kind, down, like, power_of_two

FAST = {"contract", "reassoc", "nsz", "arcp", "afn"}  # infinities stay legal: far may be infinite
_LOG2_E = 1 / math.log(2)
_LOG2_HIGH = 0.693145751953125  # 15 bits: its products with small whole numbers are exact
_LOG2_LOW = 1.4286068203094172e-06  # log(2) - _LOG2_HIGH


@njit(nogil=True, fastmath=FAST, forceinline=True)
def larger(a, b):
    """The larger of two, lane by lane; b where a is not a number."""
    return below(b, a, a, b)


@njit(nogil=True, fastmath=FAST, forceinline=True)
def smaller(a, b):
    """The smaller of two, lane by lane; b where a is not a number."""
    return below(a, b, a, b)


@njit(nogil=True, fastmath={"contract", "nsz"}, forceinline=True)
def exp(x):
    """e to the x = 2^n e^r with whole n and |r| <= log(2) / 2, e^r from its Taylor series.

    0 below the normal numbers. Not reassociated: the two steps to r must stay apart.
    """
    largest = like(x, by_kind(x, 88.0, 709.0))
    x = larger(smaller(x, largest), 0 - largest)
    n = down(x * _LOG2_E + 0.5)
    r = (x - n * _LOG2_HIGH) - n * _LOG2_LOW
    y = like(x, 1.0)
    for k in range(by_kind(x, 7, 13), 0, -1):  # the next term is below rounding
        y = 1 + y * (r * (1.0 / k))
    return y * power_of_two(n)


@njit(nogil=True, fastmath=FAST, forceinline=True)
def log_one_plus(e):
    """log(1 + e) for e in [0, 1] as 2 artanh(e / (2 + e)): small results keep their digits."""
    s = e / (e + 2)
    square = s * s
    y = like(e, 0.0)
    for k in range(by_kind(e, 7, 16), -1, -1):  # square <= 1 / 9
        y = 1.0 / (2 * k + 1) + y * square
    return 2 * s * y


@njit(nogil=True, fastmath=FAST, forceinline=True)
def softplus(x):
    """log(1 + exp(x)) and its derivative."""
    zero = like(x, 0.0)
    e = exp(smaller(x, 0 - x))
    share = 1 / (1 + e)
    return larger(x, zero) + log_one_plus(e), below(x, zero, e * share, share)


@njit(nogil=True, fastmath=FAST, forceinline=True)
def sigmoid(x):
    """1 / (1 + exp(-x))."""
    return 1 / (1 + exp(0 - x))
