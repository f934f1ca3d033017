"""Models and steps that the processes of `benchmarks/step_time.py` time.

Each of the first functions returns a function that computes one step, and a dictionary
of facts.
"""

import importlib
import json
import math
import os
import platform
import resource
import sys
import time
import timeit

FRAMES, SIDE = 5, 32
PRECISIONS = "float32", "tf32", "mixed_bfloat16"
STEPS = 25  # time steps of music


def ladder(args):
    """Return a training step of `zoo.occluded_mnist_rladder`, as in `fit`."""
    import zoo

    table, unroll = levels(args.ladder), args.loop == "unroll"
    model = zoo.occluded_mnist_rladder(args.width, table=table, unroll=unroll)
    x, labels = batch(args.batch)
    y = {"class": labels, "frame": x, "probe": x}
    return lambda: model.train_on_batch(x, y), {}


def ladder_macs(args):
    """Return the multiply-accumulates of an unrolled ladder, counted by PyTorch."""
    from torch.utils.flop_counter import FlopCounterMode

    import zoo
    from rladder_keras.recurrence import last_unread

    model = zoo.occluded_mnist_rladder(args.width, table=levels(args.ladder))
    with FlopCounterMode(display=False) as counter, last_unread():
        model(batch(2)[0], training=True)
    return lambda: None, {"macs": counter.get_total_flops() / 2 / 2}


def levels(name):
    """Return the table of levels that `zoo.reproduce` has under this name."""
    from zoo.experiments import table_1

    return table_1.LADDERS[name]


def torch_ladder(args):
    """Return the same step in hand-written PyTorch.

    Like the ladder, an unrolled loop leaves out the last prediction and the zeros
    before the first frame.
    """
    import torch

    from benchmarks import torch_ladder as peer

    on = "cuda" if torch.cuda.is_available() else "cpu"
    model = peer.TorchLadder(args.width, FRAMES).to(on)
    optimizer = torch.optim.Adam(model.parameters())
    data = [torch.from_numpy(array) for array in batch(args.batch)]

    def step():
        x, labels = (tensor.to(on) for tensor in data)
        optimizer.zero_grad()
        with torch.autocast(on, torch.bfloat16, args.precision == "mixed_bfloat16"):
            logits, frames = model(x, last_prediction=args.loop != "unroll")
        cost = peer.loss(logits.float(), frames.float(), x, labels.long(), lam=0.1)
        cost.backward()
        optimizer.step()
        return cost.item()  # waits for the device

    unrolled = args.loop == "unroll"
    return step, {"macs": peer.macs(args.width, FRAMES, training=unrolled)}


def conv_lstm(args):
    """Return a training step of a ConvLSTM2D stack that predicts its input."""
    import keras

    depth, filters = conv_stack(args.macs)
    x, _ = batch(args.batch)
    model = keras.Sequential([keras.Input(x.shape[1:])])
    for _ in range(depth):
        options = {"padding": "same", "unroll": args.loop == "unroll"}
        layer = keras.layers.ConvLSTM2D(filters, 3, return_sequences=True, **options)
        model.add(layer)
    model.add(keras.layers.Dense(1, "sigmoid"))
    model.compile(keras.optimizers.Adam(), "mse")
    facts = {"macs": conv_stack_macs(depth, filters)}
    return lambda: model.train_on_batch(x, x), facts


def data(args):
    """Return a step that draws one epoch of training batches."""
    import zoo

    train, _, _ = zoo.data.occluded_mnist(batch_size=args.batch, verbose=False)

    def step():
        for index in range(len(train)):
            train[index]
        train.epoch += 1

    return step, {"sequences": train.num_sequences, "digits": train.digits_name}


def music_rladder(args):
    """Return a training step of `zoo.polyphonic_music_rladder`."""
    import zoo

    model, x = zoo.polyphonic_music_rladder(carry=args.batch), rolls(args.batch, STEPS)
    return lambda: model.train_on_batch(x, {"notes": x}), music_facts(model, args.batch)


