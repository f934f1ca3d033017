"""RLadder for Occluded Moving MNIST (Table 5) in plain PyTorch, for speed comparisons.

It is written by hand for one architecture and optimised for speed, as a reference for
the speed of the general implementation:

- Each normalisation is one fused `group_norm`, which also adds the bias.
- The four gates share one convolution, and so do the three inner ones of convG3.
- The memory format is channels-last.
- Nothing is computed from the zeros before the first frame.
"""

import torch
import torch.nn.functional as F
from torch import nn

EPS = 1e-3  # of all normalisations, because a blank input has no variance
SIDE, CLASSES, LSTM_UNITS = 32, 10, 16
# Table 5, bottom row first: kind, channels, encoder kernel, decoder kernel. The rows
# above them are the AVG pool, the LSTM and the SoftMax, with G1 as decoder.
ROWS = (
    ("lstm", 32, 3, 9),
    ("conv", 32, 3, 3),
    ("conv", 32, 3, 3),
    ("conv", 32, 3, 3),
    ("max", 32, 2, 6),
    ("lstm", 32, 3, 9),
    ("conv", 64, 3, 3),
    ("conv", 64, 3, 3),
    ("conv", 64, 3, 3),
    ("max", 64, 2, 6),
    ("conv", 128, 3, 3),
    ("conv", 64, 1, 3),
    ("conv", 32, 1, 3),
)


def table(width):
    """Yield for each row: kind, channels of e_{l-1}, e_l and d_{l+1}, both kernels."""
    sizes = [1, *(round(width * row[1]) for row in ROWS)]
    sizes.append(sizes[-1])  # the AVG pool keeps the channels
    for i, (kind, _, up, down) in enumerate(ROWS):
        yield kind, *sizes[i : i + 3], up, down


def conv(inputs, outputs, kernel, upsample=False):
    """Return a convolution without bias; with `upsample`, it doubles the size."""
    if upsample:
        pad = kernel // 2 - 1
        return nn.ConvTranspose2d(inputs, outputs, kernel, 2, pad, bias=False)
    return nn.Conv2d(inputs, outputs, kernel, padding=kernel // 2, bias=False)


def layer_norm(x, gain, offset=None):
    """Normalise over all axes but the batch (A.4), one gain and offset per channel."""
    return F.group_norm(x, 1, gain, offset, EPS)


class FrameBatchNorm(nn.Module):
    """Batch normalisation (A.4) with moving statistics for each frame.

    The statistics of frame 1 differ from those of later frames, because it has no past.
    Gain and offset are shared between frames.
    """

    def __init__(self, channels, frames):
        super().__init__()
        self.gain = nn.Parameter(torch.ones(channels))
        self.offset = nn.Parameter(torch.zeros(channels))
        self.register_buffer("mean", torch.zeros(frames, channels))
        self.register_buffer("var", torch.ones(frames, channels))

    def forward(self, x, t):
        parameters = self.mean[t], self.var[t], self.gain, self.offset
        return F.batch_norm(x, *parameters, self.training, eps=EPS)


class ConvRow(nn.Module):
    """Conv row of Table 5: relu(BN(W * e))."""

    def __init__(self, inputs, channels, kernel, frames):
        super().__init__()
        self.conv = conv(inputs, channels, kernel)
        self.norm = FrameBatchNorm(channels, frames)

    def forward(self, x, t):
        return F.relu_(self.norm(self.conv(x), t))


class LSTM(nn.Module):
    """ConvLSTM row (Equations 1-2), or the dense LSTM if `kernel` is `None`.

    The gates to the past are almost closed at the beginning of training: the digit
    moves, so features of the last frame are at the wrong position at first.
    """

    def __init__(self, inputs, units, kernel, feedback):
        super().__init__()
        sources = [inputs, units, units] if feedback else [inputs, units]
        self.maps = nn.ModuleList(
            conv(n, 4 * units, kernel)
            if kernel
            else nn.Linear(n, 4 * units, bias=False)
            for n in sources
        )
        self.gains = nn.ParameterList(
            torch.full((4 * units,), 0.1 if past else 1.0)
            for past in range(len(sources))
        )
        bias = torch.zeros(4, units)  # input, forget, output, candidate
        bias[1] = -2.0
        self.bias = nn.Parameter(bias.flatten())

    def forward(self, x, state, down):
        """Compute (h, c).

        `state` is (h, c) and `down` is d_l(t-1). Both are `None` at the first frame.
        """
        z = layer_norm(self.maps[0](x), self.gains[0], self.bias)
        if state is not None:
            z += layer_norm(self.maps[1](state[0]), self.gains[1])
        if down is not None:
            z += layer_norm(self.maps[2](down), self.gains[2])
        i, f, o, g = z.chunk(4, 1)
        c = torch.sigmoid(i) * torch.tanh(g)
        if state is not None:
            c = torch.addcmul(c, torch.sigmoid(f), state[1])
        h = torch.sigmoid(o) * torch.tanh(c)
        return h, (h, c)


class ConvG3(nn.Module):
    """Gating cell of A.3; in a pooling row it returns to the resolution below."""

    def __init__(self, top, channels, kernel, upsample):
        super().__init__()
        self.top = conv(top, channels, kernel, upsample)
        self.side = conv(channels, channels, kernel, upsample)
        self.top_gain = nn.Parameter(torch.ones(channels))
        self.side_gain = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels))
        self.inner = conv(channels, 3 * channels, 1)  # W_s, D and E side by side

    def forward(self, top, side):
        u = layer_norm(self.top(top), self.top_gain, self.bias)
        u += layer_norm(self.side(side), self.side_gain)
        s, d, e = self.inner(F.relu_(u)).chunk(3, 1)
        return torch.lerp(e, d, torch.sigmoid(s))


