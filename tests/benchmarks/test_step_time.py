"""The benchmark stops slow processes, merges results, and writes the table."""

import contextlib
import math
from types import SimpleNamespace

import numpy as np
import pytest

from benchmarks import step_table, step_time, steps, table

pytestmark = pytest.mark.once

ROW = {"device": "CPU", "cores": 2, "batch": 16, "width": 0.25, "loop": "unroll"}
ROW |= {"precision": "float32", "ladder": "paper"}
ROW |= {"date": "2026-01-01", "commit": "abc", "versions": "Keras 3, jax 0.10"}
FAST = {"step_ms": 50.0, "sequences_per_s": 320.0, "gflops": 30.0}
FAST |= {"matmul_gflops": 60.0, "vs_torch": 1.5, "vs_convlstm": "peer > 240 s"}


@pytest.mark.parametrize("macs", [27_484_160, 191_325_760, 3_042_233_920])
def test_conv_stack_is_as_much_work(macs):
    keras = pytest.importorskip("keras")
    depth, filters = steps.conv_stack(macs)
    layers = [keras.layers.ConvLSTM2D(filters, 3) for _ in range(depth)]
    for i, layer in enumerate(layers):
        layer.build((None, 5, 32, 32, filters if i else 1))
    weights = [math.prod(w.shape) for layer in layers for w in layer.weights]
    biases = depth * 4 * filters
    count = 5 * 32**2 * (sum(weights) - biases + filters)
    assert steps.conv_stack_macs(depth, filters) == count
    assert abs(count / macs - 1) < 0.1


def test_child_is_killed_when_its_time_is_spent():
    args = step_time.arguments(["--budget", "0.01"])
    with contextlib.ExitStack() as alive:
        child = step_time.Child(alive, args, "ladder", "torch", "unroll", 0.1)
        child.turn(1, 1)
    assert child.stopped == "> 0.01 s" and not child.turns
    assert child.process.returncode < 0


class Idle:
    """A child that did its steps: the peer's take twice the time."""

    started = []

    def __init__(self, alive, args, work, backend, loop, width, macs=0, **more):
        self.started.append((work, backend, more["precision"]))
        self.step = 0.01 if work == "ladder" else 0.02
        self.facts = {"device": "GPU", "versions": {}, "build_s": 1.0}
        self.facts["macs"] = 0 if work == "ladder" else 1e9
        self.stopped, self.first_s, self.memory_mb = "", 9.0, 5.0

    def turn(self, count, rounds):
        self.turns.append(self.step)
        self.rates = [1e5]

    def close(self):
        self.stopped = "closed"


def test_settings_that_start_together_share_the_ladder_by_hand(monkeypatch):
    monkeypatch.setattr(step_time, "Child", Idle)
    args = step_time.arguments(["--together", "--no-stack", "--batch", "10"])
    args.commit = ""
    each = "float32", "mixed_bfloat16"
    settings = [("jax", "unroll", 1.0, p, "paper") for p in each]
    settings.append(("torch", "unroll", 1.0, "float32", "paper"))
    rows = list(step_time.measure(args, settings))
    hands = [started for started in Idle.started if started[0] == "torch_ladder"]
    assert sorted(hands) == [
        ("torch_ladder", "torch", "float32"),
        ("torch_ladder", "torch", "mixed_bfloat16"),
    ]
    for setting, row in zip(settings, rows, strict=True):
        assert tuple(row[k] for k in step_time.SETTING) == setting
        assert row["vs_torch"] == 2 and row["compile_s"] == ""
        assert math.isclose(row["gflops"], 6 * 10 / 0.01)


def test_small_ladder_has_no_peer_by_hand(monkeypatch):
    monkeypatch.setattr(step_time, "Child", Idle)
    args = step_time.arguments(["--no-stack", "--batch", "10"])
    args.commit = ""
    (row,) = step_time.measure(args, [("jax", "unroll", 1.0, "float32", "small")])
    assert Idle.started[-1][0] == "ladder_macs" and "vs_torch" not in row
    assert math.isclose(row["gflops"], 6 * 10 / 0.01)


