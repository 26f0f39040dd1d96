"""As much of numpy as the tests of HumanEval+ use, on plain values: comparing numbers with tolerance."""

import math as _math
import sys as _sys
import types as _types


def stand_in_for_numpy():
    numpy = _types.ModuleType("numpy")
    numpy.ndarray = type("ndarray", (), {})
    numpy.float64, numpy.float32 = float, type("float32", (float,), {})
    numpy.inf, numpy.nan, numpy.pi = _math.inf, _math.nan, _math.pi
    numpy.allclose, numpy.isclose = _all_close, _close
    numpy.isnan, numpy.isinf = _math.isnan, _math.isinf
    _sys.modules["numpy"] = numpy


def _close(a, b, rtol=1e-05, atol=1e-08, equal_nan=False):
    if a == b:
        return True
    if isinstance(a, float) and _math.isnan(a) or isinstance(b, float) and _math.isnan(b):
        return equal_nan and a != a and b != b
    if _math.inf in (abs(a), abs(b)):
        return False
    return abs(a - b) <= atol + rtol * abs(b)


def _all_close(a, b, rtol=1e-05, atol=1e-08, equal_nan=False):
    """Of numbers, or of lists as deep as each other; one number stands for a list of it."""
    lists = (list, tuple)
    if not isinstance(a, lists) and not isinstance(b, lists):
        return _close(a, b, rtol, atol, equal_nan)
    if not isinstance(a, lists):
        a = [a] * len(b)
    if not isinstance(b, lists):
        b = [b] * len(a)
    if len(a) != len(b):
        raise ValueError("lists of different lengths")
    return all(_all_close(x, y, rtol, atol, equal_nan) for x, y in zip(a, b))
