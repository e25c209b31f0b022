"""The paper's tables by one command, on photographs in DPD's layout: all rows with a network here, twice the same."""

import csv
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from scipy.ndimage import gaussian_filter

from gkm.config import AttNetConfig, DMENetConfig, DPDNetConfig, ModelConfig, NetworkConfig, NRKNetConfig, SRNConfig
from gkm.data.preparation.preparation import prepare
from gkm.data.preparation.sources import open_source
from gkm.networks import build
from gkm.training.checkpoint import save_weights
from pipelines.evaluate import main


def _gkmnet(**changes: object) -> ModelConfig:
    return ModelConfig.model_validate({"max_kernel_size": 5, "num_kernels": 3, "num_scales": 2, "width": 2} | changes)


NETWORKS: dict[str, NetworkConfig] = {
    "gkmnet": _gkmnet(),
    "sram": _gkmnet(output="sigmoid_image"),
    "gkmnet-1": _gkmnet(num_scales=1),
    "no-lstm": _gkmnet(recurrent="conv"),
    "gcm-random": _gkmnet(gcm="learned_random"),
    "gcm-gkm": _gkmnet(gcm="learned_gaussian"),
    "s1r3": _gkmnet(num_scales=1, iterations_per_scale=3, share_iterations=True),
    "s2r3": _gkmnet(iterations_per_scale=3),
    "s3r2": _gkmnet(num_scales=3, iterations_per_scale=2),
    "nrknet": NRKNetConfig(width=2, num_kernels=2, num_scales=2),
    "dpdnet-s": DPDNetConfig(width=2, depth=3),
    "dpdnet-d": DPDNetConfig(width=2, depth=3, views="dual"),
    "srn": SRNConfig(width=2, blocks=1),
    "attnet": AttNetConfig(width=2, blocks=1),
    "dmenet": DMENetConfig(width=2, refinements=1),
}
ROWS = {
    "1": {"GKMNet", "NRKNet", "DPDNet-S", "DPDNet-D", "SRN", "AttNet", "DMENet", "blurred input"},
    "2": {"GKMNet", "DPDNet-D", "SRN", "AttNet", "blurred input"},
    "3": set(),
    "4": {"SRAM*", "GKMNet(1)", "w/o Conv-LSTM", "Learned GCM (Rand)", "Learned GCM (GKM)", "GKMNet", "blurred input"},
    "5": {"S = 1, R = 3", "S = 2, R = 3", "S = 3, R = 2", "S = 3, R = 1", "blurred input"},
}
"""Table -> what is measured for it."""
TIMES = ("cpu_seconds", "gpu_seconds")


@pytest.fixture(scope="module")
def dpd(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data set of two test photographs with views, prepared from a folder in DPD's layout."""
    folder, generator = tmp_path_factory.mktemp("dpd"), np.random.default_rng(5)
    for number in range(2):
        sharp = generator.integers(0, 256, (16, 20, 3), dtype=np.uint8).repeat(4, axis=0).repeat(4, axis=1)
        blurred = gaussian_filter(sharp, (1.5, 1.5, 0))
        photos = {
            f"test_c/source/IMG_{number}": blurred,
            f"test_c/target/IMG_{number}": sharp,
            f"test_l/source/IMG_{number}_L": np.roll(blurred, -1, 1),
            f"test_r/source/IMG_{number}_R": np.roll(blurred, 1, 1),
        }
        for name, photo in photos.items():
            path = folder / "photographs" / f"{name}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(photo).save(path)
    prepare(open_source(folder / "photographs", views=True), folder / "data")
    return folder / "data"


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Arguments that name a network for each row, untrained."""
    folder, arguments = tmp_path_factory.mktemp("networks"), []
    for seed, (row, config) in enumerate(NETWORKS.items()):
        torch.manual_seed(seed)
        arguments += ["--model", f"{row}={save_weights(build(config), folder / row)}"]
    return arguments


def _lines(table: Path) -> list[dict[str, str]]:
    return list(csv.DictReader(table.read_text(encoding="utf-8").splitlines()))


@pytest.mark.slow
def test_every_row_is_measured_beside_the_published_one_and_twice_the_same(
    invoke, workspace: Path, dpd: Path, models: list[str]
) -> None:
    results = [invoke(main, "--tables", "--data", f"dpd={dpd}", *models, "--name", name) for name in ("one", "two")]
    assert [result.exit_code for result in results] == [0, 0], results[0].stderr
    one, two = (_lines(workspace / "evaluations" / name / "tables.csv") for name in ("one", "two"))
    for number, rows in ROWS.items():
        of_table = [line for line in one if line["table"].startswith(f"Table {number}:")]
        assert {line["model"] for line in of_table if line["origin"] == "measured"} == rows
        published = {line["model"] for line in of_table if line["origin"] == "published"}
        assert rows - {"blurred input"} <= published
    noisy = [line for line in one if line["table"].startswith("Table 2:") and line["model"] == "DPDNet-D"]
    assert [line["noise_sigma_8bit"] for line in noisy if line["origin"] == "measured"] == ["1.0", "3.0", "5.0"]
    assert all(line["photographs"] == "2" for line in one if line["origin"] == "measured")
    assert [line | dict.fromkeys(TIMES) for line in one] == [line | dict.fromkeys(TIMES) for line in two]
    page = (workspace / "evaluations" / "one" / "report.html").read_text(encoding="utf-8")
    assert "The two panels do not compare in PSNR." in page
