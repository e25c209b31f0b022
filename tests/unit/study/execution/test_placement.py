"""How many trials a cluster holds, also one that has no nodes yet."""

import pytest

from gkm.errors import InputError
from gkm.study.execution import placement
from gkm.study.execution.placement import local_cpus, needs, slots
from gkm.study.execution.workers import WorkerGroup


@pytest.fixture
def cluster(monkeypatch):
    """A cluster with some resources now, and others when its autoscaler has started all that it may."""

    def make(now, most=None):
        from ray._private import state

        monkeypatch.setattr(placement.ray, "cluster_resources", lambda: now)
        monkeypatch.setattr(state.state, "get_max_resources_from_cluster_config", lambda: most)

    return make


def test_as_many_trials_as_fit(cluster):
    cluster({"CPU": 8.0, "GPU": 2.0})
    assert slots(WorkerGroup(gpus=1.0)) == 2
    assert slots(WorkerGroup(gpus=0.5)) == 4
    assert slots(WorkerGroup(), wanted=3) == 3
    assert slots(WorkerGroup(gpus=1.0), wanted=9) == 2


def test_a_cluster_that_starts_without_gpu_nodes_counts_those_it_may_start(cluster):
    cluster({"CPU": 4.0}, {"CPU": 68, "GPU": 8})
    assert slots(WorkerGroup(workers=4, gpus=1.0)) == 2
    assert slots(WorkerGroup(gpus=1.0)) == 8


def test_a_cluster_whose_autoscaler_tells_no_limits_announces_them_by_resources_of_its_head(cluster):
    cluster({"gkm_most_CPU": 72.0, "gkm_most_GPU": 10.0})
    assert slots(WorkerGroup(cpus=4.0, gpus=1.0)) == 10
    with pytest.raises(InputError, match="at most 72 CPU, 10 GPU"):
        slots(WorkerGroup(workers=11, gpus=1.0))


def test_what_a_cluster_can_never_hold_is_refused_by_name(cluster):
    cluster({"CPU": 4.0}, {"CPU": 68, "GPU": 8})
    with pytest.raises(InputError, match=r"a trial of 16 workers needs 16\.01 CPU, 16 GPU, .* at most 68 CPU, 8 GPU"):
        slots(WorkerGroup(workers=16, gpus=1.0))


def test_a_group_needs_its_workers_and_a_little_for_the_trial_itself():
    assert needs(WorkerGroup()) == {"CPU": 1.0}
    assert needs(WorkerGroup(workers=2, gpus=1.0)) == {"CPU": 2.01, "GPU": 2.0}


@pytest.mark.parametrize(
    ("cores", "workers", "trials"), [(2, 2, 1), (3, 2, 1), (4, 2, 2), (7, 4, 1), (8, 4, 2), (2, 1, 2)]
)
def test_on_this_machine_workers_have_all_cores(cluster, monkeypatch, cores, workers, trials):
    monkeypatch.setattr(placement.os, "sched_getaffinity", lambda process: set(range(cores)))
    group = WorkerGroup(workers=workers)
    cluster({"CPU": float(local_cpus(group))})
    assert slots(group) == trials


def test_trials_that_share_a_gpu_need_a_part_of_it_each(cluster):
    shared = WorkerGroup(gpus=1.0, trials_per_gpu=3)
    assert needs(shared) == {"CPU": 1.0, "GPU": pytest.approx(1 / 3)}
    assert shared.tune_resources() == needs(shared)
    cluster({"CPU": 16.0, "GPU": 2.0})
    assert slots(shared) == 6
    cluster({"CPU": 4.0, "GPU": 2.0})
    assert slots(shared) == 4
