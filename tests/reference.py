"""NumPy twins of the cells and of the ladder, written from the paper's equations.

They are slow, in float64, and share no code with the library: clear loops over grid
points, one function for each equation. Tensors are channels-last with a leading batch
axis; `w` is a dictionary of weights as `weights_of` gives it.

A cell with batch normalisation takes an `Iteration`: its `row` says which row of the
moving statistics to use, and `row=None` means training, where batch moments are used
and noted in `Iteration.moments` under the name of the normalisation.
"""

import itertools
import math
import re

import numpy as np

# Weights


def weights_of(layer):
    """The weights of a built Keras layer by their path inside it, in float64.

    The name of a batch normalisation inside a map, which Keras numbers, is `norm`.
    """
    start = len(layer.path) + 1 if layer.path else 0
    named = {}
    for weight in layer.weights:
        assert weight.path.startswith(layer.path), (weight.path, layer.path)
        name = re.sub(r"\bbatch_normalization(_\d+)?/", "norm/", weight.path[start:])
        assert name not in named, f"two weights are called {name}"
        named[name] = numpy_of(weight)
    return named


def numpy_of(weight):
    """A Keras variable of any backend as an array in float64."""
    value = weight.value
    if hasattr(value, "detach"):
        value = value.detach().cpu().float()
    return np.asarray(value).astype(np.float64)


def draw(name, shape, rng):
    """Random weights that differ from every default and keep the signals moderate."""
    kind = name.rsplit("/", 1)[-1]
    if kind == "moving_variance":
        return rng.uniform(0.5, 2.0, shape)
    if "kernel" in kind:
        return rng.normal(0.0, 1.0, shape) / math.sqrt(math.prod(shape[:-1]))
    if kind == "gain":
        return rng.uniform(0.5, 1.5, shape) * rng.choice([-1, 1], shape)
    return rng.normal(0.0, 0.5, shape)


def randomise(layer, seed=0):
    """Give each weight of a built layer, moving statistics included, random values."""
    rng = np.random.default_rng(seed)
    for weight in layer.weights:
        if "seed_generator" not in weight.path:
            weight.assign(draw(weight.path, tuple(weight.shape), rng).astype("float32"))
    return layer


def below(w, name):
    """The weights of the part called `name`."""
    return {k[len(name) + 1 :]: v for k, v in w.items() if k.startswith(name + "/")}


# Elementary operations


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def relu(x):
    return np.maximum(x, 0)


def softmax(x, axis=-1):
    x = np.exp(x - x.max(axis=axis, keepdims=True))
    return x / x.sum(axis=axis, keepdims=True)


def per_axis(n, rank):
    return (n,) * rank if isinstance(n, int) else tuple(n)


