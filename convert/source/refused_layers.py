"""Layers of Keras that cannot be converted, with the reason and the way round for each kind.

`convert.source.allowlist` refuses any class that it does not allow. This table only words the refusal, so an error in
it cannot let a layer pass.
"""

from collections.abc import Mapping
from typing import NamedTuple


class Refusal(NamedTuple):
    """Why a layer is refused, and the way round."""

    reason: str
    """Why it cannot be converted: the rest of a sentence that begins with the layer."""
    fix: str
    """What to use instead, in the imperative."""


OPERATIONS = frozenset(
    (
        *("TFOpLambda", "SlicingOpLambda", "ClassMethod", "StaticMethod"),
        *("TFClassMethodDispatch", "InstanceProperty", "InstanceMethod"),
    )
)
"""Classes in which Keras 2 stores an operation on tensors, such as `images / 255`."""

_PREPARE_DATA = "do this step to the data before training, and build the network without the layer"
_OTHER_FRAMEWORK = Refusal(
    "it runs code of another framework, which edge-mcnn does not run",
    "build the network from Keras's own layers, copy the weights into it, and save it with model.save",
)
_BASE_CLASS = Refusal(
    "it is a base class of Keras, which computes nothing by itself",
    "use one of Keras's layers that are derived from it",
)
_FEATURE_COLUMNS = Refusal(
    "it reads columns of a table, and the device has only an image and word ids",
    "build the network from an image input and an id input",
)


def _three_dimensional(instead: str) -> Refusal:
    return Refusal(
        "it works on volumes or videos, but the device has a single image",
        f"use {instead} on the image, with its shape (height, width, 3)",
    )


def _adaptive(dimensions: str) -> Refusal:
    return Refusal(
        "Keras 2, which TFLite needs, does not have it",
        f"use AveragePooling{dimensions} or MaxPooling{dimensions} with a pool_size",
    )


