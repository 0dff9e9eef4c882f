"""Elementary functions that vectorise: exp, log, tanh, sigmoid, the normal distribution.

Scalar functions for compiled code, of float32 or float64, which return the type of their argument.
They have no branches, tables or calls of a mathematical library, so a loop over contiguous
elements becomes vector code, and an element gets the same bits in a vector of any width and in
the scalar remainder of the loop. The method of each stands with it; `coefficients.py` holds the
numbers and how they were found, and `tests/kernels/machine/test_vecmath.py` the bound on each
one's error.

NaN gives NaN, infinities give the limits, overflow gives infinity. Denormal arguments and results
are as right as others. The sign of a zero need not be kept.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
from numba.extending import overload

from fastbp.kernels.machine.coefficients import EXP, LOG, NORMAL, REAL, TANH
from fastbp.kernels.machine.simd import bits_of, fma, from_bits

# The callers' flags do not reach in here. No arcp: x / y must be the rounded quotient, whatever
# the width of the vector.
_OPTIONS = {"fastmath": {"nsz"}, "error_model": "numpy", "forceinline": True}


def _function(*tables: dict[Any, Any]) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Make `build(*constants)`, which returns a body for one element type, a function to call.

    The type of the first argument picks the constants from `tables` when a caller is compiled.
    """

    def register(build: Callable[..., Any]) -> Callable[..., Any]:
        def function(*arguments: Any) -> Any:
            raise NotImplementedError(f"{build.__name__} can only be called from compiled code")

        def body(*kinds: Any) -> Any:
            if kinds[0] not in REAL:
                return None
            return build(REAL[kinds[0]], *(table[kinds[0]] for table in tables))

        function.__name__, function.__doc__ = build.__name__, build.__doc__
        overload(function, jit_options=_OPTIONS, strict=False)(body)
        return function

    return register


@_function()
def like(k):
    """like(x, constant): the constant in the type of x, since Numba computes in float64 with it."""
    return lambda x, constant: k.real(constant)


@_function()
def _polynomial(k):
    """_polynomial(x, c) = c[0] + c[1] x + c[2] x^2 + ... by Horner's rule; LLVM unrolls it."""

    def body(x, c):
        p = c[-1]
        for i in range(2, len(c) + 1):
            p = fma(p, x, c[len(c) - i])
        return p

    return body


@_function()
def _limited(k):
    """_limited(x, low, high): x between the two, or NaN."""

    def body(x, low, high):
        x = low if x < low else x
        return high if x > high else x

    return body


@_function(EXP)
def _exp_reduced(k, e):
    """_exp_reduced(x, y) = (q, exponent): exp(x + y) = (1 + q) 2^n, for tiny y and limited x.

    The reduction of Cody and Waite (1980) to r = x + y - n ln 2. What x - n ln 2 loses joins the
    small terms. The lower bits of the exponent hold n and the bias of two factors.
    """

    def body(x, y):
        biased = fma(x, e.log2_e, e.round_biased)
        n = biased - e.round_biased
        high = fma(n, -e.ln2_high, x)
        low = fma(n, -e.ln2_low, y)
        r = high + low
        q = high + fma(r * r, _polynomial(r, e.series), low)
        return q, bits_of(biased)

    return body


@_function()
def _exp_parts(k):
    """_exp_parts(x, y) = (q, s, t) with exp(x + y) = (1 + q) s t, as `_exp_reduced`.

    Two factors s t = 2^n of about the same size cover results near overflow and denormal ones.
    """

    def body(x, y):
        q, exponent = _exp_reduced(x, y)
        half = k.integer(k.integer(exponent >> 1) << k.mantissa_bits)
        rest = k.integer(k.integer(exponent << k.mantissa_bits) - half)
        return q, from_bits(half), from_bits(rest)

    return body


@_function()
def _exp_normal_parts(k):
    """_exp_normal_parts(x) = (q, p) with exp(x) = (1 + q) p, where p = 2^n is a normal number."""

    def body(x):
        q, exponent = _exp_reduced(x, k.real(0))
        return q, from_bits(k.integer(k.integer(exponent << k.mantissa_bits) - k.one))

    return body


@_function(EXP)
def exp(k, e):
    """e^x. Results below the smallest normal number are denormal, rounded twice."""

    def body(x):
        q, s, t = _exp_parts(_limited(x, e.lowest, e.highest), k.real(0))
        return fma(q, s, s) * t

    return body


@_function()
def exp_normal(k):
    """e^x with the bits of `exp` in fewer operations, for |x| <= 87, by float64 <= 708."""

    def body(x):
        q, p = _exp_normal_parts(x)
        return fma(q, p, p)

    return body


@_function(EXP)
def expm1(k, e):
    """e^x - 1 = s (q t + t - 1 / s), as accurate near zero as elsewhere."""

    def body(x):
        q, s, t = _exp_parts(_limited(x, e.lowest, e.highest), k.real(0))
        return s * fma(q, t, t - from_bits(k.integer(k.two_ones - bits_of(s))))

    return body


@_function(EXP, TANH)
def tanh(k, e, rational):
    """tanh(x), odd and never beyond 1: by float32 a quotient of polynomials, half as many steps.

    By float64 E / (E + 2) with E = exp(2 |x|) - 1, and the sign of x.
    """

    def of_polynomials(x):
        z = _limited(x, -rational.highest, rational.highest)
        u = z * z
        y = z * _polynomial(u, rational.p) / _polynomial(u, rational.q)
        return _limited(y, k.real(-1), k.real(1))

    def of_exp(x):
        z = abs(x)
        z = e.tanh_highest if z > e.tanh_highest else z
        q, power = _exp_normal_parts(z + z)
        expm1_2z = fma(q, power, power - k.real(1))
        y = expm1_2z / (expm1_2z + k.real(2))
        return from_bits(k.integer(bits_of(y) | k.integer(bits_of(x) & k.sign)))

    return of_polynomials if rational else of_exp


