"""Time of a training step of the RLadder, compared with two other models.

    python -m benchmarks.step_time --page docs/guides/speed.md

The ladder is that of Table 5 (`paper`), or a smaller one (`--ladders`). The other
models ("peers") are the hand-written PyTorch ladder of `benchmarks/torch_ladder.py`,
which exists for Table 5 only, and a stack of `keras.layers.ConvLSTM2D` on the same
backend with the same loop and about as many multiply-accumulates.

Each combination of backend, loop, width, precision and ladder is measured in a separate
process, and so is each peer. The processes compute in turns, never two at the same
time, so that other load on the machine affects all of them equally. All reuse freed
memory (`zoo/training/memory.py`). With `--together`, all processes compile at the same
time, which saves GPU time if there are many CPU cores. The main process imports no
framework. It starts the others with `--child`.

The backend `tensorflow` uses oneDNN, and `tensorflow-eigen` the convolutions that
TensorFlow has by default on processors without AVX512 instructions.

`--precisions float32 mixed_bfloat16` measures both precisions. On CPUs,
`mixed_bfloat16` is faster at full width if the processor has AMX or AVX512-BF16
instructions (`grep -E "amx_bf16|avx512_bf16" /proc/cpuinfo`). On an Intel processor
with AMX (2 cores, TensorFlow, batch size 16), a step takes 1100 to 1151 ms, and 1741 to
2051 ms in float32. Small models become slower.
"""

import argparse
import contextlib
import datetime
import itertools
import json
import os
import platform
import select
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from statistics import median

from benchmarks import command, step_table, steps, table
from benchmarks.command import ROOT

SETTING = "backend", "loop", "width", "precision", "ladder"


class Child:
    """Process that computes steps on request, and is killed when its time is over.

    Attributes:
        stopped: Empty, or the reason why the process was stopped. All further answers
            are then `None`.
        facts: Properties of the model and the machine, as sent by the process.
        first_s: Time of the first step in seconds, including compilation.
        turns: Median time of a step in each turn, in seconds.
        rates: GFLOP/s of matrix products before and after each turn.
    """

    def __init__(
        self, alive, args, work, backend, loop="", width=1, macs=0, cpu=False, **more
    ):
        self.left = self.budget = args.budget
        self.stopped, self.turns, self.rates, self.memory_mb = "", [], [], None
        self.name = f"{work} {backend} {loop} {width:g}"
        program = [sys.executable, "-m", "benchmarks.step_time", "--child", work]
        program += f"--batch {args.batch} --width {width} --macs {macs}".split()
        program += [f"--{name}={value}" for name, value in more.items()]
        framework, _, convolutions = backend.partition("-")
        env = dict(
            os.environ,
            KERAS_BACKEND=framework,
            OMP_NUM_THREADS=str(cores()),
            TF_CPP_MIN_LOG_LEVEL="2",
            # Several processes share a GPU, so none may reserve all of its memory.
            TF_FORCE_GPU_ALLOW_GROWTH="true",
            XLA_PYTHON_CLIENT_PREALLOCATE="false",
        )
        if not work.startswith("music"):  # as zoo/onednn.py does for images
            env["TF_ENABLE_ONEDNN_OPTS"] = str(int(convolutions != "eigen"))
        if cpu:
            env["CUDA_VISIBLE_DEVICES"] = ""
        self.errors = alive.enter_context(tempfile.TemporaryFile("w+"))
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
        pipes.update(stderr=self.errors, cwd=ROOT, env=env)
        self.process = subprocess.Popen([*program, "--loop", loop], **pipes)
        alive.callback(self.close)
        self.facts = self.ask("facts") or {"device": "", "versions": {}}
        self.first_s, self.step_s = self.ask("step"), self.ask("step")

    def ask(self, request):
        """Send a request, and return the answer or `None`."""
        if self.stopped:
            return None
        start = time.monotonic()
        with contextlib.suppress(BrokenPipeError):
            print(request, file=self.process.stdin, flush=True)
        ready = select.select([self.process.stdout], [], [], max(0, self.left))[0]
        self.left -= time.monotonic() - start
        line = self.process.stdout.readline() if ready else ""
        if line:
            return json.loads(line)
        self.stopped = "failed" if ready else f"> {self.budget:g} s"
        self.process.kill()
        self.errors.seek(0)
        tail = self.errors.read()[-2000:] if ready else ""
        print(f"{self.name}: {self.stopped}\n{tail}", file=sys.stderr)
        return None

    def turn(self, count, rounds):
        """Time `count` steps, or fewer if time would not suffice for all rounds."""
        if self.stopped:
            return
        affordable = int(0.8 * self.left / (rounds - len(self.turns)) / self.step_s)
        rates = [self.ask("matmul")]
        self.ask("step")  # not timed: refills the caches after other processes
        times = [self.ask("step") for _ in range(max(1, min(count, affordable - 1)))]
        rates.append(self.ask("matmul"))
        memory_mb = self.ask("memory")
        if not self.stopped:
            self.turns.append(median(times))
            self.rates += rates
            self.memory_mb = memory_mb

    def close(self):
        self.process.kill()
        self.process.wait()
        with contextlib.suppress(BrokenPipeError):
            self.process.stdin.close()
        self.process.stdout.close()


