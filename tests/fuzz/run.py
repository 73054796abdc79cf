"""Tries mutations for as long as there is time.

    python -m tests.fuzz.run random forged --seconds 600
    python -m tests.fuzz.run guided container --seconds 600

`random` draws them, each from a seed and its number, and says how many were tried and what came of
them. `guided` lets atheris (pip install '.[fuzz]') look for those that reach new code. A file that
fails is kept in build/fuzz, and the exit code is not 0. `keep` adds to the corpus, which the tests
try too, those of the files that `guided` left that reach lines that none before did.

With `--bounds`, compiled code checks the bounds of arrays, which it does not otherwise; this takes
three times as long.
"""

import argparse
import multiprocessing
import os
import resource
import sys
import time
import traceback
import zlib
from collections import Counter
from pathlib import Path
from random import Random
from types import FrameType
from typing import Any

FOLDER = Path(__file__).parents[2] / "build" / "fuzz"

MEMORY = 5 << 29
"""What a mutation may take beside the program: an embedded model that unpacks to MAX_MODEL_BYTES
takes most, eight times as much."""

HANG_SECONDS = 60


def try_mutations(target: str, seed: int, seconds: float, number: Any) -> None:
    """Tries mutations from `number` on, which is always the one that is being tried."""
    from tests.fuzz.mutations import good_files, mutation
    from tests.fuzz.targets import TARGETS

    check, outcomes = TARGETS[target], Counter[str]()
    for data in good_files(target):
        check(data)  # all code is compiled, and all tables made, before memory is limited
    limit_memory()
    end = shown = time.monotonic()
    end += seconds
    while (now := time.monotonic()) < end:
        data = mutation(Random(f"{seed}/{number.value}"), target)
        try:
            outcomes[check(data)] += 1
        except BaseException:
            (FOLDER / f"{target}-{seed}-{number.value}").write_bytes(data)
            traceback.print_exc()
            os._exit(1)
        number.value += 1
        if now - shown > 60:
            shown = now
            report(target, seed, outcomes)
    report(target, seed, outcomes)


def limit_memory() -> None:
    """Makes allocations fail beyond MEMORY more than there is."""
    with open("/proc/self/statm") as file:
        used = int(file.read().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + MEMORY, resource.RLIM_INFINITY))


def report(target: str, seed: int, outcomes: Counter[str]) -> None:
    found = ", ".join(f"{count} {outcome}" for outcome, count in sorted(outcomes.items()))
    tried = sum(outcomes.values()) / 1e6
    print(f"{target}, seed {seed}: {tried:.3f} million mutations: {found}", flush=True)


def run_random(target: str, seed: int, seconds: float, first: int) -> int:
    """Tries mutations in a process of its own, which may crash or hang; 0 if none failed."""
    context = multiprocessing.get_context("spawn")
    number = context.Value("l", first)
    worker = context.Process(target=try_mutations, args=(target, seed, seconds, number))
    worker.start()
    last, since = -1, time.monotonic()
    while worker.exitcode is None:
        worker.join(1)
        if number.value != last:
            last, since = number.value, time.monotonic()
        elif time.monotonic() - since > HANG_SECONDS + 120 * (last == first):  # it compiles first
            print(f"{target}, seed {seed}: mutation {last} hangs")
            worker.kill()
    if worker.exitcode:
        print(f"{target}, seed {seed}: mutation {number.value} failed, exit {worker.exitcode}")
    return int(worker.exitcode != 0)


def run_guided(target: str, seconds: float) -> int:
    """Lets atheris look for mutations; 0 if none failed."""
    import atheris

    # Numba cannot compile functions that are instrumented.
    package = Path(__file__).parents[2] / "nncodec"
    compilation = "nncodec.model.kernels.compilation"
    modules = {
        ".".join(path.relative_to(package.parent).with_suffix("").parts): path.read_text(
            encoding="utf-8"
        )
        for path in package.rglob("*.py")
    }
    compiled = [name for name, text in modules.items() if compilation in text]
    exclude = [compilation, *compiled]
    with atheris.instrument_imports(include=["nncodec"], exclude=exclude):
        from tests.fuzz.mutations import good_files, one_change
        from tests.fuzz.targets import TARGETS

    found = FOLDER / target
    found.mkdir(parents=True, exist_ok=True)
    for index, data in enumerate(good_files(target)):
        (found / f"good-{index}").write_bytes(data)
        TARGETS[target](data)
    options = [f"-max_total_time={seconds:.0f}", f"-artifact_prefix={FOLDER}/{target}-"]
    options += ["-print_final_stats=1", str(found)]

    def mutate(data: bytes, size: int, seed: int) -> bytes:
        random = Random(seed)
        if random.random() < 0.5:
            data = atheris.Mutate(data, len(data))
        return one_change(random, target, data)[:size]

    def check(data: bytes) -> None:
        TARGETS[target](data)

    limits = ["-max_len=8192", f"-timeout={HANG_SECONDS}", f"-rss_limit_mb={MEMORY >> 19}"]
    atheris.Setup([sys.argv[0], *limits, *options], check, custom_mutator=mutate)
    atheris.Fuzz()  # which ends the process
    return 0


def keep(target: str) -> None:
    """Adds found files to the corpus, small ones first, as far as they reach more lines."""
    from tests.fuzz import CORPUS
    from tests.fuzz.mutations import good_files
    from tests.fuzz.targets import TARGETS

    reached: set[tuple[str, int]] = set()

    def trace(frame: FrameType, event: str, _: object) -> Any:
        if "/nncodec/" not in frame.f_code.co_filename:
            return None
        reached.add((frame.f_code.co_filename, frame.f_lineno))
        return trace

    (CORPUS / target).mkdir(parents=True, exist_ok=True)
    found = sorted((path.read_bytes() for path in (FOLDER / target).iterdir()), key=len)
    for data in (*good_files(target), *found):
        before = len(reached)
        sys.settrace(trace)
        TARGETS[target](data)
        sys.settrace(None)
        if len(reached) > before and data not in good_files(target):
            name = f"{zlib.crc32(data):08x}"
            (CORPUS / target / name).write_bytes(data)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz.run", description=__doc__)
    parser.add_argument("how", choices=["random", "guided", "keep"])
    parser.add_argument("target", choices=["container", "forged", "model", "codes"])
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--seed", type=int, default=0, help="of random mutations")
    parser.add_argument("--first", type=int, default=0, help="number of the first mutation")
    parser.add_argument("--bounds", action="store_true", help="check the bounds of arrays")
    options = parser.parse_args()
    FOLDER.mkdir(parents=True, exist_ok=True)
    if options.bounds:  # before Numba is imported, whose cache does not tell one from the other
        os.environ["NUMBA_BOUNDSCHECK"] = "1"
        os.environ["NUMBA_CACHE_DIR"] = str(FOLDER / "compiled")
    if options.how == "random":
        return run_random(options.target, options.seed, options.seconds, options.first)
    if options.how == "guided":
        return run_guided(options.target, options.seconds)
    keep(options.target)
    return 0


if __name__ == "__main__":
    sys.exit(main())
