"""TFLite's builtin operators, the newest version of each that a runtime supports, and whether a model needs more.

When it loads a model, a runtime refuses operators, and versions of them, that it does not support. The versions were
measured with models of a single operator in the runtimes themselves, tflite-runtime 2.14.0 and ai-edge-litert 2.3.0
(LiteRT). `python -m tests.convert.tflite_model.operator_probe tflite-runtime` measures them again, and
`tests/convert/tflite_model/test_operators.py` compares the table with the result. Custom operators and those of
TensorFlow ("Flex...") count as unsupported: the packages on the device have none that the converter writes.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from device.errors import ConversionError
from device.recognition.runtimes import LITERT, TFLITE_RUNTIME

MEASURED_VERSIONS: Mapping[str, str] = {TFLITE_RUNTIME: "2.14.0", LITERT: "2.3.0"}
"""The versions of the runtimes that the table describes, by the name of their package."""

# Code, name, newest version in tflite-runtime, newest version in LiteRT; 0 where it is not supported.
_TABLE = """
0 ADD 5 6; 1 AVERAGE_POOL_2D 3 3; 2 CONCATENATION 4 7; 3 CONV_2D 7 8; 4 DEPTHWISE_CONV_2D 7 7;
5 DEPTH_TO_SPACE 2 2; 6 DEQUANTIZE 5 9; 7 EMBEDDING_LOOKUP 3 5; 8 FLOOR 1 1; 9 FULLY_CONNECTED 10 14;
10 HASHTABLE_LOOKUP 1 1; 11 L2_NORMALIZATION 2 2; 12 L2_POOL_2D 1 1; 13 LOCAL_RESPONSE_NORMALIZATION 1 1;
14 LOGISTIC 3 3; 15 LSH_PROJECTION 1 1; 16 LSTM 4 4; 17 MAX_POOL_2D 3 3; 18 MUL 7 8; 19 RELU 3 3;
20 RELU_N1_TO_1 1 1; 21 RELU6 3 3; 22 RESHAPE 1 1; 23 RESIZE_BILINEAR 4 4; 24 RNN 3 3; 25 SOFTMAX 3 4;
26 SPACE_TO_DEPTH 2 2; 27 SVDF 4 4; 28 TANH 3 3; 30 SKIP_GRAM 1 1; 33 EMBEDDING_LOOKUP_SPARSE 1 1; 34 PAD 4 6;
35 UNIDIRECTIONAL_SEQUENCE_RNN 3 3; 36 GATHER 6 8; 37 BATCH_TO_SPACE_ND 4 4; 38 SPACE_TO_BATCH_ND 4 4;
39 TRANSPOSE 6 9; 40 MEAN 3 3; 41 SUB 5 5; 42 DIV 2 2; 43 SQUEEZE 2 2; 44 UNIDIRECTIONAL_SEQUENCE_LSTM 4 4;
45 STRIDED_SLICE 8 8; 46 BIDIRECTIONAL_SEQUENCE_RNN 3 3; 47 EXP 2 2; 48 TOPK_V2 3 3; 49 SPLIT 4 5;
50 LOG_SOFTMAX 2 2; 52 BIDIRECTIONAL_SEQUENCE_LSTM 3 3; 53 CAST 5 9; 54 PRELU 1 1; 55 MAXIMUM 4 4;
56 ARG_MAX 3 3; 57 MINIMUM 4 4; 58 LESS 3 3; 59 NEG 1 1; 60 PADV2 4 6; 61 GREATER 2 2; 62 GREATER_EQUAL 3 3;
63 LESS_EQUAL 2 2; 64 SELECT 4 4; 65 SLICE 6 8; 66 SIN 1 2; 67 TRANSPOSE_CONV 4 5; 68 SPARSE_TO_DENSE 3 3;
69 TILE 3 3; 70 EXPAND_DIMS 1 1; 71 EQUAL 4 5; 72 NOT_EQUAL 3 4; 73 LOG 1 2; 74 SUM 2 2; 75 SQRT 1 2;
76 RSQRT 2 3; 77 SHAPE 1 1; 78 POW 1 1; 79 ARG_MIN 3 3; 80 FAKE_QUANT 2 2; 81 REDUCE_PROD 2 2;
82 REDUCE_MAX 3 3; 83 PACK 4 5; 84 LOGICAL_OR 1 1; 85 ONE_HOT 1 1; 86 LOGICAL_AND 1 1; 87 LOGICAL_NOT 1 1;
88 UNPACK 4 6; 89 REDUCE_MIN 3 3; 90 FLOOR_DIV 3 3; 91 REDUCE_ANY 1 1; 92 SQUARE 1 1; 93 ZEROS_LIKE 1 1;
94 FILL 4 5; 95 FLOOR_MOD 2 2; 96 RANGE 2 2; 97 RESIZE_NEAREST_NEIGHBOR 4 4; 98 LEAKY_RELU 2 2;
99 SQUARED_DIFFERENCE 2 2; 100 MIRROR_PAD 3 3; 101 ABS 5 5; 102 SPLIT_V 2 3; 103 UNIQUE 1 1; 104 CEIL 1 1;
105 REVERSE_V2 3 4; 106 ADD_N 1 1; 107 GATHER_ND 4 6; 108 COS 1 2; 109 WHERE 2 2; 110 RANK 1 1; 111 ELU 1 1;
112 REVERSE_SEQUENCE 1 1; 113 MATRIX_DIAG 1 1; 114 QUANTIZE 3 6; 115 MATRIX_SET_DIAG 1 1; 116 ROUND 1 1;
117 HARD_SWISH 1 1; 118 IF 1 1; 119 WHILE 1 1; 120 NON_MAX_SUPPRESSION_V4 1 1; 121 NON_MAX_SUPPRESSION_V5 1 1;
122 SCATTER_ND 1 1; 123 SELECT_V2 2 2; 124 DENSIFY 1 1; 125 SEGMENT_SUM 1 1; 126 BATCH_MATMUL 4 4;
128 CUMSUM 1 1; 129 CALL_ONCE 1 1; 130 BROADCAST_TO 3 4; 131 RFFT2D 1 1; 132 CONV_3D 1 1; 133 IMAG 1 1;
134 REAL 1 1; 135 COMPLEX_ABS 1 1; 136 HASHTABLE 1 1; 137 HASHTABLE_FIND 1 1; 138 HASHTABLE_IMPORT 1 1;
139 HASHTABLE_SIZE 1 1; 140 REDUCE_ALL 1 1; 141 CONV_3D_TRANSPOSE 1 1; 142 VAR_HANDLE 1 1;
143 READ_VARIABLE 1 1; 144 ASSIGN_VARIABLE 1 1; 145 BROADCAST_ARGS 1 1; 146 RANDOM_STANDARD_NORMAL 1 1;
147 BUCKETIZE 1 1; 148 RANDOM_UNIFORM 1 1; 149 MULTINOMIAL 1 1; 150 GELU 2 3; 151 DYNAMIC_UPDATE_SLICE 1 6;
152 RELU_0_TO_1 1 1; 153 UNSORTED_SEGMENT_PROD 1 1; 154 UNSORTED_SEGMENT_MAX 1 1;
155 UNSORTED_SEGMENT_SUM 1 1; 156 ATAN2 1 1; 157 UNSORTED_SEGMENT_MIN 1 1; 158 SIGN 2 2; 159 BITCAST 1 1;
160 BITWISE_XOR 1 1; 161 RIGHT_SHIFT 1 1; 163 STABLEHLO_ADD 0 1; 165 STABLEHLO_MULTIPLY 0 1;
166 STABLEHLO_MAXIMUM 0 1; 176 STABLEHLO_AND 0 1; 181 STABLEHLO_MINIMUM 0 1; 190 STABLEHLO_SCATTER 0 1;
195 STABLEHLO_PAD 0 1; 198 STABLEHLO_REDUCE_WINDOW 0 1; 201 STABLEHLO_GATHER 0 1; 203 DILATE 0 1;
204 STABLEHLO_RNG_BIT_GENERATOR 0 1; 205 REDUCE_WINDOW 0 1; 206 STABLEHLO_COMPOSITE 0 1;
207 STABLEHLO_SHIFT_LEFT 0 1; 209 STABLEHLO_CASE 0 1
"""
_ROWS = [row.split() for row in _TABLE.split(";")]

NAMES: Mapping[int, str] = {int(code): name for code, name, _, _ in _ROWS}
"""Names of the operators by their code in the schema."""
NEWEST: Mapping[str, Mapping[str, int]] = {
    runtime: {row[1]: int(row[column]) for row in _ROWS} for column, runtime in enumerate(MEASURED_VERSIONS, 2)
}
"""For each runtime the newest supported version by name of the operator; 0 where none is supported."""

OLDEST: Mapping[str, int] = {"BROADCAST_TO": 2}
"""The oldest version that the runtimes support, where it is not 1."""


@dataclass(frozen=True)
class Operator:
    """A call of one operator in a model."""

    name: str
    """Name in the schema, such as FULLY_CONNECTED; for a custom operator its custom name."""
    version: int
    """Version of the operator, from 1."""
    custom: bool
    """Whether it is not one of TFLite's builtin operators."""
    inputs: tuple[int, ...]
    """Indices of the input tensors in the model; -1 for an optional input that is absent."""
    outputs: tuple[int, ...]
    """Indices of the output tensors in the model."""