def measure(args, settings):
    """Yield a row of results for each setting. All processes start at the same time."""
    with contextlib.ExitStack() as alive, ThreadPoolExecutor(len(settings)) as pool:

        def start(work, setting, **more):
            more |= dict(zip(SETTING[3:], setting[3:], strict=True))
            return Child(alive, args, work, *setting[:3], **more)

        found = list(pool.map(partial(start, "ladder"), settings))
        cpu = not any(ours.facts["device"] for ours in found)
        pairs = list(zip(settings, found, strict=True))
        same = sorted({("torch", *s[1:]) for s, ours in pairs if not ours.stopped})
        started = [pool.submit(start, counts(s), s, cpu=cpu) for s in same]
        hands = {s: hand.result() for s, hand in zip(same, started, strict=True)}
        for setting, ours in pairs:
            peers, macs = {}, 0
            if not ours.stopped:
                hand = hands["torch", *setting[1:]]
                macs = hand.facts.get("macs", 0)
                if counts(setting) == "torch_ladder":
                    peers["torch"] = hand
                if macs and not args.no_stack:
                    peers["convlstm"] = start("conv_lstm", setting, macs=macs, cpu=cpu)
                take_turns([ours, *peers.values()], args)
            row = dict(zip(SETTING, setting, strict=True))
            yield row | facts(args, ours, peers, macs)
            ours.close()


def counts(setting):
    """Return the work of the process that counts the multiply-accumulates."""
    return "torch_ladder" if setting[-1] == "paper" else "ladder_macs"


def facts(args, ours, peers, macs):
    """Return the results of a setting."""
    row = described(args, ours.facts) | {"stopped": ours.stopped}
    if not ours.turns:
        return row
    step = median(ours.turns)
    row.update(
        build_s=ours.facts["build_s"],
        compile_s="" if args.together else max(0.0, ours.first_s - step),
        step_ms=1e3 * step,
        sequences_per_s=args.batch / step,
        macs=macs,
        gflops=3 * 2 * macs * args.batch / step / 1e9,
        matmul_gflops=median(ours.rates),
        memory_mb=ours.memory_mb,
    )
    for name, peer in peers.items():
        ratios = [b / a for a, b in zip(ours.turns, peer.turns, strict=False)]
        row[f"vs_{name}"] = median(ratios) if ratios else f"peer {peer.stopped}"
        row[f"{name}_ms"] = 1e3 * median(peer.turns) if ratios else ""
        if name == "convlstm":
            row["convlstm_macs"] = peer.facts.get("macs", "")
    return row


