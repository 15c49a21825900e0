"""A small run on an analytic landscape, for the tests that kill processes. Also the workers that get killed."""
import hashlib, os, signal, time
from dataclasses import dataclass, replace
import numpy as np
from alfe.core import Rows, rng_of
from alfe.crystal import bcc
from alfe.domain import Domain, domain_of
from alfe.idnn import IDNN
from alfe.loop import Run
from alfe.oracle import landau
from alfe.order import OrderParameters, from_star
from alfe.space_filling import billiard_walk
from alfe.store import Store
from alfe.train import train


@dataclass(frozen=True)
class Toy:
    name: str; order: OrderParameters; domain: Domain; T: float

b2 = from_star(bcc(1.), (.5, .5, .5))
toy, oracle = Toy('toy', b2, domain_of(b2), 300.), replace(landau(b2), noise=.002)


def greedy(state, n, rng):
    "Asks where the model's slope is smallest: the points depend on the bits of the model"
    return state.pool[np.argsort((state.model.mu(state.pool)**2).sum(1))[:n]]


def quick(*a, **k): return train(*a, steps=40, **k)


def make(path, **changes):
    return Run(path, toy, **{**dict(model=IDNN(hidden=(6,), degree=4, landau=(4, 1)), fit=quick, ask={billiard_walk: 8, greedy: 6}, oracle=oracle, test={'uniform': 6},
                                    committee=2, pool=100, chunk=5, seed=3), **changes})


def one_thread():
    import torch; torch.set_num_threads(1)


def fingerprint(path):
    "Every bit of the rows, and of the models, that a run has come to"
    run, h = make(path), hashlib.sha256()
    for rows in (run.rows, *run.test_rows.values()):
        for f in rows.fields: a = getattr(rows, f); h.update(repr(list(a)).encode() if a.dtype == object else a.tobytes())
    return len(run.rows), h.hexdigest(), [hashlib.sha256(p.read_bytes()).hexdigest() for p in sorted(run.path.glob('model_*'))]


# --- workers, each in a process of its own ---

def run_and_die(path, k, rounds=3):
    "Runs, and is killed by itself, without notice, before the k-th write, or the first write whose name begins with k"
    one_thread(); steps = []
    def fault(step):
        steps.append(step)
        if len(steps) == k or isinstance(k, str) and step.startswith(k): os.kill(os.getpid(), signal.SIGKILL)
    make(path).loop(rounds, fault=fault)
    with open(f'{path}/steps.txt', 'w') as f: f.write('\n'.join(steps))


def slow_oracle(points, T, seeds, mu=None): time.sleep(.3); return oracle(points, T, seeds)

def run_slowly(path): one_thread(); make(path, oracle=slow_oracle).loop(3)

def append_for_ever(path, pipe):
    "Appends rows to a store and says so after each, until killed"
    with Store(path) as s:
        pipe.send('open')
        for i in range(len(s.points('round', 0)), 10**6):
            x = rng_of(0, 'row', i).normal(size=(1, 7))
            s.append('round', 0, [i], Rows.of(x, -x, 300., note=str(i))); pipe.send(i)

def hold_with_child(path, pipe):
    "Holds a store, has a child process, and waits"
    with Store(path):
        if (pid := os.fork()) == 0: time.sleep(30); os._exit(0)
        pipe.send(pid); time.sleep(30)

def append_with_little_space(path, limit, pipe):
    "Appends rows until no file may grow any more"
    import resource
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN); resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit)); n = 0
    try:
        with Store(path) as s:
            for i in range(1000): s.append('round', 0, [i], Rows.of(np.full((1, 7), i), np.zeros((1, 7)), 300.)); n += 1
        pipe.send((n, None))
    except Exception as e: pipe.send((n, f'{type(e).__name__}: {e}'))
