"""Every setting of this machine makes the same containers, and decodes them (machines.py)."""

from collections import ChainMap
from dataclasses import replace

import pytest

from tests.machines import ALL, FEW, Setting, differing, digest, digest_under, settings

QUICK = [
    "threads: 8",
    "memory is never zero",
    "compiled for any processor",
    "NumPy for any processor",
    "torch, denormals are flushed",
]


def test_containers_are_the_same_under_settings() -> None:
    """All at once: should they differ, `python -m tests.machines --matrix` tells under which."""
    quick = [setting for setting in settings() if setting.name in QUICK]
    environment = ChainMap(*(dict(setting.environment) for setting in quick))
    first = "\n".join(setting.first for setting in quick)
    assert digest_under(Setting("quick", environment, first)) == digest(ALL)


def test_containers_are_the_same_without_compiling() -> None:
    (setting,) = (one for one in settings() if one.name == "not compiled")
    assert digest_under(replace(setting, containers=FEW)) == digest(FEW)


def test_a_digest_is_of_the_bytes_of_every_container() -> None:
    assert len({digest((name,)) for name in ALL}) == len(ALL)
    assert digest(FEW) != digest(FEW[:-1])


def test_a_setting_that_fails_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    one = ("example",)
    broken = Setting("broken", first="raise SystemExit('no such machine')", containers=one)
    other = Setting("other", first="import sys; sys.argv[1:] = ['one-bit']", containers=one)
    assert differing([Setting("as it is", containers=one), broken, other]) == ["broken", "other"]
    _, _, equal, failed, unequal = capsys.readouterr().out.splitlines()
    assert equal.startswith("| as it is | equal |")
    assert failed.startswith("| broken | no such machine |")
    assert unequal.startswith(f"| other | {digest(('one-bit',))} |")


@pytest.mark.slow
def test_containers_are_the_same_under_every_setting() -> None:
    assert not differing(settings())
