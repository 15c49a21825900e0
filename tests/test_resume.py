"""A run that is killed, or meets a full disk or a bad oracle, ends up where an undisturbed one does."""
import os, signal, time
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from dataclasses import replace
import numpy as np
import pytest
from alfe.core import Rows, rng_of
from alfe.stopping import target_error
from alfe.store import Store
import small
from test_store import ctx

STAGES = ['insert', 'commit rows of test', 'begin tested', 'begin asked of round 0', 'commit asked of round 0', 'commit rows of round 0', 'commit measured of round 0',
          'write file', 'flush file', 'rename file', 'begin fitted of round 0', 'commit judged of round 0', 'insert', 'begin fitted of round 1', 'commit judged of round 2']


def die(path, k):
    "Runs in a process that kills itself before its k-th write, or a write of that name (0: never); its exit code"
    p = ctx.Process(target=small.run_and_die, args=(path, k)); p.start(); p.join(120)
    return p.exitcode


@pytest.fixture(scope='module')
def undisturbed(tmp_path_factory):
    path = tmp_path_factory.mktemp('undisturbed')
    small.one_thread()
    assert die(path, 0) == 0
    return small.fingerprint(path), (path/'steps.txt').read_text().split('\n')


def test_killed_in_each_stage(undisturbed, tmp_path):
    "One run that is killed in every stage, one after the other"
    want, steps = undisturbed
    for stage in STAGES:
        assert any(s.startswith(stage) for s in steps) and die(tmp_path/'run', stage) == -signal.SIGKILL, stage
        with small.make(tmp_path/'run')._read() as s: assert s.check() == 'ok'
    assert die(tmp_path/'run', 0) == 0 and small.fingerprint(tmp_path/'run') == want


def test_killed_on_the_way(undisturbed, tmp_path):
    want, steps = undisturbed
    for share in (.2, .5, .75, .9):
        k = int(share*len(steps))
        assert die(tmp_path/str(k), k) == -signal.SIGKILL
        with small.make(tmp_path/str(k))._read() as s: assert s.check() == 'ok'
        assert die(tmp_path/str(k), 0) == 0 and small.fingerprint(tmp_path/str(k)) == want, f'killed at {share:.0%}, {steps[k - 1]!r}'


@pytest.mark.skipif(not os.environ.get('ALFE_KILLS'), reason='release: ALFE_KILLS=100')
def test_killed_at_random_moments(undisturbed, tmp_path):
    t = time.time(); assert die(tmp_path/'whole', 0) == 0; t = time.time() - t
    killed, kills = 0, int(os.environ['ALFE_KILLS'])
    for i in range(kills):
        p = ctx.Process(target=small.run_and_die, args=(tmp_path/str(i), 0)); p.start()
        time.sleep(rng_of(0, 'moment', i).random()*t); p.kill(); p.join(); killed += p.exitcode == -signal.SIGKILL
        assert die(tmp_path/str(i), 0) == 0 and small.fingerprint(tmp_path/str(i)) == undisturbed[0]
    print(f'{killed} of {kills} killed before they ended'); assert killed > kills/2


def test_the_kth_write_fails(undisturbed, tmp_path):
    "For every k: a clear error, a sound file, and the run goes on"
    want, steps = undisturbed; run = small.make(tmp_path/'run'); k = errors = 0
    while True:  # one folder: the k-th write of this call fails, for k = 1, 1, 2, 2, 3, … so that every step is met, and progress is made
        k += 1; met = []
        def fault(step):
            met.append(step)
            if len(met) == 1 + k//2: raise OSError(28, f'No space left on device, {step}')
        try: run.loop(2, fault=fault); break
        except OSError as e: assert 'No space left' in str(e) and 'run again' in str(e); errors += 1
        with run._read() as s: assert s.check() == 'ok'
    assert errors > 8
    assert run.loop(3) and small.fingerprint(run.path) == want


def test_every_write_fails_once(undisturbed, tmp_path):
    "Every step of the whole run fails the first time it is reached"
    want, _ = undisturbed; run, failed = small.make(tmp_path/'run'), set()
    def fault(step):
        n = (step, len(run.rows), len(run.history), len(run.test_rows['uniform']))
        if n not in failed: failed.add(n); raise PermissionError(13, f'Permission denied, {step}')
    for calls in range(500):
        try: run.loop(3, fault=fault); break
        except OSError as e: assert 'Permission denied' in str(e) and 'run again' in str(e)
        with run._read() as s: assert s.check() == 'ok'
    assert small.fingerprint(run.path) == want and calls == len(failed) > 40


def test_two_processes_open_one_run(tmp_path):
    p = ctx.Process(target=small.run_slowly, args=(tmp_path,)); p.start()
    run = None
    for _ in range(200):
        time.sleep(.1)
        if (tmp_path/'store.sqlite').exists():
            try: run = small.make(tmp_path, oracle=small.slow_oracle)
            except (BlockingIOError, FileNotFoundError): continue
            if len(run.rows): break
    assert p.is_alive() and len(run.rows)
    with pytest.raises(BlockingIOError, match=f'process {p.pid} on '): run.loop(3)
    os.kill(p.pid, signal.SIGKILL); p.join()
    n = len(run.rows)
    assert len(run.loop(1).rows) == 14 >= n


def test_workers_and_order_change_nothing(undisturbed, tmp_path):
    small.one_thread()
    with ThreadPoolExecutor(3) as threads: small.make(tmp_path/'threads', executor=threads, chunk=2).loop(3)
    with ProcessPoolExecutor(2, mp_context=ctx) as processes: small.make(tmp_path/'processes', executor=processes, chunk=3).loop(3)
    assert small.fingerprint(tmp_path/'threads') == small.fingerprint(tmp_path/'processes') == undisturbed[0]


