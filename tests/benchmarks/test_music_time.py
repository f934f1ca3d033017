"""The benchmark of music writes its table."""

import pytest

from benchmarks import music_time, table

pytestmark = pytest.mark.once


def test_results_are_written_into_the_page(tmp_path):
    results, page = tmp_path / "music.csv", tmp_path / "speed.md"
    row = dict(device="CPU", cores=2, batch=8, date="2026-01-01", commit="abc")
    row |= {"versions": "Keras 3, torch 2", "backend": "torch"}
    row |= {"music_rladder_parameters": 3_000_000, "music_lstm_parameters": 3_000_001}
    row |= {"music_rladder": 321.4, "music_lstm": 2345.6}
    row |= {"gflops": 80.0, "matmul_gflops": 160.0}
    row |= {"music_rladder_again": 80.0, "music_rladder_stream": 20.04}
    row |= {"music_lstm_stream": "> 120 s"}
    table.save(results, [row], ("backend",))
    begin, end = music_time.MARKERS
    page.write_text(f"before\n{begin}\nold\n{end}\nafter\n")
    music_time.main(["--render", "--out", str(results), "--page", str(page)])
    written = page.read_text()
    assert written.startswith("before\n") and written.endswith("\nafter\n")
    assert "old" not in written and "(3,000,000 parameters and 3,000,001)" in written
    assert "| torch | 321 | 2346 | 20.0 | 80.0 | > 120 s | 50 |" in written
