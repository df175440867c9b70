"""Memory and cold start of the web server and of the worker."""

import time
from pathlib import Path

import psutil

from benchmarks import commands
from benchmarks.figures import Figures
from benchmarks.jobs import clean, enqueue_durable
from benchmarks.stand import DATABASE, Stand, Tree
from benchmarks.visitors import load

HELPERS = 16.0  # MB below which a process is one of multiprocessing's own


def run(stand: Stand, figures: Figures) -> None:
    """Measure the web server after some load, then the worker after some jobs."""
    for _ in range(stand.scale.rounds):
        with stand.web(commands.WEB, path="/healthz") as tree:
            figures.note("web: from the start to its first answer", tree.started, "s")
            load(f"{tree.root}/", 1)
            note_memory(figures, "web", tree)
        clean(stand, stand.app())
        enqueue_durable(stand.app(), 1)
        with stand.runs(commands.worker("benchmarks.worker.celery"), DATABASE) as tree:
            stand.wait(lambda: stand.counted() == 1, tree)
            started = time.perf_counter() - tree.began
            figures.note("worker: from the start to its first finished job", started, "s")
            enqueue_durable(stand.app(), 100)
            stand.wait(lambda: stand.counted() == 101, tree)
            note_memory(figures, "worker", tree)


def note_memory(figures: Figures, name: str, tree: Tree) -> None:
    """Note what the first process has, what each of its children has on average, and the sum."""
    root = psutil.Process(tree.process.pid)
    first = proportional_size(root.pid)
    all_children = [proportional_size(child.pid) for child in root.children(recursive=True)]
    children = [size for size in all_children if size > HELPERS]
    figures.note(f"{name}: memory of its first process", first, "MB")
    figures.note(f"{name}: memory of each other process", sum(children) / len(children), "MB")
    figures.note(f"{name}: memory of all", first + sum(all_children), "MB")


def proportional_size(pid: int) -> float:
    """Return the memory of a process in MB; what several share counts in parts.

    Source: proc(5), Pss in smaps_rollup, which Linux alone has.
    """
    text = Path(f"/proc/{pid}/smaps_rollup").read_text("ascii")
    sizes = {line.split(":")[0]: line.split() for line in text.splitlines()[1:]}
    return int(sizes["Pss"][1]) / 1024
