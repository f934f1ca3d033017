"""Grouping by texture (Section 4.2 and Appendix D.3): Tables 4 and 9.

A thickened digit of one Brodatz texture lies on another one. The network groups the
pixels by explaining the image without its noise, and names the digit. Models take
images `(batch, size, size, 1)` in [0, 1]; for their outputs see `zoo.grouping`. Data
are those of `zoo.data.textured_mnist`.
"""

from functools import partial

import keras
import numpy as np
from keras import layers, ops
from keras.layers import AveragePooling2D

from rladder_keras import (
    G1,
    Conv,
    ConvG1,
    Level,
    Softmax,
    TaggerCell,
)
from rladder_keras.validation import check_number
from zoo.data.epochs import check_integer
from zoo.metrics.frames import LastClass
from zoo.metrics.groups import AMI, ClassErrorAt, CostAt, OwnCost
from zoo.models.base import ZooModel
from zoo.models.grouping import BatchLSTMCell, GroupClasses, GroupingModel, explained
from zoo.models.tables import LAST, SAME, MaxPool, channels, rows
from zoo.models.unlearned_groups import FixedGroups, KMeans, unlearned
from zoo.weights import takes_weights

CLASSES = 10
CLASS_WEIGHT = 0.1  # of the class cost, as in Tagger


def table_9(width=1.0, recurrent=BatchLSTMCell):
    """Structure of RTagger for textured MNIST, for images of side 96.

    The table gives the filters of the encoder. A decoder undoes the row above it: its
    filter is that row's, and it is a transposed convolution where that row is strided.
    The last unit of the softmax says that a group is no digit.

    Args:
        width: Factor on the channels of all rows but the last three.
        recurrent: What stands for "ConvLSTM"; `Conv` in the original Tagger.

    Examples:
        >>> len(zoo.textured_mnist.table_9())
        12
    """
    c = partial(channels, width)
    # fmt: off
    return [
        #     Encoder                       Decoder
        Level(recurrent(c(96), 8, 2),       ConvG1(5)),
        Level(Conv(c(96), 5),               ConvG1(5)),
        Level(Conv(c(96), 5),               ConvG1(4)),
        Level(recurrent(c(192), 4, 2),      ConvG1(5)),
        Level(Conv(c(192), 5),              ConvG1(5)),
        Level(Conv(c(192), 5),              ConvG1(4)),
        Level(recurrent(c(192), 4, 2),      ConvG1(5)),
        Level(Conv(c(192), 5),              ConvG1(5)),
        Level(Conv(c(192), 5),              ConvG1(4)),
        Level(recurrent(CLASSES + 1, 4, 2), ConvG1(1)),
        Level(AveragePooling2D(6, **LAST)),
        Level(Softmax(CLASSES + 1, "batch"), G1()),
    ]  # fmt: on


def small_table_9(width=1.0, recurrent=BatchLSTMCell):
    """A shorter Table 9 for images of side 32, to be trained on a CPU.

    Args:
        width: Factor on the channels of all rows but the last three.
        recurrent: See `table_9`.
    """
    c = partial(channels, width)
    # fmt: off
    return [
        #     Encoder                       Decoder
        Level(recurrent(c(24), 4, 2),       ConvG1(3)),
        Level(Conv(c(24), 3),               ConvG1(4)),
        Level(recurrent(c(32), 4, 2),       ConvG1(3)),
        Level(Conv(c(32), 3),               ConvG1(4)),
        Level(recurrent(CLASSES + 1, 4, 2), ConvG1(1)),
        Level(AveragePooling2D(4, **LAST)),
        Level(Softmax(CLASSES + 1, "batch"), G1()),
    ]  # fmt: on


def connected_table_9(width=1.0, recurrent=BatchLSTMCell, *, size=32):
    """Fully connected levels for images of side 32, to be trained on a CPU.

    The filter of the lowest row covers the whole image. Few units have room for a
    texture and for a shape, and not for two textures cut out along a shape. The class
    is not told to the rows below: with G1 there were no groups after 64,000 images.

    Args:
        width: Factor on the channels of all rows but the last.
        recurrent: See `table_9`.
        size: Side of the images.
    """
    c = partial(channels, width)
    # fmt: off
    return [
        #     Encoder                   Decoder
        Level(Conv(c(128), size, size), ConvG1(1)),
        Level(recurrent(c(48), 1),      ConvG1(1)),
        Level(AveragePooling2D(1, **LAST)),
        Level(Softmax(CLASSES + 1, "batch")),
    ]  # fmt: on


