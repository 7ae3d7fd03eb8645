"""Numba: short vectors of fixed width as values, which LLVM keeps in SIMD registers.

numba leaves vectorising to LLVM, which gives up on loops whose trip count it does not know and on
arrays that might overlap. ``Lanes`` says what is meant: a vector of ``width`` numbers that is
loaded, computed with ``+ - * /`` and stored as one. Any width works on any machine: LLVM cuts it
to the registers there are. A width is given as a tuple (``form``) of that length, whose length is
part of its type: kernels are compiled once per width.

``lanes_memory`` loads and stores them, ``lanes_math`` has their functions.
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.core.typing.templates import AbstractTemplate, infer_global, signature
from numba.extending import intrinsic, lower_builtin, models, register_model

LANES = (0,) * 16  # samples at a time: the floats of one cache line


class Lanes(types.Type):
    """``width`` numbers of one type."""

    def __init__(self, kind: types.Type, width: int) -> None:
        self.kind, self.width = kind, width
        super().__init__(name=f"Lanes({kind}, {width})")


@register_model(Lanes)
class _LanesModel(models.PrimitiveModel):
    def __init__(self, manager: Any, lanes: Lanes) -> None:
        element = manager.lookup(lanes.kind).get_value_type()
        super().__init__(manager, lanes, ir.VectorType(element, lanes.width))


def emitted(make: Callable[..., Any]) -> Callable[..., Any]:
    """A function of kernels: ``make`` types a call and gives what emits its LLVM code."""
    return intrinsic(make)


def _spread(context: Any, builder: Any, scalar: Any, lanes: Lanes) -> Any:
    """A vector with ``scalar`` in every lane."""
    form = context.get_value_type(lanes)
    first = builder.insert_element(ir.Constant(form, ir.Undefined), scalar, ir.IntType(32)(0))
    zeros = ir.Constant(ir.VectorType(ir.IntType(32), lanes.width), [0] * lanes.width)
    return builder.shuffle_vector(first, ir.Constant(form, ir.Undefined), zeros)


def _define(symbol: Callable[[Any, Any], Any], on_floats: str, on_integers: str) -> None:
    """Teach numba ``symbol`` between two vectors, and between a vector and a scalar."""

    @infer_global(symbol)  # pyright: ignore[reportOptionalCall]
    class _Typing(AbstractTemplate):
        def generic(self, args: Any, kws: Any) -> Any:
            a, b = args
            if isinstance(a, Lanes) and a == b:
                return signature(a, a, b)
            if isinstance(a, Lanes) and isinstance(b, types.Number):
                return signature(a, a, a.kind)
            if isinstance(b, Lanes) and isinstance(a, types.Number):
                return signature(b, b.kind, b)
            return None

    def lower(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        wide = [
            value if isinstance(kind, Lanes) else _spread(context, builder, value, sig.return_type)
            for kind, value in zip(sig.args, args, strict=True)
        ]
        real = isinstance(sig.return_type.kind, types.Float)
        return getattr(builder, on_floats if real else on_integers)(*wide)

    for pair in ((Lanes, Lanes), (Lanes, types.Number), (types.Number, Lanes)):
        lower_builtin(symbol, *pair)(lower)


_define(operator.add, "fadd", "add")
_define(operator.sub, "fsub", "sub")
_define(operator.mul, "fmul", "mul")
_define(operator.truediv, "fdiv", "sdiv")


@emitted
def like(typing: Any, value: Any, scalar: Any) -> Any:
    """A scalar in every lane of a vector such as ``value``."""

    def code(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        return _spread(context, builder, args[1], value)

    return value(value, value.kind), code


@emitted
def total(typing: Any, value: Any) -> Any:
    """Sum over the lanes, in an order that the compiler chooses once."""

    def code(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        element = context.get_value_type(value.kind)
        name = f"llvm.vector.reduce.fadd.v{value.width}f{value.kind.bitwidth}"
        call = ir.FunctionType(element, [element, args[0].type])
        function = cgutils.get_or_insert_function(builder.module, call, name)
        return builder.call(function, [element(0.0), args[0]], fastmath=("reassoc",))

    return value.kind(value), code


@emitted
def below(typing: Any, a: Any, b: Any, yes: Any, no: Any) -> Any:
    """``yes`` where a < b, else ``no``."""

    def code(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        real = isinstance(a.kind, types.Float)
        compare = builder.fcmp_ordered if real else builder.icmp_signed
        return builder.select(compare("<", args[0], args[1]), args[2], args[3])

    return yes(a, a, yes, yes), code


@emitted
def down(typing: Any, value: Any) -> Any:
    """The largest whole numbers not above ``value``, still as floats."""

    def code(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        name = f"llvm.floor.v{value.width}f{value.kind.bitwidth}"
        call = ir.FunctionType(args[0].type, [args[0].type])
        return builder.call(cgutils.get_or_insert_function(builder.module, call, name), args)

    return value(value), code


@emitted
def whole(typing: Any, value: Any) -> Any:
    """Floats cut to 32-bit integers; they must be in range."""
    lanes = Lanes(types.int32, value.width)

    def code(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        return builder.fptosi(args[0], context.get_value_type(lanes))

    return lanes(value), code


@emitted
def real(typing: Any, value: Any, model: Any) -> Any:
    """Integers as floats of the type of ``model``."""

    def code(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        return builder.sitofp(args[0], context.get_value_type(model))

    return model(value, model), code


_FLOATS = {32: (23, 127), 64: (52, 1023)}  # bits of the mantissa, exponent of 1


@emitted
def power_of_two(typing: Any, value: Any) -> Any:
    """2 to the power of whole floats, made by writing the exponent's bits; -bias gives 0."""
    bits = value.kind.bitwidth
    mantissa, bias = _FLOATS[bits]

    def code(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        form = ir.VectorType(ir.IntType(bits), value.width)
        exponent = builder.add(
            builder.fptosi(args[0], form), ir.Constant(form, [bias] * value.width)
        )
        shifted = builder.shl(exponent, ir.Constant(form, [mantissa] * value.width))
        return builder.bitcast(shifted, args[0].type)

    return value(value), code


@emitted
def by_kind(typing: Any, value: Any, single: Any, double: Any) -> Any:
    """``single`` if ``value`` has lanes of float32, ``double`` for float64; known to LLVM."""
    chosen = 1 if value.kind.bitwidth == 32 else 2

    def code(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        return args[chosen]

    return (single, double)[chosen - 1](value, single, double), code
