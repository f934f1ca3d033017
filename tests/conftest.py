"""Settings of the whole suite."""

import os

# The models under test are tiny: compiling them without optimisation is faster.
os.environ.setdefault("XLA_FLAGS", "--xla_backend_optimization_level=0")