class G1(nn.Module):
    """Gating cell of A.1 with the five weights of Equation 6 for each unit."""

    def __init__(self, top, units, frames):
        super().__init__()
        self.top = nn.Linear(top, units, bias=False)  # BN would remove a bias
        self.norm = FrameBatchNorm(units, frames)
        self.f = nn.Parameter(torch.zeros(5, 2, units))  # of the gate and the value
        nn.init.ones_(self.f[1])

    def forward(self, top, side, t):
        u = self.norm(self.top(top), t).unsqueeze(1)
        w0, w1, w2, w3, w4 = self.f
        bend = torch.sigmoid(torch.addcmul(w2, w1, u))
        s, f = torch.addcmul(torch.addcmul(w4, w3, u), w0, bend).unbind(1)
        return torch.lerp(f, side.to(f.dtype), s)


class TorchLadder(nn.Module):
    """RLadder of Table 5; without `decoder`, the hierarchical RNN of Table 1.

    `width` multiplies all channels except those of the LSTM and the classes.
    """

    def __init__(self, width=1.0, frames=5, feedback=True, decoder=True):
        super().__init__()
        self.feedback = feedback and decoder
        self.encoder, cells = nn.ModuleList(), nn.ModuleList()
        for kind, below, n, top, kernel, back in table(width):
            if kind == "lstm":
                self.encoder.append(LSTM(below, n, kernel, self.feedback))
            elif kind == "conv":
                self.encoder.append(ConvRow(below, n, kernel, frames))
            else:
                self.encoder.append(nn.MaxPool2d(kernel))
            if decoder:
                cells.append(ConvG3(top, n, back, kind == "max"))
        self.lstm = LSTM(16 * n, LSTM_UNITS, None, self.feedback)
        self.softmax = nn.Linear(LSTM_UNITS, CLASSES)
        self.decoder = None
        if decoder:
            self.decoder = cells
            self.pool_cell = G1(LSTM_UNITS, 16 * n, frames)
            self.lstm_cell = G1(CLASSES, LSTM_UNITS, frames)
            self.readout = nn.Conv2d(round(width * ROWS[0][1]), 1, 1)
        for module in self.modules():
            if isinstance(module, nn.Linear | nn.Conv2d | nn.ConvTranspose2d):
                nn.init.xavier_uniform_(module.weight)
                if module.bias is not None:
                    nn.init.zeros_(module.bias)
        if decoder:
            nn.init.constant_(self.readout.bias, -4.0)  # log-odds of the mean pixel
        self.to(memory_format=torch.channels_last)  # what oneDNN convolves fastest

    def forward(self, frames, last_prediction=True):
        """Return class logits (B, T, 10) and the next frames (B, T, 32, 32, 1) or None.

        With `last_prediction=False`, the prediction after the last frame, which is not
        part of the loss, is not computed.
        """
        steps = frames.shape[1]
        states, downs = [None] * len(ROWS), [None] * len(ROWS)
        state = reading = None  # (h, c) and d(t-1) of the dense LSTM
        logits, predictions = [], []
        for t in range(steps):
            ups = []
            up = frames[:, t].permute(0, 3, 1, 2)
            for row, layer in enumerate(self.encoder):
                if isinstance(layer, LSTM):
                    up, states[row] = layer(up, states[row], downs[row])
                elif isinstance(layer, ConvRow):
                    up = layer(up, t)
                else:
                    up = layer(up)
                ups.append(up)
            pooled = F.avg_pool2d(up, 2)
            flat = pooled.flatten(1)
            up, state = self.lstm(flat, state, reading)
            logits.append(self.softmax(up))
            if self.decoder is None or (t + 1 == steps and not last_prediction):
                continue
            top = self.lstm_cell(logits[-1].softmax(1), up, t)
            reading = top if self.feedback else None
            down = self.pool_cell(top, flat, t).view(pooled.shape)
            down = F.interpolate(down, scale_factor=2.0)  # a copy to each 2x2 block
            for row in reversed(range(len(ROWS))):
                down = self.decoder[row](down, ups[row])
                if self.feedback:
                    downs[row] = down
            predictions.append(torch.sigmoid(self.readout(down)))
        logits = torch.stack(logits, 1)
        if not predictions:
            return logits, None
        return logits, torch.stack(predictions, 1).movedim(2, -1)


