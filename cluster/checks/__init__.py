"""A file of cluster/ in, what is wrong with it in sentences out: `python -m cluster.checks`, or `make check-cluster`.

Nothing is started and no network is used: launcher files are held against Ray's own validation and Amazon's
description of its interface (botocore), Kubernetes files against the published schemas (kubernetes.json, kuberay.py),
and all of them against this project's rules for cost and safety.
"""
