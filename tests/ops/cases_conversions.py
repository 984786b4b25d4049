"""Cases of casts to and from the dtypes that NumPy lacks, and of bits read as another dtype."""

import numpy as np

from graphctx.spec import EXTENDED, as_dtype
from tests.ops.build import elementwise, refused
from tests.ops.case import Case

CASES: list[Case] = []
F = np.float32
NO_ARRAYS = "onnxruntime's Python interface has no arrays of it"
X = np.array([[0.0, 1.0, 2.7], [-1.4, 100.4, 1e9]], F)

for name in EXTENDED:
    dtype = as_dtype(name)
    numbers = np.array([1, 2, 0.5]).astype(dtype)
    CASES += [
        refused(elementwise("Cast", X, to=dtype), NO_ARRAYS),
        refused(elementwise("Cast", numbers, to=np.dtype(F)), NO_ARRAYS),
        refused(elementwise("Cast", numbers, to=np.dtype(np.int8)), NO_ARRAYS),
        refused(elementwise("Cast", numbers, to=np.dtype(object)), NO_ARRAYS),
        refused(elementwise("Cast", np.array(["1", "2"], object), to=dtype), NO_ARRAYS),
        refused(elementwise("CastLike", X, numbers.reshape(3)), NO_ARRAYS),
    ]
for mode in ("up", "down", "nearest"):
    case = elementwise("Cast", X, to=as_dtype("float8_e8m0"), round_mode=mode, saturate=0)
    CASES.append(refused(case, NO_ARRAYS))
CASES += [
    elementwise("CastLike", X[:1], np.zeros((1, 3), np.float16), tolerance=0),
    elementwise("CastLike", X[:1], np.zeros(3, bool), tolerance=0),
    elementwise("CastLike", np.array(["1.5"], object), np.zeros(3, F), tolerance=0),
    elementwise("BitCast", X, to=np.dtype(np.int32), tolerance=0),
    elementwise("BitCast", np.arange(6, dtype=np.uint64), to=np.dtype(np.float64), tolerance=0),
    refused(elementwise("BitCast", np.array([True, False]), to=np.dtype(np.int8)), "no kernel"),
]
for source, target in (("int4", "uint4"), ("uint2", "int2"), ("float8_e4m3fn", "int8"),
                       ("float4_e2m1", "int4"), ("bfloat16", "float16")):  # fmt: skip
    numbers = np.array([1, 0, 1]).astype(as_dtype(source))
    CASES.append(refused(elementwise("BitCast", numbers, to=as_dtype(target)), NO_ARRAYS))