def take_turns(processes, args):
    """Let processes compute in turns, in alternating order, so that a drift cancels."""
    for process in processes:
        process.turns = []
    for i in range(args.rounds):
        for process in processes[:: (-1) ** i]:
            process.turn(args.steps, args.rounds)


def measure_data(args):
    """Return the row of results of the data generator."""
    with contextlib.ExitStack() as alive:
        process = Child(alive, args, "data", args.backends[0])
        process.turn(args.steps, 1)
    row = {"backend": "data", "loop": process.facts.get("digits", ""), "width": ""}
    if process.turns:
        row["sequences_per_s"] = process.facts["sequences"] / process.turns[0]
    return {**row, **described(args, process.facts), "stopped": process.stopped}


def described(args, facts):
    """Return device, cores, batch size, date, commit and versions of a row."""
    return {
        "device": facts["device"] or cpu_name(),
        "cores": cores(),
        "batch": args.batch,
        "date": datetime.date.today().isoformat(),
        "commit": args.commit,
        "versions": ", ".join(" ".join(item) for item in facts["versions"].items()),
    }


def cores():
    return len(os.sched_getaffinity(0))


def cpu_name():
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.split(":")[1].strip()
    return platform.machine()


def arguments(argv):
    parser = command.options(__doc__, "results.csv", steps=5, budget=240)
    parser.set_defaults(backends=["tensorflow", "tensorflow-eigen", "jax", "torch"])
    add = parser.add_argument
    ladders = "tables of levels; default: paper"
    names = ["paper", "reduced", "small"]
    add("--ladders", nargs="+", default=["paper"], choices=names, help=ladders)
    widths = "multipliers of all channels; default: 0.25 1"
    add("--widths", nargs="+", type=float, default=[0.25, 1.0], help=widths)
    modes = ["unroll", "scan"]
    loops = "loops over time; default: both"
    add("--modes", nargs="+", default=modes, choices=modes, help=loops)
    precisions = "precisions; default: float32"
    add(
        "--precisions",
        nargs="+",
        default=["float32"],
        choices=steps.PRECISIONS,
        help=precisions,
    )
    add("--no-stack", action="store_true", help="do not measure the ConvLSTM2D stack")
    together = "compile all settings at the same time"
    add("--together", action="store_true", help=together)
    add("--batch", type=int, default=16, help="sequences in a batch; default: 16")
    add("--threads", type=int, help="number of CPU threads; default: all cores")
    for private in ("--child", "--loop"):
        add(private, help=argparse.SUPPRESS)
    add("--precision", default="float32", help=argparse.SUPPRESS)
    add("--ladder", default="paper", help=argparse.SUPPRESS)
    for private in ("--width", "--macs"):
        add(private, type=float, help=argparse.SUPPRESS)
    for private in ("--groups", "--iterations", "--size", "--remat"):
        add(private, type=int, help=argparse.SUPPRESS)
    return parser.parse_args(argv)


def main(argv=None):
    args = arguments(argv)
    if args.child:
        return steps.answer(args)
    page = command.page(args, step_table.MARKERS)
    if not args.render:
        # All frameworks use one thread for each core that they are allowed to use.
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[: args.threads])
        if os.getloadavg()[0] > 0.5:
            print("This machine is busy. Times will be too long.", file=sys.stderr)
        args.commit = command.commit()
        step_table.save(args.out, [measure_data(args)])
        each = args.ladders, args.widths, args.precisions, args.backends, args.modes
        settings = [
            (backend, loop, width, precision, ladder)
            for ladder, width, precision, backend, loop in itertools.product(*each)
        ]
        for some in [settings] if args.together else [[one] for one in settings]:
            for found in measure(args, some):
                step_table.save(args.out, [found])
                print({k: table.text(v) for k, v in found.items()}, flush=True)
    if page:
        step_table.render(args.out, page)


if __name__ == "__main__":
    main()