@_function()
def sigmoid(k):
    """1 / (1 + exp(-x)) = a - a t / (1 + t): t = exp(-|x|), a = t where x is negative, else 1."""

    def body(x):
        t = exp(-abs(x))
        a = t if x < k.real(0) else k.real(1)
        return fma(-a, t / (k.real(1) + t), a)

    return body


@_function(LOG)
def _log_sum(k, c):
    """_log_sum(e, f) = e ln 2 + log(1 + f), for 1 + f in [sqrt(1/2), sqrt(2)].

    log(1 + f) = f - f^2 / 2 + s (f^2 / 2 + R(s^2)) with s = f / (2 + f): the arrangement of
    FreeBSD's e_log.c, in which only small terms are rounded.
    """

    def body(e, f):
        s = f / (k.real(2) + f)
        z = s * s
        h = k.real(0.5) * f * f
        small = fma(s, fma(z, _polynomial(z, c.series), h), e * c.ln2_low)
        return fma(e, c.ln2_high, f - (h - small))

    return body


@_function(LOG)
def _exponent(k, c):
    """_exponent(x): 2^e as a biased exponent in place, where x / 2^e is in [sqrt(1/2), sqrt(2))."""
    to_sqrt_half = k.integer(k.one - c.sqrt_half.view(k.integer))
    return lambda x: k.integer(k.integer(bits_of(x) + to_sqrt_half) & k.exponent)


@_function(LOG)
def _exponent_value(k, c):
    """_exponent_value(x, exponent, bias) = e + 2^mantissa_bits + 127 (or 1023) - bias."""
    whole = c.whole.view(k.integer)

    def body(x, exponent, bias):
        return from_bits(k.integer(k.integer(exponent >> k.mantissa_bits) | whole)) - bias

    return body


@_function()
def _log_domain(k):
    """_log_domain(x, y): y = log(x) where x is positive and finite, else what log(x) is there."""

    def body(x, y):
        y = y if x < k.real(np.inf) else x
        edge = k.real(-np.inf) if x == k.real(0) else k.real(np.nan)
        return y if x > k.real(0) else edge

    return body


@_function(LOG)
def flushed(k, c):
    """x, or zero where x is denormal, which would make a whole vector slow."""
    return lambda x: k.real(0) if abs(x) < c.smallest else x


@_function(LOG)
def log(k, c):
    """The natural logarithm, right for denormal numbers too; -inf at zero, NaN below."""

    def body(x):
        denormal = x < c.smallest
        u = x * c.scale if denormal else x
        bias = c.whole_biased + c.scale_exponent if denormal else c.whole_biased
        exponent = _exponent(u)
        f = from_bits(k.integer(k.integer(bits_of(u) - exponent) + k.one)) - k.real(1)
        return _log_domain(x, _log_sum(_exponent_value(u, exponent, bias), f))

    return body


@_function(LOG)
def log1p(k, c):
    """log(1 + x), accurate near zero: the fraction is x / 2^e + (1 / 2^e - 1), rounded once."""
    # 4 / 2^e instead of 1 / 2^e, which is not a normal number where 1 + x is largest.
    four = k.integer(2 << int(k.mantissa_bits))

    def body(x):
        u = k.real(1) + x
        exponent = _exponent(u)
        scale = from_bits(k.integer(k.integer(k.two_ones - exponent) + four))
        f = fma(x, scale, scale - k.real(4)) * k.real(0.25)
        return _log_domain(u, _log_sum(_exponent_value(u, exponent, c.whole_biased), f))

    return body


@_function(LOG)
def softplus(k, c):
    """log(1 + exp(x)) = max(x, 0) + log(1 + t), t = exp(-|x|): halved where 1 + t > sqrt(2)."""

    def body(x):
        t = exp(-abs(x))
        halve = t > c.sqrt2_minus_1
        f = k.real(0.5) * (t - k.real(1)) if halve else t
        e = k.real(1) if halve else k.real(0)
        return (x if x > k.real(0) else k.real(0)) + _log_sum(e, f)

    return body


@_function(NORMAL)
def _limited_size(k, n):
    """_limited_size(x): |x|, no larger than where the normal density has underflowed."""

    def body(x):
        z = abs(x)
        return n.highest if z > n.highest else z

    return body


@_function(NORMAL)
def normal_pdf(k, n):
    """exp(-x^2 / 2) / sqrt(2 pi), with the rounding of x^2 made up for."""

    def body(x):
        z = _limited_size(x)
        h = (z + n.round_square) - n.round_square  # few bits: h^2 is exact
        half = k.real(-0.5)
        rest = fma(half * (z - h), z + h, n.density_log_rest)
        q, s, t = _exp_parts(half * h * h, rest)
        scaled = n.density * s
        return fma(q, scaled, scaled) * t

    return body


@_function(NORMAL)
def normal_cdf(k, n):
    """The standard normal distribution function, accurate in the left tail until it underflows.

    Phi(-z) = phi(z) / (z + S(z)): S is smooth and tends to 1 / z, and in this form the rounding
    of its numerator and denominator hardly counts where z is large.
    """

    def body(x):
        z = _limited_size(x)
        b = _polynomial(z, n.b)
        tail = normal_pdf(x) * (b / fma(z, b, _polynomial(z, n.a)))
        return k.real(1) - tail if x > k.real(0) else tail

    return body