@takes_weights
def textured_mnist_rtagger(
    width=1.0,
    *,
    table=table_9,
    size=96,
    groups=3,
    iterations=3,
    noise=0.2,
    variance=1 + 2**0.5,
    mu_gain=0.2,
    pi_gain=0.1,
    class_weight=CLASS_WEIGHT,
    learning_rate=4e-4,
    feedback="recurrent",
    unroll="auto",
    remat=False,
):
    """The RTagger of Table 9: groups by iterative inference in a recurrent ladder.

    Args:
        width: Factor on the channels.
        table: Function from `width` to the list of levels.
        size: Side of the images.
        groups: Number of groups, K. They share their weights, so that trained weights
            can be used with any number of groups.
        iterations: Number of iterations, T.
        noise: Standard deviation of the noise that is to be removed.
        variance: `sigma^2` before training, see `rladder_keras.TaggerCell`.
        mu_gain: See there; the deviation of the textures.
        pi_gain: See there.
        class_weight: Weight of the class cost of the last iteration.
        learning_rate: Of Adam.
        feedback: `"recurrent"`, `"all"` or `"none"`: the decoder-to-encoder
            connections.
        unroll: See `rladder_keras.RecurrentLadder`.
        remat: See there: less memory for more time.

    Returns:
        Compiled model with the outputs `"groups"`, `"reconstructions"`, `"cost"` and
        `"class"`.

    Examples:
        >>> small = zoo.textured_mnist.small_table_9
        >>> model = zoo.textured_mnist_rtagger(0.1, table=small, size=32)
        >>> model.output["groups"].shape, model.output["class"].shape
        ((None, 3, 3, 32, 32), (None, 3, 10))
    """
    check_integer("size", size, 1)
    check_integer("iterations", iterations, 1)
    check_number("`class_weight`", class_weight, 0)
    image = keras.Input((size, size, 1), name="image")
    noisy = layers.GaussianNoise(noise, name="noise")(image)
    frames = ops.repeat(noisy[:, None], iterations, axis=1)
    levels = rows(table, width)
    cell = TaggerCell(
        levels,
        groups,
        levels[0].encoder.kernel_size,
        noise=noise,
        variance=variance,
        mu_gain=mu_gain,
        pi_gain=pi_gain,
        feedback=feedback,
        iterations=iterations,
    )
    outputs, top = explained(cell, frames, image[:, None], unroll=unroll, remat=remat)
    outputs["class"] = GroupClasses(dtype="float32", name="class")(top)
    model = GroupingModel(image, outputs)
    model.compile(
        keras.optimizers.Adam(learning_rate),
        loss={"cost": OwnCost(), "class": LastClass()},
        loss_weights={"cost": 1.0, "class": class_weight},
        weighted_metrics={
            **metrics_at(iterations),
            "class": [ClassErrorAt(t) for t in range(iterations)],
        },
    )
    return model


@takes_weights
def textured_mnist_tagger(width=1.0, *, table=table_9, **kwargs):
    """The Tagger that RTagger is compared with: no recurrent rows, no feedback.

    Only its explanation of the image goes from one iteration to the next.

    Args:
        width: Factor on the channels.
        table: Function from `width` and what stands for "ConvLSTM" to the levels.
        **kwargs: As in `textured_mnist_rtagger`.

    Returns:
        Compiled model as `textured_mnist_rtagger`.
    """
    table = partial(rows, table, recurrent=Conv)
    return textured_mnist_rtagger(width, table=table, feedback="none", **kwargs)