# --- oracles that misbehave ---

def failing(points, T, seeds, mu=None):
    "Fails one point in five, is NaN for another fifth, and lands far away for a third"
    rows, kind = small.oracle(points, T, seeds), [int(s) % 5 for s in seeds]
    if 0 in kind: raise ArithmeticError('this point does not converge')
    eta, m = rows.eta.copy(), rows.mu.copy()
    for i, k in enumerate(kind):
        if k == 1: m[i] = np.nan
        if k == 2: eta[i] = [.5, np.copysign(.45, -eta[i, 1])]
    return rows.replace(eta=eta, mu=m)

def stuck(points, T, seeds, mu=None):
    "Never returns for points with much order, and is slow for the others"
    time.sleep(.02)
    if (np.abs(points[:, 1]) > .3).any(): time.sleep(1e6)
    return small.oracle(points, T, seeds)


@pytest.mark.parametrize('executor', [None, ThreadPoolExecutor], ids=['here', 'threads'])
def test_failing_oracle(tmp_path, executor):
    pool = executor and executor(2)
    run = small.make(tmp_path, oracle=failing, executor=pool, far=.2, first={small.billiard_walk: 30}).loop(3)
    rows = run.rows; notes = [next((k for k in ('ArithmeticError: this point does not converge', 'not finite for mu', 'landed') if k in n), n) for n in rows.note]
    assert len(rows) == 30 + 14 + 14 and {'', 'ArithmeticError: this point does not converge', 'not finite for mu', 'landed'} == set(notes)
    assert .3 < rows.ok.mean() < .7 and run.history['failed'].sum() == (~rows.ok).sum() and run.history['rows'].iloc[-1] == rows.ok.sum()
    assert run.free_energy is not None and np.isfinite(rows.asked).all()


def test_oracle_that_never_returns(tmp_path):
    t = time.time(); run = small.make(tmp_path, oracle=stuck, chunk=1, timeout=.25, test={}).loop(2)
    late = np.array(['no answer within 0.25 s' in n for n in run.rows.note])
    assert 0 < late.sum() < len(late) == 28 and (np.abs(run.rows.asked[late, 1]) > .3).all() and run.rows.ok[~late].all()
    assert time.time() - t < 30


def test_oracle_that_fails_always_stops_the_run(tmp_path):
    broken = lambda points, T, seeds, mu=None: 1/0
    run = small.make(tmp_path, oracle=broken, test={})
    with pytest.raises(RuntimeError, match='all 14 rows failed.*division by zero'): run.loop(3)
    with pytest.raises(RuntimeError, match='round 1: all 14 rows failed'): run.loop(3)  # a second call goes on
    assert run.free_energy is None and len(run.rows) == 28


def test_mended_oracle_goes_on(tmp_path):
    cure = tmp_path/'cure'
    def moody(points, T, seeds, mu=None):
        if not cure.exists(): raise OSError('licence server is down')
        return small.oracle(points, T, seeds)
    run = small.make(tmp_path/'run', oracle=moody, test={})
    with pytest.raises(RuntimeError, match='licence server is down'): run.loop(2)
    cure.touch(); run.loop(3)
    assert run.rows.ok.sum() == 28 and len(run.history) == 3 and run.free_energy is not None


class Careless:
    "The twin: an oracle whose noise comes from a generator of its own, so that a row depends on how many were asked before"
    def __init__(self): self.rng = rng_of(0, 'own')
    def __call__(self, points, T, seeds, mu=None): r = small.oracle(points, T, seeds); return r.replace(mu=r.mu + self.rng.normal(size=r.mu.shape)*1e-6)
    __qualname__ = 'careless'


def test_a_careless_oracle_would_be_noticed(tmp_path):
    small.one_thread(); bits = []
    for name, calls in (('once', [2]), ('resumed', [1, 2])):
        for rounds in calls: run = small.make(tmp_path/name, oracle=Careless()).loop(rounds)
        bits.append(run.rows.mu.tobytes())
    assert bits[0] != bits[1]


def test_killed_while_the_store_was_made(tmp_path):
    (tmp_path/'store.sqlite').touch()
    assert len(small.make(tmp_path).loop(1).rows) == 14


def die_at_once(points, T, seeds, mu=None): os._exit(1)

def test_worker_that_dies_is_an_error_and_loses_nothing(tmp_path):
    with ProcessPoolExecutor(1, mp_context=ctx) as pool:
        with pytest.raises(RuntimeError, match='executor could not do its work'): small.make(tmp_path, oracle=die_at_once, executor=pool, test={}).loop(1)
    assert len(small.make(tmp_path, oracle=die_at_once, test={}).rows) == 0


def test_broken_executor_is_an_error_and_loses_nothing(tmp_path):
    pool = ThreadPoolExecutor(1); pool.shutdown()
    run = small.make(tmp_path, executor=pool)
    with pytest.raises(RuntimeError): run.loop(1)
    assert len(small.make(tmp_path).loop(1).rows) == 14


def test_other_settings_are_refused(tmp_path):
    small.make(tmp_path)
    for changes, line in [(dict(seed=4), 'seed: 3 -> 4'), (dict(T=310.), 'T: 300.0 -> 310.0'), (dict(ask={small.billiard_walk: 9}), 'ask.billiard_walk: 8 -> 9'),
                          (dict(oracle=replace(small.oracle, noise=.1)), 'oracle.noise: 0.002 -> 0.1'), (dict(model=small.IDNN(hidden=(7,), degree=4, landau=(4, 1))), 'model.hidden')]:
        with pytest.raises(ValueError, match='other settings') as e: small.make(tmp_path, **changes)
        assert line in str(e.value)
    small.make(tmp_path, chunk=7, timeout=5., stop=(target_error({'uniform mu0': 1.}),))  # these change no result