def unsupported(operators: Iterable[Operator], runtime: str) -> list[tuple[str, int, int]]:
    """The operators that a runtime would refuse: name, version, and newest supported version (0: none), each once.

    Args:
        operators: the operators of a model, from `convert.tflite_model.flatbuffer.read_flatbuffer`.
        runtime: package name of the runtime, a key of `MEASURED_VERSIONS`.
    """
    newest = NEWEST[runtime]
    used = sorted({(each.name, each.version, 0 if each.custom else newest.get(each.name, 0)) for each in operators})
    return [(name, version, last) for name, version, last in used if not OLDEST.get(name, 1) <= version <= last]


def check_operators(operators: Sequence[Operator], *, requires: str | None) -> str | None:
    """Check that the runtimes support the operators of a converted network.

    Args:
        operators: the operators of the converted model, including those inside loops.
        requires: package name of the only runtime in which the model has to run; None if it has to run in all.

    Returns:
        Package name of the only runtime that can run the model, None if all can.

    Raises:
        ConversionError: an operator is custom or too new.
    """
    custom = sorted({operator.name for operator in operators if operator.custom})
    if custom:
        raise ConversionError(f"needs {', '.join(custom)}, which TFLite does not have", fix="use other layers")
    refused = {runtime: unsupported(operators, runtime) for runtime in MEASURED_VERSIONS}
    refused = {runtime: refusals for runtime, refusals in refused.items() if refusals}
    for runtime, refusals in refused.items():
        if requires in (None, runtime):
            listed = ", ".join(
                f"{name} version {version} (newest supported: {newest or 'none'})" for name, version, newest in refusals
            )
            other = next((name for name in MEASURED_VERSIONS if name not in refused), None)
            raise ConversionError(
                f"{runtime} {MEASURED_VERSIONS[runtime]} does not support {listed}",
                fix=f"convert with --requires {other}" if other and requires is None else "use other layers",
            )
    return requires if refused else None