def music_flops(args):
    """Return the number of operations per time step of training, counted by PyTorch."""
    from torch.utils.flop_counter import FlopCounterMode

    import zoo

    model, x = zoo.polyphonic_music_rladder(), rolls(1, STEPS)
    with FlopCounterMode(display=False) as counter:
        model.train_on_batch(x, {"notes": x})
    return lambda: None, {"flops": counter.get_total_flops() / STEPS}


def music_lstm(args):
    """Return a training step of `keras.layers.LSTM` with about as many parameters."""
    import keras

    model, x = stock_lstm(args.batch, STEPS), rolls(args.batch, STEPS)
    model.compile(keras.optimizers.Adam(), "binary_crossentropy")
    return lambda: model.train_on_batch(x, x), music_facts(model, args.batch)


def music_rladder_stream(args):
    """Return a step that streams the time steps of one piece, one by one."""
    import zoo

    model, x = zoo.polyphonic_music_rladder(), rolls(1, STEPS)

    def step():
        state = model.init_state(1)
        for t in range(STEPS):
            _, state = model.step(x[:, t], state)

    return step, music_facts(model, 1)


def music_rladder_again(args):
    """Return a step that predicts one time step without a state.

    All earlier time steps are computed again.
    """
    import zoo

    model, x = zoo.polyphonic_music_rladder(), rolls(1, STEPS)
    return lambda: model.predict_on_batch(x), music_facts(model, 1) | {"time_steps": 1}


def music_lstm_stream(args):
    """Return a step that streams with a stateful `keras.layers.LSTM`."""
    model, x = stock_lstm(1, 1, stateful=True), rolls(1, STEPS)

    def step():
        for t in range(STEPS):
            model.predict_on_batch(x[:, t : t + 1])

    return step, music_facts(model, 1)


def rtagger(args):
    """Return a training step of `zoo.moving_mnist_rtagger`."""
    import numpy as np

    import zoo

    model = zoo.moving_mnist_rtagger(
        args.width,
        size=args.size,
        frames=args.iterations,
        groups=args.groups,
        remat=bool(args.remat),
    )
    rng = np.random.default_rng(0)
    shape = (args.batch, args.iterations, args.size, args.size)
    x = rng.random((*shape, 1), dtype="float32")
    y = {"groups": rng.integers(2, size=shape, dtype="int32")}
    return lambda: model.train_on_batch(x, y), {"memory_mb": memory_mb()}


def memory_mb():
    """Return the peak memory of this process in MB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def stock_lstm(*shape, **stateful):
    import keras

    lstm = keras.layers.LSTM(850, return_sequences=True, **stateful)
    read = keras.layers.Dense(88, "sigmoid")
    return keras.Sequential([keras.Input(batch_shape=(*shape, 88)), lstm, read])


def music_facts(model, size):
    trained = sum(math.prod(w.shape) for w in model.trainable_weights)
    return {"parameters": trained, "time_steps": size * STEPS}


def rolls(size, steps):
    """Return random piano rolls with a fixed seed."""
    import numpy as np

    rng = np.random.default_rng(0)
    return (rng.random((size, steps, 88)) < 0.05).astype("float32")


def batch(size):
    """Return random frames and labels with a fixed seed."""
    import numpy as np

    rng = np.random.default_rng(0)
    frames = rng.random((size, FRAMES, SIDE, SIDE, 1), dtype="float32")
    return frames, rng.integers(10, size=size, dtype="int32")


def conv_stack_macs(depth, filters):
    """Return the multiply-accumulates of a ConvLSTM2D stack, forward, one sequence."""
    inputs = 1 + (depth - 1) * filters + depth * filters  # from below and from the past
    return FRAMES * SIDE**2 * (9 * inputs * 4 * filters + filters)


def conv_stack(macs):
    """Return depth and filters of a stack with `macs` multiply-accumulates.

    The number is exact within 10 %. Prefer numbers of filters that are multiples of 8,
    otherwise of 4 or 2, which vector units process fastest.
    """

    def off(stack):
        return abs(conv_stack_macs(*stack) / macs - 1)

    def rank(stack):
        return -min(stack[1] & -stack[1], 8), off(stack)

    stacks = [(depth, n) for depth in (2, 3, 4) for n in range(1, 513)]
    return min((stack for stack in stacks if off(stack) < 0.1), key=rank)


def matmul_gflops(n=1024, chain=10):
    """Return the GFLOP/s of the framework's matrix product in the current precision."""
    import keras
    import numpy as np
    from keras import ops

    # Scaled so that the powers of the matrix neither explode nor vanish.
    x = np.random.default_rng(0).random((n, n), dtype="float32") * (2 / n)
    x = ops.convert_to_tensor(x, keras.config.dtype_policy().compute_dtype)

    def product():
        y = x
        for _ in range(chain):
            y = ops.matmul(y, x)
        return float(y[0, 0])  # waits for the device

    return chain * 2 * n**3 / min(timeit.repeat(product, number=1, repeat=4)) / 1e9


