"""One thread a process, and Hypothesis profiles by HYPOTHESIS_PROFILE: default, ci, expensive."""

import os
import signal

from hypothesis import settings

# Before numpy and PyTorch start theirs: tests are small operations, in processes side by side.
for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ.setdefault(variable, "1")

# A shell has what it runs in the background ignore interruptions, and the tests' own processes
# would inherit that.
signal.signal(signal.SIGINT, signal.default_int_handler)

settings.register_profile("default", deadline=None, max_examples=50)
settings.register_profile("ci", deadline=None, max_examples=100, derandomize=True)
settings.register_profile("expensive", deadline=None, max_examples=3000)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "default"))
