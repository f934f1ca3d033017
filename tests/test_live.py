"""The page "Try it" is built and run by a browser, which computes what Keras does.

The page is built by TensorFlow, which exports faster than PyTorch.
"""

import functools
import html
import json
import os
import re
import shutil
import subprocess
import sys
import threading
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
SOURCES = ROOT / "docs" / "live"
BROWSERS = ("chromium", "chromium-browser", "google-chrome")
BROWSER = next(filter(None, map(shutil.which, BROWSERS)), None)
NO_SOURCE = shutil.ignore_patterns("*.py", "__pycache__")

pytestmark = pytest.mark.once("tensorflow")
in_browser = pytest.mark.skipif(BROWSER is None, reason="needs Chromium")


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """The folder of the page, with the generated files."""
    if shutil.which("npm") is None:
        pytest.skip("needs npm")
    for package in ("onnx", "tf2onnx"):
        pytest.importorskip(package)
    folder = tmp_path_factory.mktemp("live")
    command = [sys.executable, SOURCES / "build.py", "--out", folder]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "TF_CPP_MIN_LOG_LEVEL": "3"}
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    if "npm must be able to load" in done.stderr:
        pytest.skip("npm cannot load the runtime")
    assert done.returncode == 0, done.stderr
    shutil.copytree(SOURCES, folder, dirs_exist_ok=True, ignore=NO_SOURCE)
    return folder


@pytest.fixture
def open_page(tmp_path):
    """A function that serves a folder and returns a page of it after its scripts."""
    servers = []

    def opened(folder, page):
        handler = functools.partial(Quiet, directory=folder)
        server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        servers.append(server)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        options = [
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-dev-shm-usage",
            f"--user-data-dir={tmp_path / 'profile'}",
            # No other host can be reached.
            "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
            "--virtual-time-budget=20000",
            "--dump-dom",
        ]
        url = f"http://127.0.0.1:{server.server_port}/{page}"
        done = subprocess.run(
            [BROWSER, *options, url], capture_output=True, text=True, timeout=300
        )
        return done.stdout

    yield opened
    for server in servers:
        server.shutdown()
        server.server_close()


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *args):
        pass


def text_of(page, name):
    """Return the text of an element without elements inside."""
    found = re.search(rf'id="{name}"[^>]*>([^<]*)<', page)
    return html.unescape(found[1])


@in_browser
def test_the_page_computes_what_keras_does(built, open_page):
    page = open_page(built, "index.html?check")
    differences = json.loads(text_of(page, "check") or "{}")
    assert set(differences) == {"digits", "music"}, text_of(page, "status")
    assert max(differences.values()) <= 1e-4


def test_another_runtime_loads_the_models(built):
    runtime = pytest.importorskip("onnxruntime")
    paths = sorted(built.glob("*.onnx"))
    assert len(paths) == 3
    for path in paths:
        runtime.InferenceSession(path)


@in_browser
def test_a_digit_flies_when_the_page_is_opened(built, open_page):
    page = open_page(built, "index.html")
    assert text_of(page, "status") == ""
    assert int(text_of(page, "time").removeprefix("frame ")) >= 5


@in_browser
def test_a_page_without_models_says_how_to_build_them(open_page):
    status = text_of(open_page(SOURCES, "index.html"), "status")
    assert 'Run "python docs/live/build.py"' in status


def test_the_download_is_small(built):
    sizes = {p.name: p.stat().st_size for p in built.rglob("*") if p.is_file()}
    del sizes["check.json"]  # loaded by the check only
    music = sizes["music.onnx"] + sizes["readout.onnx"]  # loaded by its tab
    assert sum(sizes.values()) - music < 16e6
    assert music < 5e6


def test_the_page_names_no_other_host():
    """The runtime names one in a message; the policy of the page forbids loading."""
    files = [p for p in SOURCES.rglob("*") if p.suffix in (".html", ".css", ".js")]
    assert len(files) > 5
    text = "\n".join(path.read_text(encoding="utf-8") for path in files)
    repository = re.search(r"^repo_url: (\S+)", (ROOT / "mkdocs.yml").read_text(), re.M)
    assert set(re.findall(r"https?://[^\s\"'`<>)]*", text)) == {repository[1]}
    assert "default-src 'self'; script-src 'self' 'wasm-unsafe-eval'" in text