@takes_weights
def textured_mnist_convnet(
    width=1.0, *, size=96, noise=0.0, learning_rate=4e-4, table=None
):
    """The ConvNet of Table 4: All-CNN's model C with batch normalisation.

    Args:
        width: Factor on the channels.
        size: Side of the images.
        noise: Standard deviation of noise on the images in training.
        learning_rate: Of Adam.
        table: Not used: this network has a table of its own.

    Returns:
        Compiled model with the output `"class"`, `(batch, 1, 10)`.

    References:
        - Springenberg et al., Striving for Simplicity: The All Convolutional Net, 2015.

    Examples:
        >>> zoo.textured_mnist_convnet(0.1, size=32).output["class"].shape
        (None, 1, 10)
    """
    image = x = keras.Input((size, size, 1), name="image")
    if noise:
        x = layers.GaussianNoise(noise, name="noise")(x)
    c = partial(channels, width)
    for filters, kernel in (
        *((c(96), 3), (c(96), 3), (None, 3)),
        *((c(192), 3), (c(192), 3), (None, 3)),
        *((c(192), 3), (c(192), 1), (CLASSES, 1)),
    ):
        if filters is None:
            x = MaxPool(kernel, 2)(x)
            continue
        x = layers.Conv2D(filters, kernel, use_bias=False, **SAME)(x)
        x = layers.ReLU()(layers.BatchNormalization()(x))
    x = layers.GlobalAveragePooling2D(**LAST)(x)
    x = layers.Softmax(dtype="float32")(x)
    model = ZooModel(
        image, {"class": layers.Reshape((1, CLASSES), dtype="float32", name="class")(x)}
    )
    model.compile(
        keras.optimizers.Adam(learning_rate),
        loss={"class": LastClass()},
        weighted_metrics={"class": [ClassErrorAt(0)]},
    )
    return model


def textured_mnist_kmeans(width=1.0, *, size=96, groups=3, iterations=3, **kwargs):
    """K-means clustering of the pixels of an image: a baseline that learns nothing.

    Args:
        width: Not used: there are no channels.
        size: Side of the images.
        groups: Number of clusters.
        iterations: Of Lloyd's algorithm.
        **kwargs: Not used: those of models that learn.

    Returns:
        Compiled model with the outputs `"groups"`, `"reconstructions"` and `"cost"`.

    Examples:
        >>> model = zoo.textured_mnist.textured_mnist_kmeans(size=8, groups=2)
        >>> model.output["groups"].shape, model.output["cost"].shape
        ((None, 3, 2, 8, 8), (None, 3))
    """
    image = keras.Input((size, size, 1), name="image")
    outputs = KMeans(groups, iterations, name="means")(image)
    return unlearned(image, outputs, metrics_at(iterations))


def textured_mnist_fixed(width=1.0, *, mask, size=96, **kwargs):
    """One mask for all images: how much of a score is due to where digits lie.

    Args:
        width: Not used: there are no channels.
        mask: Which pixels are the digit's, shape `(size, size)`, such as `usual_mask`.
        size: Side of the images.
        **kwargs: Not used: those of models that learn.

    Returns:
        Compiled model with the outputs `"groups"`, `"reconstructions"` and `"cost"`.

    Examples:
        >>> mask = np.eye(8)
        >>> model = zoo.textured_mnist.textured_mnist_fixed(size=8, mask=mask)
        >>> model.output["groups"].shape, model.output["cost"].shape
        ((None, 1, 2, 8, 8), (None, 1))
    """
    image = keras.Input((size, size, 1), name="image")
    outputs = FixedGroups(mask, name="fixed")(image)
    return unlearned(image, outputs, metrics_at(1))


def usual_mask(data, batches=32):
    """Where at least two in five digits of a data set are, shape `(size, size)`.

    Of all shares this one gave the highest AMI, 0.40, with digits thickened by 2 pixels
    at 32 x 32.

    Args:
        data: A `zoo.data.TexturedMNIST`.
        batches: How many batches are looked at, at most.
    """
    some = range(min(batches, len(data)))
    return np.concatenate([data.samples(i).masks for i in some]).mean(axis=0) >= 0.4


def metrics_at(iterations):
    """AMI and cost after each of that many iterations."""
    steps = range(iterations)
    return {
        "groups": [AMI(2, t) for t in steps],
        "cost": [CostAt(t) for t in steps],
    }


TABLE_4 = {
    "RTagger": textured_mnist_rtagger,
    "Tagger": textured_mnist_tagger,
    "ConvNet": textured_mnist_convnet,
}
# What grouping must be better than; not in the paper.
BASELINES = {
    "RTagger with one iteration": partial(textured_mnist_rtagger, iterations=1),
    "K-means of pixels": textured_mnist_kmeans,
    "one mask for all images": textured_mnist_fixed,
}
