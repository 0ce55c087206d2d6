"""Processes that die take their own job along, at most; where none can be started, work goes on."""

import gc
import multiprocessing
import os
import signal
import subprocess
import sys
import textwrap
import time
from functools import partial
from pathlib import Path

import av
import numpy as np
import pytest
from tqdm.auto import tqdm

from dsel.utils import processes
from dsel.utils.processes import spread

pytestmark = pytest.mark.heavy  # starts and kills processes

STARTS = ["fork", "spawn"] if sys.platform == "linux" else ["spawn"]
ROOT = Path(__file__).resolve().parents[2]
HERE = Path(__file__).resolve().parent


KEPT = []  # what the process that hands out the work still uses


class Resampled:
    """PyAV's resampler, whose filters have threads, in a circle that only the collector frees."""

    def __init__(self):
        self.me, self.resampler = self, av.AudioResampler(format="flt", layout="mono", rate=16_000)
        frame = av.AudioFrame.from_ndarray(np.zeros((2, 1024), np.float32), "fltp", "stereo")
        frame.sample_rate = 44_100
        self.resampler.resample(frame)


def note(folder, event: str, job: str) -> None:
    """One line, in one piece, into the diary that all processes keep together."""
    line = f"{event} {job} {os.getpid()}\n".encode()
    file = os.open(folder / "diary", os.O_CREAT | os.O_APPEND | os.O_WRONLY)
    os.write(file, line)
    os.close(file)


def diary(folder) -> list[tuple[str, str]]:
    return [tuple(line.split()[:2]) for line in (folder / "diary").read_text().splitlines()]


def wait_for(condition, seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited too long"
        time.sleep(0.01)


def work(folder, job: str) -> str:
    """Jobs named after what happens to them."""
    note(folder, "begin", job)
    if job.startswith("dies"):
        os._exit(9)
    if job == "killed" and diary(folder).count(("begin", job)) == 1:
        os.kill(os.getpid(), signal.SIGKILL)
    if job.startswith("long"):  # under way, unfinished, when the other one dies
        wait_for(lambda: any(job.startswith("dies") for event, job in diary(folder)))
        time.sleep(0.3)
    if job == "raises":
        raise ValueError("no good")
    if job == "holds the lock":
        tqdm.get_lock().acquire()
        os._exit(9)
    if job == "collects":
        KEPT.clear()
        gc.collect()
    if job.startswith("draws"):
        list(tqdm([1, 2], disable=True))  # takes the lock all the same
    note(folder, "end", job)
    return job.upper()


def spread_over(folder, jobs, workers=2, start=None):
    """(results by job, what was said)."""
    said = []
    found = dict(
        spread(
            jobs,
            partial(work, folder),
            workers,
            lost=lambda job: f"lost {job}",
            say=said.append,
            start=start,
        )
    )
    return found, said


@pytest.mark.parametrize("start", STARTS)
def test_a_job_that_kills_its_process_before_any_is_finished_is_tried_twice_and_no_other_one_is(
    tmp_path, start
):
    jobs = ["dies", "long a", "long b", "c", "d"]
    found, said = spread_over(tmp_path, jobs, start=start)
    assert found == {job: job.upper() for job in jobs[1:]} | {"dies": "lost dies"}
    events = diary(tmp_path)
    assert events.count(("begin", "dies")) == 2
    assert [events.count(("begin", job)) for job in ("long", "c", "d")] == [2, 1, 1]
    assert events[-1] == ("begin", "dies")  # alone: whatever was begun beside it had ended
    assert len(said) == 1
    assert said[0].startswith("dies: ")


def test_when_all_die_all_are_named_and_it_ends(tmp_path):
    jobs = [f"dies {k}" for k in range(5)]
    found, said = spread_over(tmp_path, jobs, workers=3)
    assert found == {job: f"lost {job}" for job in jobs}
    assert [event for event, _ in diary(tmp_path)] == ["begin"] * 10
    assert sorted(line[:6] for line in said) == jobs


def test_what_dies_once_by_no_fault_of_its_own_is_done_at_the_second_try(tmp_path):
    found, said = spread_over(tmp_path, ["killed", "a", "b"])
    assert found == {"killed": "KILLED", "a": "A", "b": "B"}
    assert len(said) == 1


def test_work_is_done_in_other_processes_as_many_as_asked_for(tmp_path):
    spread_over(tmp_path, [f"job{k}" for k in range(8)], workers=3)
    processes = {line.split()[2] for line in (tmp_path / "diary").read_text().splitlines()}
    assert str(os.getpid()) not in processes
    assert len(processes) <= 3
    assert not multiprocessing.active_children()


def test_what_the_work_raises_is_raised(tmp_path):
    with pytest.raises(ValueError, match="no good"):
        spread_over(tmp_path, ["a", "raises", "b"])
    assert not multiprocessing.active_children()


def test_a_process_that_dies_with_the_lock_of_the_bars_hangs_nobody(tmp_path):
    """With one lock for all, everybody would wait for the dead one: hence a process to give up."""
    code = f"""
        import sys
        from pathlib import Path
        sys.path[:0] = [{str(ROOT)!r}, {str(HERE)!r}]
        from test_processes import spread_over
        from tqdm.auto import tqdm
        for _ in tqdm([1], disable=True):
            jobs = ["holds the lock", "draws a", "draws b", "draws c"]
            found, _ = spread_over(Path({str(tmp_path)!r}), jobs)
        print(found)
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True, timeout=120
    )
    assert "'draws c': 'DRAWS C'" in done.stdout, done.stderr
    assert "'holds the lock': 'lost holds the lock'" in done.stdout


def test_a_worker_does_not_wait_for_threads_that_the_fork_left_behind(tmp_path):
    """As after a film in a notebook: one resampler is garbage already, one becomes it there."""
    code = f"""
        import gc, sys
        from pathlib import Path
        sys.path[:0] = [{str(ROOT)!r}, {str(HERE)!r}]
        import test_processes
        gc.disable()  # no luck: only who asks for it collects
        test_processes.Resampled()
        test_processes.KEPT.append(test_processes.Resampled())
        found, _ = test_processes.spread_over(Path({str(tmp_path)!r}), ["collects", "a"])
        print(found)
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True, timeout=60
    )
    assert "'collects': 'COLLECTS'" in done.stdout, done.stderr


