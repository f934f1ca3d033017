"""Training protocols of the paper, checkpoints, interrupts and memory."""
