"""Settings of an EC2 node, or a policy, in; what Amazon would refuse, and what is more than is needed, out.

Checked against botocore's description of Amazon's interfaces, which is part of the package; no call is made.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from fnmatch import fnmatchcase
from functools import cache
from typing import Any

MACHINES = {
    "m5.xlarge": (4, 0),
    "m5.2xlarge": (8, 0),
    "c6i.4xlarge": (16, 0),
    "g5.xlarge": (4, 1),
    "g5.12xlarge": (48, 4),
}
"""Instance type -> virtual cores and GPUs, from Amazon's list of instance types."""

NOT_CALLS = {"iam:PassRole", "s3:ListBucket", "s3:ListBucketMultipartUploads", "s3:ListMultipartUploadParts"}
"""Permissions that are named unlike the calls that need them."""
NEEDS_ALL = re.compile(r"ec2:Describe\w+")
"""Calls that Amazon offers for all resources of a region or for none."""


@cache
def _service(name: str) -> Any:
    import botocore.session

    return botocore.session.get_session().get_service_model(name)


def node_problems(config: Mapping[str, Any], resources: Mapping[str, Any], head: bool) -> list[str]:
    """Problems of one node type of a launcher file: its `node_config` as an argument of EC2's RunInstances."""
    from botocore.validate import ParamValidator

    shape = _service("ec2").operation_model("RunInstances").input_shape
    report = ParamValidator().validate({**config, "MinCount": 1, "MaxCount": 1}, shape)
    found = [line for line in report.generate_report().splitlines() if line]
    if found:
        return found
    found += _not_among(config, shape, "")
    cores, gpus = MACHINES.get(str(config.get("InstanceType")), (None, None))
    if cores is None:
        found.append(f"InstanceType: {config.get('InstanceType')} is not in cluster/checks/amazon.py; add it there")
    elif not head and (resources.get("CPU"), resources.get("GPU", 0)) != (cores, gpus):
        found.append(f"resources: {config['InstanceType']} has {cores} CPU and {gpus} GPU")
    if "Name" not in config.get("IamInstanceProfile", {}):
        found.append("IamInstanceProfile.Name: is missing; nodes have roles, not keys")
    if config.get("MetadataOptions", {}).get("HttpTokens") != "required":
        found.append("MetadataOptions.HttpTokens: must be required, or any program on the node gets its role")
    disks = [disk.get("Ebs", {}) for disk in config.get("BlockDeviceMappings", [])]
    if not disks or not all(disk.get("Encrypted") and disk.get("DeleteOnTermination") for disk in disks):
        found.append("BlockDeviceMappings: a disk, encrypted and deleted with its node, must be named")
    if any(disk.get("VolumeSize", 0) < 100 for disk in disks):
        found.append("BlockDeviceMappings: less than 100 GB; the image, packages and decoded photographs need them")
    if head and "InstanceMarketOptions" in config:
        found.append("InstanceMarketOptions: the head holds the driver and may not be taken away")
    return found


def is_spot(config: Mapping[str, Any]) -> bool:
    """Whether such a node may be taken away by Amazon."""
    return bool(config.get("InstanceMarketOptions", {}).get("MarketType") == "spot")


def _not_among(value: Any, shape: Any, path: str) -> list[str]:
    """Strings that are none of those that Amazon lists for their place."""
    if shape.type_name == "structure":
        parts = [(name, shape.members[name], content) for name, content in value.items()]
        return [problem for name, member, content in parts for problem in _not_among(content, member, f"{path}.{name}")]
    if shape.type_name == "list":
        return [problem for item in value for problem in _not_among(item, shape.member, path)]
    if shape.type_name == "string" and shape.enum and value not in shape.enum:
        return [f"{path.lstrip('.')}: {value} is none of those that Amazon knows"]
    return []


FRAME = ("Version", "Statement")