def set_precision(backend, precision):
    """Set whether float32 products on a GPU use TF32, and the dtype policy of Keras."""
    import keras

    framework = importlib.import_module(backend)
    exact = precision == "float32"
    if backend == "torch":
        framework.backends.cuda.matmul.allow_tf32 = not exact
        framework.backends.cudnn.allow_tf32 = not exact
    elif backend == "jax":
        name = "highest" if exact else "default"
        framework.config.update("jax_default_matmul_precision", name)
    else:
        framework.config.experimental.enable_tensor_float_32_execution(not exact)
    if precision == "mixed_bfloat16":
        keras.config.set_dtype_policy(precision)


def gpu_memory_mb(backend):
    """Return the peak GPU memory of this process in MB."""
    framework = importlib.import_module(backend)
    if backend == "torch":
        most = framework.cuda.max_memory_allocated()
    elif backend == "jax":
        most = framework.devices()[0].memory_stats()["peak_bytes_in_use"]
    else:
        most = framework.config.experimental.get_memory_info("GPU:0")["peak"]
    return most / 2**20


def device(backend):
    """Return the name of the backend's accelerator; empty if there is none."""
    module = importlib.import_module(backend)
    if backend == "torch":
        return module.cuda.get_device_name() if module.cuda.is_available() else ""
    if backend == "jax":
        first = module.devices()[0]
        return "" if first.platform == "cpu" else first.device_kind
    gpus = module.config.list_physical_devices("GPU")
    get_details = module.config.experimental.get_device_details
    return get_details(gpus[0])["device_name"] if gpus else ""


def machine(backend):
    """Return the name of the backend's accelerator, and the versions."""
    import keras

    versions = {"Python": platform.python_version(), "Keras": keras.__version__}
    versions[backend] = importlib.import_module(backend).__version__
    return {"device": device(backend), "versions": versions}


def answer(args):
    """Answer each command on stdin with a line of JSON on stdout."""
    replies = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # the frameworks print to stdout; send that to stderr
    import keras

    from zoo.training.memory import keep_freed_memory

    keep_freed_memory()
    backend = keras.backend.backend()
    set_precision(backend, args.precision)
    keras.utils.set_random_seed(0)
    works = (
        ladder,
        ladder_macs,
        torch_ladder,
        conv_lstm,
        data,
        music_rladder,
        music_lstm,
    )
    works += (music_flops, music_rladder_stream, music_rladder_again, music_lstm_stream)
    works += (rtagger,)
    works = {work.__name__: work for work in works}
    start = time.perf_counter()
    step, facts = works[args.child](args)
    facts["build_s"] = time.perf_counter() - start
    facts.update(machine(backend))
    for command in sys.stdin:
        start, reply = time.perf_counter(), facts
        if command == "step\n":
            step()
            reply = time.perf_counter() - start
        elif command == "matmul\n":
            reply = matmul_gflops(8192 if facts["device"] else 1024)
        elif command == "memory\n":
            reply = gpu_memory_mb(backend) if facts["device"] else memory_mb()
        print(json.dumps(reply), file=replies, flush=True)
