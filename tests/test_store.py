"""The store against kill -9, full disks and a second process."""
import multiprocessing, os, signal, time
from pathlib import Path
import numpy as np
import pytest
from alfe.core import rng_of
from alfe.store import Store
import small

here = Path(__file__).resolve().parent
os.environ['PYTHONPATH'] = os.pathsep.join([str(here), str(here.parent), os.environ.get('PYTHONPATH', '')])  # the server that forks workers imports once
ctx = multiprocessing.get_context('forkserver')
ctx.set_forkserver_preload(['small'])


def start(work, *args):
    "A worker in a process of its own, and our end of a pipe to it"
    ours, theirs = ctx.Pipe(duplex=False)
    p = ctx.Process(target=work, args=(*args, theirs)); p.start(); theirs.close()
    return p, ours


def everything(pipe):
    "All that the worker has said before it ended"
    said = []
    try:
        while True: said.append(pipe.recv())
    except EOFError: return said


def test_kill_9_at_random_times(tmp_path):
    path, lost, unreadable, n = tmp_path/'store.sqlite', 0, 0, 0
    kills = int(os.environ.get('ALFE_KILLS', 10))
    for i in range(kills):
        p, pipe = start(small.append_for_ever, path)
        assert pipe.recv() == 'open'; first = pipe.recv()
        time.sleep(rng_of(0, 'kill', i).random()*.15); os.kill(p.pid, signal.SIGKILL); p.join()
        acknowledged = max([first, *everything(pipe)]) + 1
        with Store(path, write=False) as s: rows = s.rows(); unreadable += s.check() != 'ok'  # a reader, before any writer has tidied up
        got = 0 if rows is None else len(rows); lost += max(0, max(n, acknowledged) - got); n = got
        for k in range(got): np.testing.assert_array_equal(rows.eta[k], rng_of(0, 'row', k).normal(size=7))
        assert got <= acknowledged + 1
    assert (lost, unreadable) == (0, 0) and n >= kills
    print(f'{kills} kills, {n} rows, {lost} lost, {unreadable} unreadable')


def test_second_process_is_refused_and_a_dead_one_is_not_in_the_way(tmp_path):
    path = tmp_path/'store.sqlite'
    p, pipe = start(small.append_for_ever, path); pipe.recv()
    with pytest.raises(BlockingIOError, match=f'process {p.pid} on '): Store(path)
    with Store(path, write=False) as s: assert s.check() == 'ok'  # reading is possible
    os.kill(p.pid, signal.SIGKILL); p.join()
    with Store(path) as s: assert s.check() == 'ok'


def test_a_child_does_not_inherit_the_lock(tmp_path):
    p, pipe = start(small.hold_with_child, tmp_path/'store.sqlite'); child = pipe.recv()
    try:
        os.kill(p.pid, signal.SIGKILL); p.join()
        os.kill(child, 0)  # still alive
        Store(tmp_path/'store.sqlite').close()
    finally: os.kill(child, signal.SIGKILL)


@pytest.mark.parametrize('limit', [3000, 20000, 33000, 60000, 61001])
def test_no_space_left(tmp_path, limit):
    "The operating system itself refuses to let files grow: clear error, whole rows, and work goes on when there is space"
    path = tmp_path/'store.sqlite'
    p, pipe = start(small.append_with_little_space, path, limit); n, error = pipe.recv(); p.join()
    assert error and error.startswith('OSError') and ('run again' in error or 'writable' in error), error
    if path.exists() and path.stat().st_size:
        with Store(path, write=False) as s: assert s.check() == 'ok' and len(s.rows() or []) == n
    with Store(path) as s:
        assert len(s.rows() or []) == n and s.check() == 'ok'
        s.append('round', 1, [0], small.oracle([[.5, .1]], 300., [0])) if not n else s.event(0, 'measured')
        assert s.check() == 'ok'
