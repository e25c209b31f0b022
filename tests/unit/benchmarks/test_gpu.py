"""The benchmarks for GPUs, and for trials in groups, run from end to end: on a processor, with tiny sizes."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch

ROOT = Path(__file__).resolve().parents[3]


def printed(name, *options, status=0):
    """What a benchmark prints on either stream."""
    command = [sys.executable, str(ROOT / "benchmarks" / name), *options]
    ended = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=False)
    assert ended.returncode == status, ended.stderr
    return ended.stdout + ended.stderr


@pytest.mark.slow
def test_the_operator_beside_its_peer_and_its_roofline():
    lines = printed("gpu.py", "--device", "cpu", "--quick", "--only", "operator")
    assert len(re.findall(r"(forwards|backwards) +\d+\.\d+ ms  roofline \d+\.\d+ ms", lines)) == 8
    assert "failed" not in lines


@pytest.mark.slow
def test_restoring_and_trials():
    lines = printed("gpu.py", "--device", "cpu", "--quick", "--only", "restoring", "--only", "trials")
    assert len(re.findall(r"ours, \w+, eager +\d+\.\d+ images/s +\d+% of peak +ours / naive \d+\.\d+", lines)) == 2
    assert len(re.findall(r"[12] (as processes|fused) +\d+\.\d+ steps/s", lines)) == 4
    assert "failed" not in lines


@pytest.mark.slow
def test_trials_alone_and_together_have_the_same_curves():
    lines = printed("fused_trials.py", "--quick", "--crop-pixels", "32")
    assert re.search(r"alone +\d+\.\d+ steps a second", lines)
    (distance,) = re.findall(r"the curves are (\S+) apart", lines)
    assert float(distance) < 1e-3


@pytest.mark.slow
@pytest.mark.skipif(torch.cuda.is_available(), reason="there is one")
def test_without_a_gpu_it_says_what_to_do():
    assert "give --device cpu --quick" in printed("gpu.py", "--device", "cuda", status=2)