def test_where_the_system_allows_no_further_process_the_work_is_done_here(tmp_path, monkeypatch):
    def refused(*_):
        raise BlockingIOError("Resource temporarily unavailable")

    monkeypatch.setattr(os, "fork", refused)
    found, said = spread_over(tmp_path, ["a", "b"], start="fork")
    assert found == {"a": "A", "b": "B"}
    assert len(said) == 1
    assert "in this one alone" in said[0]
    assert {line.split()[2] for line in (tmp_path / "diary").read_text().splitlines()} == {
        str(os.getpid())
    }


def test_fewer_processes_than_asked_for_are_no_reason_to_stop(tmp_path, monkeypatch):
    fork, left = os.fork, [1]

    def once():
        if not left:
            raise BlockingIOError("Resource temporarily unavailable")
        left.pop()
        return fork()

    monkeypatch.setattr(os, "fork", once)
    found, said = spread_over(tmp_path, ["a", "b", "c"], start="fork")
    assert found == {"a": "A", "b": "B", "c": "C"}
    assert not said


UNGUARDED = """
import sys
from pathlib import Path
sys.path[:0] = [{root!r}, {tests!r}]
from dsel.utils.processes import refuse_to_be_read_again
from test_processes import spread_over
refuse_to_be_read_again()
print(spread_over(Path({folder!r}), ["a", "b", "c"], start="spawn"))
"""


def test_a_script_without_a_guard_is_told_and_goes_on_in_one_process(tmp_path):
    script = tmp_path / "script.py"
    script.write_text(UNGUARDED.format(root=str(ROOT), tests=str(HERE), folder=str(tmp_path)))
    done = subprocess.run(
        [sys.executable, str(script)], capture_output=True, text=True, timeout=120
    )
    assert "{'a': 'A', 'b': 'B', 'c': 'C'}" in done.stdout, done.stderr
    assert len(done.stdout.splitlines()) == 1
    assert len(done.stderr.splitlines()) == 1, done.stderr
    assert '__name__ == "__main__"' in done.stderr
    assert sorted(diary(tmp_path)) == sorted(
        (event, job) for event in ("begin", "end") for job in "abc"
    )


def test_this_process_may_read_its_script():
    processes.refuse_to_be_read_again()


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_when_the_process_that_hands_out_the_work_is_killed_its_workers_go(tmp_path):
    code = f"""
        import sys
        from pathlib import Path
        sys.path[:0] = [{str(ROOT)!r}, {str(HERE)!r}]
        from test_processes import spread_over
        spread_over(Path({str(tmp_path)!r}), ["long a", "long b", "long c"], workers=3)
    """
    parent = subprocess.Popen([sys.executable, "-c", textwrap.dedent(code)])
    wait_for(lambda: (tmp_path / "diary").is_file() and len(diary(tmp_path)) == 3)
    workers = [int(line.split()[-1]) for line in (tmp_path / "diary").read_text().splitlines()]
    parent.kill()
    parent.wait()
    wait_for(lambda: not any(alive(worker) for worker in workers), seconds=20)


def alive(process: int) -> bool:
    try:
        return Path(f"/proc/{process}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


def test_torch_s_threads_are_made_by_the_first_thread_of_a_worker(monkeypatch):
    """Two threads that make them at once fail with "Invalid thread pool"."""
    made = []
    monkeypatch.setattr("torch.get_num_threads", lambda: 3)
    monkeypatch.setattr("torch.set_num_threads", made.append)
    monkeypatch.setattr(processes.gc, "freeze", lambda: None)
    processes.in_worker()
    assert made == [3]


FORKED_BY_A_THREAD = """
import os, threading, time
import av, numpy as np
from dsel.utils.processes import before_fork

picture = av.VideoFrame.from_ndarray(np.zeros((480, 640, 3), "uint8"), format="rgb24")
picture.reformat(format="yuv420p", width=320)  # PyAV 19 keeps what converts, for this thread
before_fork()

def fork():
    child = os.fork()
    if child == 0:
        os._exit(7)
    ended.append(os.waitpid(child, 0)[1])

ended = []
thread = threading.Thread(target=fork)
thread.start()
thread.join()
print(os.waitstatus_to_exitcode(ended[0]))
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
def test_a_process_forked_by_a_thread_ends_though_another_has_converted_pictures():
    done = subprocess.run(
        [sys.executable, "-c", FORKED_BY_A_THREAD], capture_output=True, text=True, timeout=60
    )
    assert done.stdout == "7\n", done.stderr
