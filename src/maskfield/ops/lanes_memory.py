"""Numba: pointers to arrays, and vectors (see ``lanes``) loaded from and stored behind them.

numba counts the references to an array at each call, and threads that count references to one
array wait for each other; kernels that are called per ray or sample therefore take pointers. A
pointer keeps nothing alive: take it from arrays that the caller of the outermost kernel holds.
Indices are flat, counted in elements, and not checked.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.core.errors import TypingError

from maskfield.ops.lanes import Lanes, emitted


@emitted
def data(typing: Any, array: Any) -> Any:
    """Pointer to the first element of a C-contiguous array."""

    def code(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        return context.make_array(array)(context, builder, args[0]).data

    return types.CPointer(array.dtype)(array), code


@emitted
def offset(typing: Any, pointer: Any, count: Any) -> Any:
    """The pointer ``count`` elements on."""

    def code(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        return builder.gep(args[0], [args[1]])

    return pointer(pointer, types.intp), code


def _address(context: Any, builder: Any, sig: Any, args: Any, width: int) -> Any:
    """Pointer to the vector that begins at element args[1] behind pointer args[0]."""
    form = ir.VectorType(context.get_value_type(sig.args[0].dtype), width)
    return builder.bitcast(builder.gep(args[0], [args[1]]), form.as_pointer())


@emitted
def load(typing: Any, pointer: Any, start: Any, form: Any) -> Any:
    """The elements [start, start + len(form)) behind a pointer."""
    lanes = Lanes(pointer.dtype, len(form))

    def code(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        place = _address(context, builder, sig, args, lanes.width)
        return builder.load(place, align=pointer.dtype.bitwidth // 8)

    return lanes(pointer, types.intp, form), code


@emitted
def store(typing: Any, pointer: Any, start: Any, value: Any) -> Any:
    """Write a vector to the elements from ``start`` on."""
    if value.kind != pointer.dtype:
        raise TypingError(f"cannot store {value} among {pointer.dtype}")

    def code(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        place = _address(context, builder, sig, args, value.width)
        builder.store(args[2], place, align=pointer.dtype.bitwidth // 8)
        return context.get_dummy_value()

    return types.void(pointer, types.intp, value), code


@emitted
def zeros(typing: Any, pointer: Any, form: Any) -> Any:
    """len(form) zeros of the type behind a pointer."""
    lanes = Lanes(pointer.dtype, len(form))

    def code(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        return ir.Constant(context.get_value_type(lanes), None)

    return lanes(pointer, form), code


@emitted
def fetch(typing: Any, pointer: Any, start: Any) -> Any:
    """Ask for the cache line of an element that will be needed soon; any address is allowed."""

    def code(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        word = ir.IntType(32)
        place = builder.bitcast(builder.gep(args[0], [args[1]]), ir.IntType(8).as_pointer())
        call = ir.FunctionType(ir.VoidType(), [place.type, word, word, word])
        function = cgutils.get_or_insert_function(builder.module, call, "llvm.prefetch.p0")
        builder.call(function, [place, word(0), word(3), word(1)])  # to read, keep near, data
        return context.get_dummy_value()

    return types.void(pointer, types.intp), code
