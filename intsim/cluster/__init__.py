"""Many independent tasks at once: worker processes on this machine, a Dask cluster, or Slurm. The engines are theirs.

`parallel` gives the results as they come; what the tasks are is for others to say (`intsim.sets`, evaluation, campaigns).
"""

from .tasks import Done, Work, parallel, require_cluster, threads_each

__all__ = ["Done", "Work", "parallel", "require_cluster", "threads_each"]
