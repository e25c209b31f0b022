"""What Ray's own autoscaler would start for the work of studies, with the node types of the launcher files."""

from pathlib import Path

import pytest
import yaml

CLUSTER = Path(__file__).resolve().parents[3] / "cluster"
TRIAL = {"CPU": 4, "GPU": 1}


def started(name, demands, failed=()):
    """Node type -> how many version 2 of the autoscaler starts for `demands`, after those in `failed` did not come."""
    from ray.autoscaler.v2.instance_manager.config import AutoscalingConfig
    from ray.autoscaler.v2.scheduler import ResourceDemandScheduler, SchedulingRequest
    from ray.autoscaler.v2.utils import ResourceRequestUtil

    text = yaml.safe_load((CLUSTER / name).read_text())
    config = AutoscalingConfig(text, skip_content_hash=True)
    requests = ResourceRequestUtil.group_by_count([ResourceRequestUtil.make(demand) for demand in demands])
    reply = ResourceDemandScheduler().schedule(
        SchedulingRequest(
            disable_launch_config_check=True,
            node_type_configs=config.get_node_type_configs(),
            max_num_nodes=config.get_max_num_nodes(),
            resource_requests=requests,
            recoverable_resource_availabilities=dict.fromkeys(failed, 0.0),
        )
    )
    return {launch.instance_type: launch.count for launch in reply.to_launch if launch.instance_type != "head"}


@pytest.mark.parametrize("name", ["aws-g5-spot.yaml", "gcp-l4-spot.yaml"])
def test_trials_go_to_spot_nodes_and_what_is_left_to_nodes_on_demand(name):
    assert started(name, [TRIAL] * 3) == {"gpu-spot": 3}
    assert started(name, [TRIAL] * 10) == {"gpu-spot": 8, "gpu-on-demand": 2}
    assert started(name, [TRIAL] * 100) == {"gpu-spot": 8, "gpu-on-demand": 2}


def test_a_kind_of_node_that_did_not_come_stands_behind():
    assert started("aws-g5-spot.yaml", [TRIAL] * 3, failed=["gpu-spot"]) == {"gpu-on-demand": 2, "gpu-spot": 1}


def test_preparation_of_data_starts_no_gpu_node():
    assert started("aws-g5-spot.yaml", [{"CPU": 1}] * 20) == {"cpu-spot": 2}


def test_the_workers_of_a_trial_share_a_large_node():
    assert started("aws-g5-12xlarge-spot.yaml", [{"CPU": 12, "GPU": 1}] * 4) == {"gpu-spot": 1}


def test_the_role_of_the_head_may_start_the_machines_of_the_launcher_files():
    import json

    policy = json.loads((CLUSTER / "iam/head.json").read_text())
    (types,) = [
        set(statement["Condition"]["StringEquals"]["ec2:InstanceType"])
        for statement in policy["Statement"]
        if "ec2:InstanceType" in statement.get("Condition", {}).get("StringEquals", {})
    ]
    launchers = [yaml.safe_load((CLUSTER / name).read_text()) for name in CLUSTER.glob("aws-*.yaml")]
    wanted = {
        node["node_config"]["InstanceType"]
        for launcher in launchers
        for name, node in launcher["available_node_types"].items()
        if name != launcher["head_node_type"]
    }
    assert types == wanted
    (clusters,) = [
        set(statement["Condition"]["StringEquals"]["ec2:ResourceTag/ray-cluster-name"])
        for statement in policy["Statement"]
        if "ec2:ResourceTag/ray-cluster-name" in statement.get("Condition", {}).get("StringEquals", {})
    ]
    assert clusters == {launcher["cluster_name"] for launcher in launchers}