REFUSED: Mapping[str, Refusal] = {
    "Lambda": Refusal(
        "it carries code, which edge-mcnn does not run",
        "use a layer that does the same, such as Rescaling, Normalization, Activation, Reshape, Add or Multiply",
    ),
    "__lambda__": Refusal(
        "it carries code, which edge-mcnn does not run",
        "use the name of one of Keras's activations, such as 'relu'",
    ),
    **dict.fromkeys(
        ("TextVectorization", "StringLookup"),
        Refusal(
            "it turns text into word ids, which the device does itself, before it runs the network",
            "build Model([images, ids], output) from the layer after it on, and give its words with --vocabulary: one "
            "word per line, layer.get_vocabulary() without the empty word for padding",
        ),
    ),
    "IntegerLookup": Refusal("it looks numbers up in a table, which TFLite cannot do", _PREPARE_DATA),
    "Hashing": Refusal(
        "it hashes its input, which TFLite cannot do",
        "give words the ids of a vocabulary instead of hashes: Keras's Tokenizer, then --vocabulary tokenizer.json",
    ),
    "HashedCrossing": Refusal("it hashes its inputs, which TFLite cannot do", _PREPARE_DATA),
    "CategoryEncoding": Refusal(
        "it turns categories into vectors, which TFLite cannot do here", "use an Embedding on the word ids instead"
    ),
    "CategoryCrossing": Refusal("it hashes its inputs, which TFLite cannot do", _PREPARE_DATA),
    "Discretization": Refusal("it sorts numbers into intervals, which TFLite cannot do here", _PREPARE_DATA),
    **dict.fromkeys(
        ("DynamicEmbedding", "DynamicLookup"),
        Refusal("it changes its table while it runs, which TFLite cannot do", "use an Embedding"),
    ),
    **dict.fromkeys(
        ("MultiHeadAttention", "GroupQueryAttention", "GroupedQueryAttention"),
        Refusal(
            "edge-mcnn does not convert attention with several heads",
            "use Attention()([x, x]) or AdditiveAttention()([x, x]), or an LSTM or GRU, and train again",
        ),
    ),
    "RandomCrop": Refusal(
        "it changes the size of the images also when the network predicts, and not in every version in the same way",
        "use CenterCrop or Resizing in its place; neither has weights, so the trained ones can be copied",
    ),
    **dict.fromkeys(
        ("AutoContrast", "ContrastLimitedAdaptiveHistogramEqualization"),
        Refusal(
            "it changes the image also when the network predicts, and TFLite has no operator for it",
            "train without it: spectrogram images already use all colours of their colour map",
        ),
    ),
    **dict.fromkeys(
        ("Pipeline", "RandomApply", "RandomChoice"),
        Refusal(
            "it contains other preprocessing layers, which edge-mcnn cannot see as layers of the network",
            "put these layers into a Sequential model, which is converted",
        ),
    ),
    "MaxNumBoundingBoxes": Refusal("it works on bounding boxes, which the device does not have", _PREPARE_DATA),
    **dict.fromkeys(
        ("MelSpectrogram", "STFTSpectrogram"),
        Refusal(
            "it computes a spectrogram from audio, which the device does itself, before it runs the network",
            "build the network from the spectrogram image on; --front-end states how the image is computed",
        ),
    ),
    **{
        f"{name}3D": _three_dimensional(f"{name}2D")
        for name in (
            *("MaxPooling", "AveragePooling", "GlobalMaxPooling", "GlobalAveragePooling"),
            *("UpSampling", "ZeroPadding", "Cropping", "SpatialDropout", "Conv"),
        )
    },
    "Conv3DTranspose": _three_dimensional("Conv2DTranspose"),
    "AdaptiveAveragePooling3D": _three_dimensional("AveragePooling2D"),
    "AdaptiveMaxPooling3D": _three_dimensional("MaxPooling2D"),
    **{
        f"Adaptive{kind}Pooling{dimensions}": _adaptive(dimensions)
        for kind in ("Average", "Max")
        for dimensions in ("1D", "2D")
    },
    **dict.fromkeys(
        ("ConvLSTM1D", "ConvLSTM2D", "ConvLSTM3D"),
        Refusal(
            "it reads a series of images, but the device has a single one",
            "use Conv2D on the image, or Reshape and an LSTM over its columns",
        ),
    ),
    "LocallyConnected1D": Refusal("its weights differ from place to place, which TFLite cannot do", "use Conv1D"),
    "LocallyConnected2D": Refusal("its weights differ from place to place, which TFLite cannot do", "use Conv2D"),
    "RMSNormalization": Refusal("Keras 2, which TFLite needs, does not have it", "use LayerNormalization"),
    "ReversibleEmbedding": Refusal("Keras 2, which TFLite needs, does not have it", "use Embedding"),
    "SpectralNormalization": Refusal(
        "it changes the weights of the layer inside it during training, and is not needed afterwards",
        "build the network with the inner layer alone and copy its weights, which are normalised already",
    ),
    "SyncBatchNormalization": Refusal(
        "it is for training on several devices",
        "build the network with BatchNormalization instead and copy the weights, which are the same",
    ),
    "BatchNormalizationV1": Refusal(
        "it is from TensorFlow 1", "build the network with BatchNormalization instead and copy the weights"
    ),
    "CuDNNLSTM": Refusal("it runs on NVIDIA GPUs only", "build the network with LSTM instead, and train or copy it"),
    "CuDNNGRU": Refusal("it runs on NVIDIA GPUs only", "build the network with GRU instead, and train or copy it"),
    "RandomFourierFeatures": Refusal("it approximates a kernel machine, which edge-mcnn does not convert", "use Dense"),
    **dict.fromkeys(("DenseFeatures", "SequenceFeatures"), _FEATURE_COLUMNS),
    **dict.fromkeys(("TFSMLayer", "TorchModuleWrapper", "FlaxLayer", "JaxLayer", "KerasLayer"), _OTHER_FRAMEWORK),
    **dict.fromkeys(("Layer", "Wrapper", "AbstractRNNCell", "PreprocessingLayer"), _BASE_CLASS),
}
"""The refusals by the name of the class."""
