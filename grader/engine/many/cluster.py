"""Where many gradings run: in threads here, or on a Dask cluster (`--cluster`, with the optional extra "cluster")."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator
from concurrent.futures import Executor
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple

from grader.engine.many.executor import threads
from grader.engine.many.judging import OtherGrader
from grader.engine.many.warm import Warm

if TYPE_CHECKING:
    import argparse

AHEAD = 2  # tasks handed out for each that can run: nobody waits for the next one
LEAST_AHEAD = 256  # on a cluster, where workers may join
CONNECT_SECONDS = 30
LOST_OFTEN = 20  # workers that may die with one grading: student code runs in children, so that is the site's doing
LOGGERS = ("distributed", "distributed.client")
LIBRARIES = ("distributed", "concurrent.futures", "asyncio")
MISSING = (
    "--cluster needs the package distributed, which is not installed: "
    'pip install "distributed>=2024.1", or leave --cluster out.'
)


class NoCluster(RuntimeError):
    """The cluster cannot be had, or is gone; the message is one sentence."""


class Crew(NamedTuple):
    """What each_done needs.

    ahead: how many tasks to hand out at once; at_once: how many can run; where: of the workers, for people
    """

    executor: Executor
    ahead: int
    at_once: int
    where: str


def add_argument(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--cluster",
        default="",
        metavar="ADDRESS",
        help="of a Dask scheduler, such as tcp://10.0.0.1:8786; or local[:N] for N processes here",
    )


@contextmanager
def crew(cluster: str, jobs: int, warm: Warm) -> Iterator[Crew]:
    """The workers: `jobs` threads of this process, or those of a cluster. Raises NoCluster.

    Leaving it ends what still runs here.
    """
    if not cluster:
        with threads(jobs, warm) as executor:
            yield Crew(executor, AHEAD * jobs, jobs, f"{jobs} at a time")
        return
    with client_of(cluster, jobs) as client:
        slots = sum(client.nthreads().values())
        client.run_on_scheduler(be_patient)
        executor = client.get_executor(pure=False)
        try:
            yield Crew(executor, max(AHEAD * slots, LEAST_AHEAD), slots, f"workers of {cluster} so far: {slots}")
        finally:
            executor.shutdown(wait=False)


@contextmanager
def client_of(cluster: str, jobs: int) -> Iterator[Any]:
    here = re.fullmatch(r"local(?::([1-9]\d{0,3}))?", cluster)
    if cluster.startswith("local") and not here:
        raise NoCluster(f"--cluster={cluster} is no cluster: write local, or local:4 for four processes.")
    try:
        from distributed import Client, LocalCluster
    except ImportError as error:
        raise NoCluster(MISSING) from error
    for name in LOGGERS:  # what matters is said by us
        logging.getLogger(name).setLevel(logging.CRITICAL)
    if here:
        workers = int(here[1] or jobs)
        plain = {"processes": True, "dashboard_address": None, "memory_limit": None, "silence_logs": logging.CRITICAL}
        with LocalCluster(n_workers=workers, threads_per_worker=1, **plain) as made, Client(made) as client:
            yield client
        return
    try:
        client = Client(cluster, timeout=CONNECT_SECONDS)
    except (OSError, ValueError) as error:  # a timeout is an OSError
        raise NoCluster(
            f"No Dask scheduler answers at {cluster} ({type(error).__name__}); start one, or correct --cluster."
        ) from error
    with client:
        yield client


def be_patient(dask_scheduler: Any) -> None:
    dask_scheduler.allowed_failures = LOST_OFTEN


def told(error: BaseException, cluster: str) -> BaseException:
    """What a task raised, as a sentence where the cluster is to blame and not what the task did."""
    if not cluster or isinstance(error, OtherGrader):
        return error
    if isinstance(error, ImportError):
        return NoCluster(f"The workers of {cluster} cannot load the grader ({error}): start them in its folder.")
    if type(error).__module__.startswith(LIBRARIES) and type(error).__name__ != "KilledWorker":
        return NoCluster(
            f"The cluster {cluster} is gone ({type(error).__name__}); what is finished is kept, so start again."
        )
    return error