def pad_before(n, k, stride):
    """Zeros before an axis of length `n` for "same" padding, as TensorFlow pads."""
    total = max((-(-n // stride) - 1) * stride + k - n, 0)
    return total // 2


def points(grid):
    return itertools.product(*(range(n) for n in grid))


def finer_point(p, strides, offset, before):
    """What the kernel touches at `offset` when it stands at the point `p`."""
    axes = zip(p, strides, offset, before, strict=True)
    return [i * s + o - b for i, s, o, b in axes]


def is_inside(q, grid):
    return all(0 <= i < n for i, n in zip(q, grid, strict=True))


def convolution(x, kernel, strides=1):
    """`W * x` with "same" padding: `y[p] = sum_o x[p stride + o - before] W[o]`."""
    grid = x.shape[1:-1]
    strides = per_axis(strides, len(grid))
    offsets = kernel.shape[:-2]
    before = [pad_before(*nks) for nks in zip(grid, offsets, strides, strict=True)]
    out = [-(-n // s) for n, s in zip(grid, strides, strict=True)]
    y = np.zeros((len(x), *out, kernel.shape[-1]))
    for p in points(out):
        for o in points(offsets):
            q = finer_point(p, strides, o, before)
            if is_inside(q, grid):
                y[:, *p] += x[:, *q] @ kernel[o]
    return y


def transposed_convolution(x, kernel, strides=1):
    """The transpose of the `convolution` that leads from the finer grid to that of `x`.

    Each point of `x` is spread over the points that it would have been computed from;
    the output has `strides` times the size. Kernel: `(*sizes, filters, channels)`.
    """
    grid = x.shape[1:-1]
    strides = per_axis(strides, len(grid))
    offsets = kernel.shape[:-2]
    out = [n * s for n, s in zip(grid, strides, strict=True)]
    before = [pad_before(*nks) for nks in zip(out, offsets, strides, strict=True)]
    y = np.zeros((len(x), *out, kernel.shape[-2]))
    for p in points(grid):
        for o in points(offsets):
            q = finer_point(p, strides, o, before)
            if is_inside(q, out):
                y[:, *q] += x[:, *p] @ kernel[o].T
    return y


def pool(x, size, mode):
    """MAX or AVERAGE pooling with stride `size`, blocks that stick out left away."""
    size = per_axis(size, x.ndim - 2)
    out = [n // k for n, k in zip(x.shape[1:-1], size, strict=True)]
    y = np.zeros((len(x), *out, x.shape[-1]))
    for p in points(out):
        block = x[:, *(slice(a * k, (a + 1) * k) for a, k in zip(p, size, strict=True))]
        axes = tuple(range(1, x.ndim - 1))
        y[:, *p] = block.max(axes) if mode == "max" else block.mean(axes)
    return y


def copy_to_grid(x, grid):
    """Copy each value to the equally large blocks of finer points it stands for."""
    if x.ndim == 2:
        x = x.reshape(len(x), *(1 for _ in grid), x.shape[-1])
    block = [-(-n // m) for n, m in zip(grid, x.shape[1:-1], strict=True)]
    y = np.zeros((len(x), *grid, x.shape[-1]))
    for p in points(grid):
        y[:, *p] = x[:, *(a // b for a, b in zip(p, block, strict=True))]
    return y


def crop(x, grid):
    return x[:, *(slice(n) for n in grid)]


# Normalisation


class Iteration:
    """Where a batch normalisation takes its moments from, see the module's text."""

    def __init__(self, row=None, name=""):
        self.row, self.name, self.moments = row, name, {}

    def inside(self, name):
        """The same iteration, for the part of a cell that is called `name`."""
        part = Iteration(self.row, f"{self.name}{name}/")
        part.moments = self.moments
        return part


TRAINING = None


def layer_norm(x, gain, epsilon=1e-3):
    """Each sample over height, width and channels; a gain for each channel."""
    axes = tuple(range(1, x.ndim))
    mean = x.mean(axes, keepdims=True)
    variance = ((x - mean) ** 2).mean(axes, keepdims=True)
    return gain * (x - mean) / np.sqrt(variance + epsilon)


def batch_norm(x, w, iteration, epsilon=1e-3):
    """Over all axes but the channels, with batch moments or one row of moving ones."""
    if iteration.row is TRAINING:
        axes = tuple(range(x.ndim - 1))
        mean = x.mean(axes)
        variance = ((x - mean) ** 2).mean(axes)
        assert iteration.name not in iteration.moments
        iteration.moments[iteration.name] = mean, variance
    else:
        row = min(iteration.row, len(w["moving_mean"]) - 1)
        mean, variance = w["moving_mean"][row], w["moving_variance"][row]
    return w["gain"] * (x - mean) / np.sqrt(variance + epsilon) + w["offset"]


def moving_average(rows, values, momentum=0.9):
    """Moving statistics after one loop over time that met `values`."""
    rows = rows.copy()
    last = len(rows) - 1
    for row in range(min(len(values), len(rows))):
        value = values[row] if row < last else np.mean(values[last:], axis=0)
        rows[row] = momentum * rows[row] + (1 - momentum) * value
    return rows


def linear(w, x, strides=1, transpose=False):
    """`W x` for a matrix, where `x` is flattened, and `W * x` for a convolution."""
    kernel = w["kernel"]
    if kernel.ndim == 2:
        return x.reshape(len(x), -1) @ kernel
    return (transposed_convolution if transpose else convolution)(x, kernel, strides)


def normalise(w, x, normalization, iteration):
    if normalization == "layer":
        return layer_norm(x, w["gain"])
    if normalization == "batch":
        return batch_norm(x, below(w, "norm"), iteration.inside("norm"))
    return x


def normalised(w, name, x, normalization, iteration, strides=1, transpose=False):
    """`N(W * x)` with the weights called `name`."""
    w = below(w, name)
    y = linear(w, x, strides, transpose)
    return normalise(w, y, normalization, iteration.inside(name))


# Appendix A: the decoder cells


def gate(s, a, b):
    return s * a + (1 - s) * b


def f(u, w):
    """Equation 6."""
    return w[0] * sigmoid(w[1] * u + w[2]) + w[3] * u + w[4]


def g1(w, v_top, h, iteration, normalization="batch"):
    """A.1, with a matrix."""
    u = normalised(w, "A", v_top, normalization, iteration) + w.get("b", 0)
    y = gate(f(u, w["w_s"]), h.reshape(len(h), -1), f(u, w["w"]))
    return y.reshape(h.shape)


def from_above(w, v_top, h, iteration, strides, normalization):
    """`N(A * v_top) + b`; `strides` lead from the grid of `h` to that of `v_top`."""
    grid = h.shape[1:-1]
    if v_top.ndim == 2:
        v_top = copy_to_grid(v_top, grid)
    transpose = max(per_axis(strides, len(grid))) > 1
    u = normalised(w, "A", v_top, normalization, iteration, strides, transpose)
    return crop(u, grid) + w.get("b", 0)


def conv_g1(w, v_top, h, iteration, strides=1, normalization="batch"):
    """A.1, with a convolution."""
    u = from_above(w, v_top, h, iteration, strides, normalization)
    return gate(f(u, w["w_s"]), h, f(u, w["w"]))


def top_down(w, v_top, h, iteration, strides=1, normalization="batch"):
    """Only what is above, rectified."""
    return relu(from_above(w, v_top, h, iteration, strides, normalization))


def first_convolutions(w, v_top, h, iteration, strides, grid, normalization, n=1):
    """`N(A_i * v_top) + N(B_i * h) + c_i`, a list with one for each of `n` maps `i`.

    The weights of the maps lie one behind the other in the library.
    """
    v_top = copy_to_grid(v_top, h.shape[1:-1])
    transpose = max(per_axis(strides, h.ndim - 2)) > 1
    axis = -2 if transpose else -1
    sums = 0
    for name, x in (("A", v_top), ("B", h)):
        part = below(w, name)
        outputs = []
        for i, kernel in enumerate(np.split(part["kernel"], n, axis=axis)):
            y = linear({"kernel": kernel}, x, strides, transpose)
            if normalization == "layer":
                y = layer_norm(y, np.split(part["gain"], n)[i])
            outputs.append(y)
        outputs = np.concatenate(outputs, axis=-1)
        if normalization == "batch":
            outputs = normalise(part, outputs, "batch", iteration.inside(name))
        sums = sums + crop(outputs, grid)
    return np.split(sums + w["c"], n, axis=-1)


def conv_g2(w, v_top, h, iteration=None, strides=1, grid=None, normalization="layer"):
    """A.2; `strides` and `grid` are those of the row and of the row's input."""
    iteration, grid = iteration or Iteration(), grid or h.shape[1:-1]
    u_1, u_2, u_s = first_convolutions(
        w, v_top, h, iteration, strides, grid, normalization, n=3
    )
    return gate(f(u_s, w["w_s"]), f(u_1, w["w_1"]), f(u_2, w["w_2"]))


def conv_g3(w, v_top, h, iteration=None, strides=1, grid=None, normalization="layer"):
    """A.3; `strides` and `grid` are those of the row and of the row's input."""
    iteration, grid = iteration or Iteration(), grid or h.shape[1:-1]
    (u,) = first_convolutions(w, v_top, h, iteration, strides, grid, normalization)
    u = relu(u)
    w_s, d, e = np.split(w["W_s_D_E/kernel"], 3, axis=-1)
    s = sigmoid(convolution(u, w_s))
    return gate(s, convolution(u, d), convolution(u, e))


def identity(v_top, h):
    """The decoder of the top row of Table 8."""
    return h


# The encoder rows


def gates_from_outside(w, inputs, grid, strides, normalization, iteration):
    """`N(W_e * e) + N(W_d * d) + b`: the input from below and, if any, the feedback.

    The feedback lies on the grid below, and goes the same way, or on the row's own.
    """
    e, *feedback = inputs
    gates = normalised(w, "below", e, normalization, iteration, strides)
    gates = gates + w["bias"].reshape(-1)
    for d in feedback:
        s = 1 if d.shape[1:-1] == tuple(grid) else strides
        gates = gates + normalised(w, "feedback", d, normalization, iteration, s)
    return gates


def lstm(w, inputs, states, iteration=None, strides=1, normalization="layer"):
    """LSTM with matrices or convolutions; `inputs` is `[e]` or `[e, d]`.

    Returns the output and the states `[h, c]`.
    """
    iteration = iteration or Iteration()
    h, c = states
    outside = gates_from_outside(
        w, inputs, h.shape[1:-1], strides, normalization, iteration
    )
    inside = normalised(w, "recurrent", h, normalization, iteration)
    i, forget, g, o = np.split(outside + inside, 4, axis=-1)
    c = sigmoid(forget) * c + sigmoid(i) * np.tanh(g)
    h = sigmoid(o) * np.tanh(c)
    return h, [h, c]


def gru(w, inputs, states, iteration=None, strides=1, normalization="layer"):
    """GRU with matrices or convolutions; the reset gate acts on the mapped state."""
    iteration = iteration or Iteration()
    (h,) = states
    outside = gates_from_outside(
        w, inputs, h.shape[1:-1], strides, normalization, iteration
    )
    inside = normalised(w, "recurrent", h, normalization, iteration)
    r, z, n = np.split(outside, 3, axis=-1)
    r_h, z_h, n_h = np.split(inside, 3, axis=-1)
    r, z = sigmoid(r + r_h), sigmoid(z + z_h)
    h = z * h + (1 - z) * np.tanh(n + r * n_h)
    return h, [h]


def conv_bn_relu(w, inputs, iteration, strides=1):
    """`relu(BN(W * e))`, and with feedback `relu(BN(W * [e, d]))`."""
    e, *feedback = inputs
    y = linear(below(w, "below"), e, strides)
    for d in feedback:
        s = 1 if d.shape[1:-1] == y.shape[1:-1] else strides
        y = y + linear(below(w, "feedback"), d, s)
    return relu(batch_norm(y, below(w, "norm"), iteration.inside("norm")))


def softmax_row(w, e, iteration=None, normalization=None):
    y = normalised(w, "linear", e, normalization, iteration or Iteration())
    return softmax(y + w.get("bias", 0.0))


# The ladder over time: Equations 1 to 3

RECURRENT = {
    "ConvLSTMCell": (lstm, 2),
    "LSTMCell": (lstm, 2),
    "ConvGRUCell": (gru, 1),
    "GRUCell": (gru, 1),
}


class Row:
    """One line of a table: an encoder and a decoder of the library, by their twins."""

    def __init__(self, encoder, decoder, feedback):
        self.encoder, self.decoder = encoder, decoder
        self.kind = type(encoder).__name__
        self.below = type(decoder).__name__
        self.strides = getattr(encoder, "strides", 1)
        self.w_e = weights_of(encoder) if encoder.weights else {}
        self.w_d = weights_of(decoder) if decoder and decoder.weights else {}
        self.recurrent = self.kind in RECURRENT
        self.takes = self.recurrent or (feedback == "all" and self.kind == "Conv")
        self.feedback = bool(decoder) and feedback != "none" and self.takes
        self.diagonal = self.itself = False  # the skip connections of Fig. 9c

    def start(self, e_shape):
        """Shape of the output, `s_l(0)` and `d_l(0)`, for an input of `e_shape`."""
        batch, *grid, channels = e_shape
        filters = getattr(self.encoder, "filters", channels)
        if self.kind in ("LSTMCell", "GRUCell"):
            shape = (batch, filters)
        elif self.kind == "Softmax":
            shape = (batch, self.encoder.classes)
        else:
            strides = per_axis(self.strides, len(grid))
            if "Pooling" in self.kind:  # leaves away what is no whole block
                grid_of_row = [n // s for n, s in zip(grid, strides, strict=True)]
            else:
                grid_of_row = [-(-n // s) for n, s in zip(grid, strides, strict=True)]
            shape = (batch, *grid_of_row, filters)
        _, states = RECURRENT.get(self.kind, (None, 0))
        d_shape = shape
        if self.below in ("ConvG2", "ConvG3"):
            d_shape = (batch, *grid, shape[-1])
        return shape, [np.zeros(shape) for _ in range(states)], np.zeros(d_shape)

    def encode(self, e, d, s, iteration):
        """`e_l(t), s_l(t) = f_l(e_{l-1}(t), d_l(t-1), s_l(t-1))`."""
        inputs = [e, d] if self.feedback else [e]
        if self.recurrent:
            cell, _ = RECURRENT[self.kind]
            norm = self.encoder.normalization
            return cell(self.w_e, inputs, s, iteration, self.strides, norm)
        if self.kind == "Conv":
            return conv_bn_relu(self.w_e, inputs, iteration, self.strides), s
        if self.kind == "Softmax":
            return softmax_row(self.w_e, e, iteration, self.encoder.normalization), s
        mode = "max" if self.kind.startswith("Max") else "average"
        return pool(e, self.encoder.pool_size, mode), s

    def find_skips(self, skip, below, v_top, d):
        """Which skip connections there are, from shapes of tensors that they join.

        `below` is the row below, with the shapes of its `e` and `d`; `None`: no row.
        """
        if "diagonal" in skip and below and below[0].decoder and self.takes:
            self.diagonal = below[1][1:-1] == below[2][1:-1]
        if "recurrent" in skip and self.decoder:
            self.itself = v_top[1:-1] == d[1:-1]

    def decode(self, v_top, h, e_below, iteration):
        """`d_l(t) = g_l(e_l(t), d_{l+1}(t))`."""
        if self.decoder is None:
            return v_top
        if self.below == "Identity":
            return identity(v_top, h)
        if self.below == "G1":
            return g1(self.w_d, v_top, h, iteration, self.decoder.normalization)
        if self.below in ("ConvG1", "TopDown"):
            cell = {"ConvG1": conv_g1, "TopDown": top_down}[self.below]
            strides = 1
            if v_top.ndim > 2:
                pairs = zip(h.shape[1:-1], v_top.shape[1:-1], strict=True)
                strides = tuple(-(-a // b) for a, b in pairs)
            norm = self.decoder.normalization
            return cell(self.w_d, v_top, h, iteration, strides, norm)
        cell = {"ConvG2": conv_g2, "ConvG3": conv_g3}[self.below]
        grid, norm = e_below.shape[1:-1], self.decoder.normalization
        return cell(self.w_d, v_top, h, iteration, self.strides, grid, norm)


class Ladder:
    """A table by its twins, and where it is in time."""

    def __init__(self, cell, x_shape):
        self.rows = rows = [Row(*level, cell.feedback) for level in cell.levels]
        self.gains = {n: numpy_of(gain) for n, gain in cell.gains.items()}
        self.s, self.d, shape = [], [], x_shape
        for row in rows:
            shape, s_0, d_0 = row.start(shape)
            self.s.append(s_0)
            self.d.append(d_0)
            row.e_shape = shape
        v_top, d = shape, self.d
        for n, row in reversed(list(enumerate(rows))):
            below = (rows[n - 1], rows[n - 1].e_shape, d[n - 1].shape) if n else None
            row.find_skips(cell.skip, below, v_top, d[n].shape)
            v_top = d[n].shape if row.decoder else v_top

    def step(self, x, iteration):
        """One iteration: `e_L` and the lowest `d`."""
        e, s, d = [x], self.s, self.d
        for n, row in enumerate(self.rows):
            inside = iteration.inside(f"encoder {n + 1}")
            below = np.concatenate([e[n], d[n - 1]], -1) if row.diagonal else e[n]
            e_l, s[n] = row.encode(below, d[n], s[n], inside)
            e.append(e_l)
        v_top = e[-1]
        for n, row in reversed(list(enumerate(self.rows))):
            inside = iteration.inside(f"decoder {n + 1}")
            if row.itself:
                v_top = np.concatenate([v_top, d[n] * self.gains[n]], -1)
            d[n] = v_top = row.decode(v_top, e[n + 1], e[n], inside)
        return e[-1], v_top


def ladder(layer, x, training=False):
    """Run a built `RecurrentLadder` in NumPy.

    Args:
        layer: The layer; its weights and the arguments of its cells are read.
        x: Sequences, shape `(batch, T, ...)`.
        training: Whether to use batch moments.

    Returns:
        A dictionary with `top`, `bottom` (shape `(batch, T, ...)`) and `moments`: for
        each batch normalisation a list of one `(mean, variance)` for each iteration,
        under names `"encoder 1/norm/"`.
    """
    x = np.asarray(x, np.float64)
    twin = Ladder(layer.cell, x[:, 0].shape)
    top, bottom, moments = [], [], {}
    for t in range(x.shape[1]):
        iteration = Iteration(TRAINING if training else t)
        e_L, d_1 = twin.step(x[:, t], iteration)
        top.append(e_L)
        bottom.append(d_1)
        for name, values in iteration.moments.items():
            moments.setdefault(name, []).append(values)
    outputs = {"top": np.stack(top, axis=1), "moments": moments}
    if any(row.decoder for row in twin.rows):
        outputs["bottom"] = np.stack(bottom, axis=1)
    return outputs


# Section 4: the Tagger


def evidence(x, mu, pi, pixels, noise, variance):
    """What each group sees: `(batch, K, *grid, 4)`; `pi` are logits."""
    x, pi = x[:, None], softmax(pi, 1)
    if pixels == "gaussian":
        derivative = pi * (x - mu)
        likelihood = np.exp(-((x - mu) ** 2) / (2 * (noise**2 + variance**2)))
    else:
        p = sigmoid(mu) * (1 - noise) + (1 - sigmoid(mu)) * noise
        mixture = (pi * p).sum(1, keepdims=True)
        derivative = pi * (1 - 2 * noise) * (x - mixture) / (mixture * (1 - mixture))
        likelihood = p**x * (1 - p) ** (1 - x)
    likelihood = likelihood / likelihood.sum(1, keepdims=True)
    return np.concatenate([mu, derivative, pi, likelihood], axis=-1)


def tagger(cell, x, mu, pi, training=False):
    """Run a built `TaggerCell` in NumPy over grey frames, `(batch, T, *grid, 1)`.

    Args:
        cell: The cell.
        x: The frames, of a side that the lowest row's stride divides.
        mu: What it starts from, shape `(batch, K, *grid, 1)`.
        pi: Logits, of the same shape.
        training: Whether to use batch moments.

    Returns:
        A dictionary with `groups`, `reconstructions` and `top`.
    """
    x, mu, pi = (np.asarray(value, np.float64) for value in (x, mu, pi))
    w, binary, variance = weights_of(cell), cell.pixels == "binary", None
    if not binary:
        variance = w["spread"] + np.sqrt(w["spread"] ** 2 + 1)
    maps = (mu.shape[0] * mu.shape[1], *mu.shape[2:-1])
    twin = Ladder(cell, (*maps, 4))
    groups, reconstructions, top = [], [], []
    for t in range(x.shape[1]):
        iteration = Iteration(TRAINING if training else t)
        seen = evidence(x[:, t], mu, pi, cell.pixels, cell.noise, variance)
        e_L, d_1 = twin.step(seen.reshape(*maps, 4), iteration)
        read = {}
        for name in ("mu", "pi"):
            strides = maps[1] // d_1.shape[1]
            y = linear(below(w, f"read_{name}"), d_1, strides, strides > 1)
            norm = iteration.inside(name)
            read[name] = batch_norm(y, below(w, f"norm_read_{name}"), norm)
        mu, pi = (read[name].reshape(mu.shape) for name in ("mu", "pi"))
        groups.append(softmax(pi, 1)[..., 0])
        reconstructions.append(sigmoid(mu) if binary else mu)
        top.append(e_L.reshape(*mu.shape[:2], *e_L.shape[1:]))
    outputs = {"groups": groups, "reconstructions": reconstructions, "top": top}
    return {name: np.stack(values, axis=1) for name, values in outputs.items()}


def moving_statistics(layer):
    """Moving means and variances of a ladder, under the names that `ladder` uses."""
    found = {}
    for side in ("encoder", "decoder"):
        for n, part in enumerate(getattr(layer.cell, side + "s")):
            if part is None or not part.weights:
                continue
            w = weights_of(part)
            for name in w:
                if name.endswith("moving_mean"):
                    name = name.removesuffix("moving_mean")
                    found[f"{side} {n + 1}/{name}"] = (
                        w[name + "moving_mean"],
                        w[name + "moving_variance"],
                    )
    return found