def loss(logits, predictions, frames, labels, lam):
    """Return the loss of Section 3.1 and Appendix D.1.

    It is the cross-entropy of the class at the last frame, plus `lam` times the squared
    error of the predicted frames 2 to T.
    """
    cost = F.cross_entropy(logits[:, -1], labels)
    if predictions is not None:
        steps = frames.shape[1] - 1
        error = F.mse_loss(predictions[:, :steps], frames[:, 1:], reduction="sum")
        cost = cost + lam * error / (steps * len(frames))
    return cost


def train_step(model, optimizer, frames, labels, lam):
    """Make a training step; return the loss as a tensor, without waiting for it."""
    optimizer.zero_grad()
    logits, predictions = model(frames, last_prediction=False)
    cost = loss(logits, predictions, frames, labels, lam)
    cost.backward()
    optimizer.step()
    return cost.detach()


def macs(width=1.0, frames=5, feedback=True, decoder=True, training=False):
    """Return the multiply-accumulates of convolutions and matrices for one sequence.

    Only the forward pass counts. Every connection counts at every frame. With
    `training`, the zeros before the first frame and the prediction after the last one
    do not count, because `train_step` does not compute them.
    """
    area, gates, links = SIDE**2, 4 * LSTM_UNITS, 1 + (feedback and decoder)
    up, past = LSTM_UNITS * CLASSES, links * LSTM_UNITS * gates
    down = area * round(width * ROWS[0][1])  # the read-out
    for kind, below, n, top, kernel, back in table(width):
        down += area * 3 * n * n
        if kind == "max":  # its cell reads the pooled grid, and writes the one below
            area //= 4
        elif kind == "conv":
            up += area * kernel**2 * below * n
        else:
            up += area * kernel**2 * below * 4 * n
            past += links * area * kernel**2 * n * 4 * n
        down += area * back**2 * (top + n) * n
    up += 16 * n * gates
    down += LSTM_UNITS * (CLASSES + 16 * n)
    return frames * up + (frames - training) * (past + down * decoder)
