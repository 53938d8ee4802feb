"""Runs steps as jobs of Slurm, by submitit: arrays of `xferbench step`, which a site may requeue as it likes."""

from dataclasses import dataclass
from typing import Any, ClassVar

from xferbench import UsageError, hookimpl


@dataclass(frozen=True)
class Slurm:
    """Jobs of Slurm on machines that share a file system; scripts and what they print lie in DIR/slurm."""

    name: ClassVar[str] = "slurm"
    remote: ClassVar[bool] = True
    partition: str = ""
    account: str = ""
    time: int = 240
    """Minutes a job, which may be several evaluations of one checkpoint."""
    cpus: int = 4
    gpus: int = 0
    memory: float = 0.0
    """GB a job; 0: the site's default."""
    jobs: int = 500
    """Jobs in the queue at a time."""
    throttle: int = 0
    """Jobs of one array that run at a time; 0: as many as the site lets."""
    array: int = 1000
    """The largest array that the site takes (its MaxArraySize)."""
    requeue: bool = True
    """Let Slurm begin a job again that was preempted; what it had done is not done again."""
    options: tuple[str, ...] = ()
    """Further options of sbatch, joined by |: qos=low|constraint=a100."""
    lag: float = 30.0
    """Seconds that the shared file system may take to show a result."""
    look: float = 5.0
    """Seconds between looks into the queue."""
    cluster: str = "slurm"
    """local: submitit's own processes on this machine, to try a matrix without Slurm."""

    def pool(self, jobs: int) -> Any:
        """Return what submits the jobs; UsageError when there is no Slurm here."""
        try:
            import submitit
        except ImportError:
            raise UsageError("executor slurm needs submitit: pip install 'xferbench[slurm]'") from None
        if self.cluster not in ("slurm", "local"):
            raise UsageError(f"executor slurm: cluster is slurm or local, not {self.cluster}")
        if self.cluster == "slurm" and not submitit.SlurmExecutor.affinity():
            raise UsageError("executor slurm: there is no srun on this machine; start the run where jobs are submitted")
        from xferbench_slurm.arrays import SlurmPool

        return SlurmPool(self)


@hookimpl
def provide_executors() -> list[type[Slurm]]:
    """Provide slurm."""
    return [Slurm]
