"""The Ray launcher file: accepted by Ray's own validation, and what it must say for safety and cost."""

import copy
import re
import tomllib
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[3]
LAUNCHER = ROOT / "cluster" / "aws-g5-spot.yaml"


def validated(config):
    """The configuration as Ray's launcher completes it; raises where Ray would."""
    from ray.autoscaler._private.util import prepare_config, validate_config

    prepared = prepare_config(copy.deepcopy(config))
    validate_config(prepared)
    return prepared


@pytest.fixture
def config():
    return yaml.safe_load(LAUNCHER.read_text())


@pytest.fixture
def nodes(config):
    return config["available_node_types"]


def pinned(package):
    return re.search(rf"^{package}==(\S+)$", (ROOT / "constraints.txt").read_text(), re.MULTILINE)[1]


def test_ray_accepts_it(config):
    assert validated(config)["max_workers"] == 8


def test_ray_would_refuse_mistakes(config):
    config["max_worker"] = 8
    with pytest.raises(Exception, match="max_worker"):
        validated(config)


def test_workers_are_spot_gpus_that_come_and_go(config, nodes):
    worker = nodes["gpu-spot"]
    assert worker["node_config"]["InstanceMarketOptions"] == {"MarketType": "spot"}
    assert worker["resources"]["GPU"] == 1
    assert worker["min_workers"] == 0 < worker["max_workers"] <= config["max_workers"]
    assert 0 < config["idle_timeout_minutes"] <= 15
    assert config["provider"]["cache_stopped_nodes"] is False


def test_head_is_not_spot_and_runs_no_trials(config, nodes):
    head = nodes[config["head_node_type"]]
    assert "InstanceMarketOptions" not in head["node_config"]
    assert head["resources"] == {"CPU": 0}


def test_resources_are_integers(nodes):
    amounts = [amount for node in nodes.values() for amount in node["resources"].values()]
    assert all(type(amount) is int for amount in amounts)


def test_nodes_have_roles_and_no_keys(nodes):
    assert all("Name" in node["node_config"]["IamInstanceProfile"] for node in nodes.values())
    assert not re.search(r"aws_(secret_)?access_key|AKIA[0-9A-Z]{16}", LAUNCHER.read_text(), re.IGNORECASE)
    assert all(node["node_config"]["MetadataOptions"]["HttpTokens"] == "required" for node in nodes.values())
    assert all(
        disk["Ebs"]["Encrypted"] for node in nodes.values() for disk in node["node_config"]["BlockDeviceMappings"]
    )


def test_ray_asks_for_the_token_and_shows_no_dashboard_outside(config):
    head = " ".join(config["head_start_ray_commands"])
    worker = " ".join(config["worker_start_ray_commands"])
    assert "RAY_AUTH_MODE=token ray start --head" in head
    assert "RAY_AUTH_MODE=token ray start --address" in worker
    assert "--dashboard-host=127.0.0.1" in head
    assert config["file_mounts"]["/home/ray/.ray"] == "~/.ray"


def test_images_have_the_pinned_ray_and_our_python(config):
    requires = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["requires-python"]
    assert requires == ">=3.11,<3.13"
    for image in (config["docker"]["head_image"], config["docker"]["worker_image"]):
        assert image.startswith(f"rayproject/ray:{pinned('ray')}-py311-")


def test_packages_come_pinned_and_from_the_mounted_checkout(config):
    (checkout,) = (remote for remote, local in config["file_mounts"].items() if local == ".")
    installs = [command for command in config["setup_commands"] if "pip install" in command]
    assert installs
    assert all(f"-c {checkout}/constraints.txt" in command for command in installs)
    assert {".git", ".venv", "runs"} <= set(config["rsync_exclude"])