def test_counted_multiply_accumulates_are_those_of_the_formula():
    if pytest.importorskip("keras").backend.backend() != "torch":
        pytest.skip("torch counts for all backends")
    from benchmarks import torch_ladder

    args = SimpleNamespace(width=0.25, ladder="paper")
    counted = steps.ladder_macs(args)[1]["macs"]
    # The ladder also computes the decoders with batch statistics at the last frame.
    assert counted == pytest.approx(torch_ladder.macs(0.25, training=True), rel=0.001)


@pytest.mark.parametrize("work, frames", [("ladder", 1), ("torch_ladder", 2)])
def test_steps_on_a_cpu_in_bfloat16(work, frames, monkeypatch):
    keras = pytest.importorskip("keras")
    backend = keras.backend.backend()
    if backend != "torch" or steps.device("torch"):
        pytest.skip("the backend that need not compile, on a CPU")
    monkeypatch.setattr(steps, "FRAMES", frames)
    args = SimpleNamespace(width=0.05, batch=2, loop="unroll", ladder="paper")
    args.precision = "mixed_bfloat16"
    before = keras.config.dtype_policy()
    try:
        steps.set_precision(backend, args.precision)
        step, _ = getattr(steps, work)(args)
        assert keras.config.dtype_policy().compute_dtype == "bfloat16"
        assert np.isfinite(step()).all()
        assert steps.matmul_gflops(64, 1) > 0
    finally:
        keras.config.set_dtype_policy(before)


def test_precisions_stand_in_one_table_each_beside_its_own_matmul_rate():
    row = {**ROW, "backend": "jax", "stopped": "", "compile_s": "", "memory_mb": ""}
    rows = [
        {**row, **FAST},
        {**row, **FAST, "precision": "mixed_bfloat16", "matmul_gflops": 300.0},
    ]
    lines = step_table.lines_of(
        [{k: table.text(v) for k, v in r.items()} for r in rows]
    )
    assert (
        "| paper | 0.25 | float32 | jax | unroll |  | 50.0 | 320 | 50 (50) |" in lines
    )
    assert (
        "| paper | 0.25 | mixed_bfloat16 | jax | unroll |  | 50.0 | 320 | 10 (10) |"
        in lines
    )


def test_latest_result_wins_and_stopped_ones_are_shown(tmp_path):
    results, page = tmp_path / "results.csv", tmp_path / "speed.md"
    slow = {**ROW, "backend": "jax", "stopped": "> 240 s"}
    data = {**ROW, "backend": "data", "loop": "MNIST", "sequences_per_s": 3200.0}
    step_table.save(results, [{**ROW, "backend": "torch", "step_ms": 1.0}, slow])
    fast = {**ROW, "backend": "torch", **FAST}
    step_table.save(results, [fast, {**data, "width": ""}])
    assert len(table.read(results)) == 3

    begin, end = step_table.MARKERS
    page.write_text(f"before\n{begin}\nold\n{end}\nafter\n")
    step_time.main(["--render", "--out", str(results), "--page", str(page)])
    written = page.read_text()
    assert written.startswith("before\n") and written.endswith("\nafter\n")
    assert "old" not in written
    row = "| paper | 0.25 | float32 | torch | unroll |  | 50.0 | 320 | 50 (50) |  | "
    assert row + "1.50 | peer > 240 s |" in written
    assert "| paper | 0.25 | float32 | jax | unroll |  | > 240 s |" in written
    assert "draws 3,200 sequences/s, 10 times" in written


def test_page_without_markers_is_refused(tmp_path):
    page = tmp_path / "speed.md"
    page.write_text("text")
    with pytest.raises(SystemExit, match="lacks the lines"):
        step_time.main(["--page", str(page)])
