"""The same experiment on this machine, on a Ray cluster of two machines and through Slurm's door: the same results."""

import os
import threading
import time

import pytest
from conftest import items, rows

ASKED = {"source": "f/d0,f/d1", "target": "f/t0,f/t1", "seeds": "0,1", "jobs": None}


@pytest.fixture
def cluster():
    """Two machines of Ray, simulated on this one; skips where Ray is not installed."""
    pytest.importorskip("ray")
    os.environ["RAY_AUTH_MODE"] = "disabled"
    from ray.cluster_utils import Cluster

    found = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False})
    found.add_node(num_cpus=1)
    found.add_node(num_cpus=1)
    yield found
    import ray

    ray.shutdown()
    found.shutdown()


@pytest.fixture
def peace(light, tmp_path):
    light(tmp_path / "peace", **ASKED)
    return tmp_path / "peace"


def test_slurm_by_submitit_gives_the_same(light, tmp_path, feather, monkeypatch):
    """Each step is a process `xferbench step`, as in a job of Slurm."""
    pytest.importorskip("submitit")
    monkeypatch.setenv("PYTHONPATH", str(feather.folder))
    monkeypatch.setenv("RANK", "1")  # as a scheduler's step may say
    monkeypatch.setenv("WORLD_SIZE", "2")
    asked = {"source": "f/d0", "target": "f/t1", "seeds": "0", "conditions": "transfer,sequential"}
    light(tmp_path / "quiet", **asked)
    results = light(tmp_path / "runs", **asked, executor="slurm:cluster=local,array=2,lag=1,look=0.2", jobs=2)
    assert not results.not_done
    assert rows(tmp_path / "runs") == rows(tmp_path / "quiet")
    assert items(tmp_path / "runs") == items(tmp_path / "quiet")
    assert list((tmp_path / "runs" / "slurm").glob("*.out"))


def test_ray_gives_the_same_although_a_machine_is_lost(light, peace, tmp_path, feather, cluster, monkeypatch):
    """Both machines do steps; the one that is lost amid them takes nothing with it."""
    monkeypatch.setenv("PYTHONPATH", str(feather.folder))
    monkeypatch.setenv("FEATHER_SECONDS", "0.3")
    lost = []

    def lose():
        while len(list((tmp_path / "runs").glob("steps/*/result.json"))) < 6:
            time.sleep(0.1)
        node = cluster.list_all_nodes()[-1]
        lost.append(node.node_id)
        cluster.remove_node(node, allow_graceful=False)

    thread = threading.Thread(target=lose, daemon=True)
    thread.start()
    results = light(tmp_path / "runs", **ASKED, executor=f"ray:address={cluster.address},lag=1")
    thread.join(60)
    assert lost
    assert not results.not_done
    assert rows(tmp_path / "runs") == rows(peace)
    assert items(tmp_path / "runs") == items(peace)
