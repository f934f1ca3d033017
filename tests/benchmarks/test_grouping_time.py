"""The benchmark of grouping: its table, and that cost is linear where it should be."""

import keras
import numpy as np
import pytest

import zoo
from benchmarks import command, grouping_time, table

pytestmark = pytest.mark.once


def row(groups, iterations, size, remat, step, memory):
    facts = dict(device="CPU", cores=2, batch=4, date="2026-01-01", commit="abc")
    facts |= {"versions": "Keras 3, torch 2", "backend": "torch", "width": 0.5}
    facts |= dict(groups=groups, iterations=iterations, size=size, remat=remat)
    return facts | {"step_ms": step, "memory_mb": memory}


def test_results_are_written_into_the_page(tmp_path):
    results, page = tmp_path / "grouping.csv", tmp_path / "speed.md"
    rows = [row(3, 5, 32, 0, 200.0, 100.0), row(6, 5, 32, 0, 390.0, 150.0)]
    rows += [row(3, 10, 32, 1, 520.0, 110.0), row(3, 5, 64, 0, "", "")]
    key = ("backend", *grouping_time.NAMES)
    table.save(results, [rows[0] | {"step_ms": 1.0}], key)
    table.save(results, rows, key)
    begin, end = grouping_time.MARKERS
    page.write_text(f"before\n{begin}\nold\n{end}\nafter\n")
    grouping_time.main(["--render", "--out", str(results), "--page", str(page)])
    written = page.read_text()
    assert written.startswith("before\n") and written.endswith("\nafter\n")
    assert "old" not in written
    assert "| torch | 3 | 5 | 32 | no | 1 | 1.00 | 1.00 | 100 | 100 |" in written
    assert "| torch | 6 | 5 | 32 | no | 2 | 1.95 | 1.50 | 51.3 | 150 |" in written
    assert "| torch | 3 | 10 | 32 | yes | 2 | 2.60 | 1.10 | 76.9 | 110 |" in written
    assert "| torch | 3 | 5 | 64 | no | 4 |  |  | failed |  |" in written


@pytest.mark.skipif(keras.backend.backend() != "torch", reason="torch counts for all")
def test_operations_grow_linearly_with_groups_iterations_and_pixels():
    from torch.utils.flop_counter import FlopCounterMode

    def operations(groups=2, frames=2, size=16):
        model = zoo.moving_mnist_rtagger(0.1, size=size, frames=frames, groups=groups)
        shape = (1, frames, size, size)
        y = {"groups": np.zeros(shape, "int32")}
        with FlopCounterMode(display=False) as counter:
            model.train_on_batch(np.zeros((*shape, 1), "float32"), y)
        return counter.get_total_flops()

    once = operations()
    assert operations(groups=4) == pytest.approx(2 * once, rel=0.02)
    assert operations(size=32) == pytest.approx(4 * once, rel=0.02)
    # The first iteration sends no gradient back to states before it.
    more = operations(frames=3) - once
    assert operations(frames=4) == pytest.approx(once + 2 * more, rel=0.02)


def test_markers_are_in_the_page():
    table.parts(command.PAGE, grouping_time.MARKERS)
