"""The PyTorch peer has Table 5's sizes, and computes what A.1-A.4 say."""

import pytest

torch = pytest.importorskip("torch")

from torch.utils.flop_counter import FlopCounterMode  # noqa: E402

from benchmarks import torch_ladder  # noqa: E402

pytestmark = pytest.mark.once


def build(seed=0, **options):
    torch.manual_seed(seed)
    return torch_ladder.TorchLadder(**options)


def batch(size=3, frames=5):
    generator = torch.Generator().manual_seed(1)
    pixels = torch.rand(size, frames, 32, 32, 1, generator=generator)
    return pixels, torch.randint(10, (size,), generator=generator)


def count(model):
    return sum(p.numel() for p in model.parameters())


def test_parameter_counts_of_table_5():
    encoder = [75_392, 3 * 9_280, 111_104, 18_560, 2 * 36_992, 73_984, 8_320, 2_112]
    encoder += [35_072, 170]  # LSTM, SoftMax
    decoder = [169_056, 3 * 21_600, 76_896, 252_000, 3 * 86_208, 454_848, 270_720]
    decoder += [67_776, 21_600, 14_336, 352, 33]  # the last: the read-out
    assert count(build()) == sum(encoder) + sum(decoder) == 2_077_579
    assert count(build(decoder=False)) == 351_466


@pytest.mark.parametrize("decoder", [True, False])
@pytest.mark.parametrize("feedback", [True, False])
def test_macs_are_those_executed(feedback, decoder):
    options = {"width": 0.25, "feedback": feedback, "decoder": decoder}
    frames, labels = batch(2)
    model = build(**options)
    with FlopCounterMode(display=False) as counter:
        model(frames, last_prediction=False)
    counted = counter.get_total_flops() / 2 / len(frames)
    assert counted == torch_ladder.macs(**options, training=True)


def test_macs_at_full_width():
    assert torch_ladder.macs(frames=1) == pytest.approx(0.61e9, rel=0.01)


def test_training_learns_one_batch_and_reaches_every_parameter():
    model, (frames, labels) = build(width=0.125), batch(4)
    optimizer = torch.optim.Adam(model.parameters(), 0.005)
    args = model, optimizer, frames, labels, 0.01
    first = torch_ladder.train_step(*args)
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None and parameter.grad.isfinite().all(), name
    for _ in range(7):
        last = torch_ladder.train_step(*args)
    assert last < 0.8 * first


def test_skipping_the_last_prediction_changes_nothing_else():
    model, (frames, _) = build(width=0.125), batch()
    logits, predictions = model(frames)
    assert logits.shape == (3, 5, 10) and predictions.shape == (3, 5, 32, 32, 1)
    fewer_logits, fewer = model(frames, last_prediction=False)
    torch.testing.assert_close(fewer_logits, logits)
    torch.testing.assert_close(fewer, predictions[:, :-1])


def test_loss_by_hand():
    model, (frames, labels) = build(width=0.125), batch()
    logits, predictions = model(frames)
    cost = torch_ladder.loss(logits, predictions, frames, labels, 0.1)
    entropy = -logits[:, -1].log_softmax(1)[range(3), labels].mean()
    error = ((predictions[:, :-1] - frames[:, 1:]) ** 2).sum((2, 3, 4)).mean()
    torch.testing.assert_close(cost, entropy + 0.1 * error)


def test_moving_statistics_are_kept_per_frame():
    norm = torch_ladder.FrameBatchNorm(2, frames=3)
    x = 5.0 + 3.0 * torch.randn(64, 2, 4, 4)
    for _ in range(100):
        trained = norm(x, 1)
    norm.eval()
    torch.testing.assert_close(norm(x, 1), trained, atol=0.01, rtol=0.01)
    assert norm.mean[0].eq(0).all() and norm.mean[2].eq(0).all()
    scale = (1.0 + torch_ladder.EPS) ** 0.5
    torch.testing.assert_close(norm(x, 2), x / scale)


def test_without_feedback_the_classes_do_not_see_the_decoder():
    frames, _ = batch()
    for feedback in (True, False):
        model = build(width=0.125, feedback=feedback)
        before = model(frames)[0]
        model.decoder[0].bias.data += 1.0
        assert torch.equal(model(frames)[0], before) != feedback
    assert build(width=0.125, decoder=False)(frames)[1] is None


def test_cells_by_hand():
    x = torch.randn(2, 6, 4, 4)
    gain, offset = torch.rand(6), torch.rand(6)
    axes = (1, 2, 3)
    centred = x - x.mean(axes, keepdim=True)
    scale = (centred.square().mean(axes, keepdim=True) + torch_ladder.EPS).sqrt()
    by_hand = centred / scale * gain.view(6, 1, 1) + offset.view(6, 1, 1)
    torch.testing.assert_close(torch_ladder.layer_norm(x, gain, offset), by_hand)

    cell = torch_ladder.G1(3, 6, 5)
    cell.f.data = torch.randn(5, 2, 6)
    top, side = torch.randn(8, 3), torch.randn(8, 6)
    u = cell.norm(cell.top(top), 0)
    w = cell.f.unbind(1)
    s, f = (w0 * torch.sigmoid(w1 * u + w2) + w3 * u + w4 for w0, w1, w2, w3, w4 in w)
    torch.testing.assert_close(cell(top, side, 0), s * side + (1 - s) * f)


def test_gates_by_hand():
    lstm = torch_ladder.LSTM(3, 4, 3, feedback=True)
    x, zero = torch.randn(2, 3, 8, 8), torch.zeros(2, 4, 8, 8)
    h, (_, c) = lstm(x, None, None)  # what the zeros before frame 1 give
    torch.testing.assert_close(lstm(x, (zero, zero), zero)[0], h)
    args = zip(lstm.maps, (x, h, h), lstm.gains, strict=True)
    z = sum(torch_ladder.layer_norm(f(v), gain) for f, v, gain in args)
    i, f, o, g = (z + lstm.bias.view(-1, 1, 1)).chunk(4, 1)
    cell = f.sigmoid() * c + i.sigmoid() * g.tanh()
    torch.testing.assert_close(lstm(x, (h, c), h)[0], o.sigmoid() * cell.tanh())

    cell = torch_ladder.ConvG3(3, 4, 6, upsample=True)
    cell.bias.data.normal_()
    a = torch_ladder.layer_norm(cell.top(x), cell.top_gain)
    b = torch_ladder.layer_norm(cell.side(h), cell.side_gain)
    u = torch.relu(a + b + cell.bias.view(-1, 1, 1))
    s, d, e = (torch.conv2d(u, w) for w in cell.inner.weight.chunk(3))
    s = s.sigmoid()
    assert u.shape == (2, 4, 16, 16)
    torch.testing.assert_close(cell(x, h), s * d + (1 - s) * e)


def test_memory_format_changes_no_value():
    model, (frames, _) = build(width=0.125), batch()
    before = model(frames)
    model.to(memory_format=torch.contiguous_format)
    torch.testing.assert_close(model(frames), before, atol=1e-4, rtol=1e-4)