def policy_problems(text: str, bucket: bool = False) -> list[str]:
    """Problems of a policy file: of a role, or, with `bucket`, of a bucket."""
    policy = json.loads(text)
    if not isinstance(policy, dict) or set(policy) != set(FRAME):
        return ["must have Version and Statement, and nothing else"]
    if policy["Version"] != "2012-10-17":
        return [f"Version: {policy['Version']} is none that knows conditions; use 2012-10-17"]
    if not isinstance(policy["Statement"], list) or not policy["Statement"]:
        return ["Statement: must be a list with something in it"]
    found = [
        f"{statement.get('Sid', number)}: {problem}"
        for number, statement in enumerate(policy["Statement"])
        for problem in _statement_problems(statement, bucket)
    ]
    if bucket and not any(_denies_plain_http(statement) for statement in policy["Statement"]):
        found.append("does not refuse requests without TLS (Deny where aws:SecureTransport is false)")
    return found


def trust_problems(text: str) -> list[str]:
    """Problems of the file that says who may take a role: EC2's machines, and nobody else."""
    try:
        policy = json.loads(text)
        (statement,) = policy["Statement"]
    except (ValueError, KeyError, TypeError) as error:
        return [f"is no policy of one statement: {error}"]
    wanted = {"Effect": "Allow", "Principal": {"Service": "ec2.amazonaws.com"}, "Action": "sts:AssumeRole"}
    found = [f"{name}: must be {json.dumps(value)}" for name, value in wanted.items() if statement.get(name) != value]
    found += [f"{name}: is not for here" for name in [*policy, *statement] if name not in {*wanted, *FRAME}]
    if policy.get("Version") != "2012-10-17":
        found.append("Version: must be 2012-10-17")
    return found


def _statement_problems(statement: Mapping[str, Any], bucket: bool) -> list[str]:
    allowed = {"Sid", "Effect", "Action", "Resource", "Condition"} | ({"Principal"} if bucket else set())
    found = [f"{name}: is not for here" for name in statement if name not in allowed]
    found += [f"{name}: is missing" for name in sorted(allowed - {"Condition"} - set(statement))]
    if statement.get("Effect") not in ("Allow", "Deny"):
        found.append(f"Effect: {statement.get('Effect')} is neither Allow nor Deny")
    actions, resources = _listed(statement.get("Action")), _listed(statement.get("Resource"))
    found += [f"Resource: {resource} is no arn:" for resource in resources if not re.match(r"arn:aws:|\*$", resource)]
    if statement.get("Effect") != "Allow":
        return found
    found += [f"Action: {action} is more than is needed; name the calls" for action in actions if "*" in action]
    found += [f"Action: Amazon has no {action}" for action in actions if "*" not in action and not _exists(action)]
    if "*" in resources and not all(NEEDS_ALL.fullmatch(action) for action in actions):
        found.append("Resource: * is more than is needed; name what may be used")
    if "iam:PassRole" in actions and not all(fnmatchcase(name, "arn:aws:iam::*:role/gkm-*") for name in resources):
        found.append("iam:PassRole: is for the roles of this project alone")
    if {"ec2:TerminateInstances", "ec2:CreateTags"} & set(actions) and "Condition" not in statement:
        found.append("Condition: is missing; machines of others could be ended or renamed")
    if bucket:
        found.append("Effect: Allow; a bucket's policy refuses, and the roles of its account are allowed by their own")
    return found


def _listed(value: Any) -> list[str]:
    return [value] if isinstance(value, str) else list(value or [])


def _exists(action: str) -> bool:
    service, _, call = action.partition(":")
    if action in NOT_CALLS:
        return True
    return service in ("ec2", "s3", "ssm", "iam") and call in _service(service).operation_names


def _denies_plain_http(statement: Mapping[str, Any]) -> bool:
    insecure = statement.get("Condition", {}).get("Bool", {}).get("aws:SecureTransport")
    return statement.get("Effect") == "Deny" and str(insecure).lower() == "false" and statement.get("Principal") == "*"
