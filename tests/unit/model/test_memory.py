"""A photograph of 24 megapixels is deblurred on an ordinary machine."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = """
import re
from pathlib import Path

import numpy as np

from gkm.config import ModelConfig
from gkm.evaluation import restore_image
from gkm.model.gkmnet import GKMNet

photo = np.random.default_rng(0).integers(0, 256, ({height}, {width}, 3), dtype=np.uint8)
restored = restore_image(GKMNet(ModelConfig()), photo)
assert restored.shape == photo.shape
print("peak", re.search(r"VmHWM:\\s+(\\d+) kB", Path("/proc/self/status").read_text())[1])
"""


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="the peak is read from Linux's /proc")
def test_24_megapixels_within_6_gb():
    """Minutes on two free cores. The subprocess's own peak: that of a test process may be another test's."""
    program = PROGRAM.format(height=4000, width=6000)
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    peak_gb = int(re.search(r"peak (\d+)", done.stdout)[1]) * 1024 / 1e9
    assert peak_gb < 6
