"""The study that compares the criteria: runs every strategy with several seeds on the same Monte Carlo, and writes small CSV files.

    python tools/study.py [--hours 3] [--seeds 5] [--workers 2] [--only NAME ...] [--folder runs/criteria]

All that is finished is kept, and the same call goes on where it stopped. The notebook nbs/studies/criteria.ipynb shows the results."""
import argparse, functools, os, sys, time
for name in ('OMP_NUM_THREADS', 'MKL_NUM_THREADS'): os.environ.setdefault(name, '1') # one worker, one core
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from multiprocessing import get_context
from pathlib import Path
import numpy as np
import pandas as pd
import torch
from tqdm import tqdm
from alfe.core import Rows, State, rng_of, seed_of
from alfe.design import expected_gain
from alfe.domain import domain_of
from alfe.idnn import IDNN
from alfe.loop import Run, history
from alfe.minima import minimum_path
from alfe.oracle import landau
from alfe.physics import end_members, finding_wells, instabilities, jitter, lowest_free_energy, vertices, wells
from alfe.pools import order_strength, pool
from alfe.quotas import Bandit, Reweighting
from alfe.select import first_new, novelty, spread_out
from alfe.space_filling import billiard_walk, boundary, slices, sobol, walk
from alfe.systems import b2, lco_zigzag, ni_al
from alfe.store import Store
from alfe.train import errors, load, train
from alfe.tune import Tuning, load_model
from alfe.uncertainty import high_error, modelled_error, query_by_committee, sensitivity

START, ROUND, ROUNDS = {billiard_walk: 110, boundary: 40}, 75, 7 # points of the common start and of each later round, rounds in all
SETS = ('uniform', 'ordered', 'strong', 'path', 'unstable', 'boundary')
SPEC, POOR = IDNN(hidden=(30, 30)), IDNN(hidden=(4,), degree=3, landau=(4, 1), kinks=()) # the form of all networks, and one that does not suit


def system(): return replace(lco_zigzag('pair-zigzag'), size=(4, 4, 4))

def monte_carlo(s, longest): # 2,048 sites; near x = 1/2 a row that does not settle ends at `longest` sweeps
    return s.monte_carlo(mu_error=(1.5e-3, .4e-3), min_sweeps=300, max_sweeps=longest, phi=(5.,) + (.5,)*6, threads=1)

@dataclass(frozen=True)
class Remembering:
    "An oracle that keeps its answers to what is asked without a model: the common start of all strategies is measured once for each seed"
    oracle: object # `MonteCarlo`
    folder: str    # Where the answers are kept

    @property
    def chunk(self): return getattr(self.oracle, 'chunk', 128)
    def __call__(self, points, T, seeds, mu=None):
        if mu is not None and np.any(mu): return self.oracle(points, T, seeds, mu)
        kept = Path(self.folder)/f'{seed_of(points.tobytes().hex(), *map(int, seeds)):032x}.npz'
        if kept.exists():
            with np.load(kept, allow_pickle=False) as z: return Rows(**{k: z[k].astype(object) if z[k].dtype.kind == 'U' else z[k] for k in z.files})
        rows = self.oracle(points, T, seeds, mu); kept.parent.mkdir(exist_ok=True); part = kept.with_name(f'{os.getpid()}.npz')
        np.savez(part, **{k: getattr(rows, k).astype(str) if getattr(rows, k).dtype == object else getattr(rows, k) for k in rows.fields}); os.replace(part, kept)
        return rows

def quick(*args, init=None, **options): # Fewer than the usual steps, since each round goes on from the model before: the study fits a thousand committees
    return train(*args, init=init, **{'steps': 250 if init else 500, **options})


# ---- as published: the faults that the public code of arXiv:2503.07619 has, for comparison alone

def least_disagreement(state, n, rng):
    "The committee criterion sorted twice: the least disagreement, of g and all slopes unscaled"
    g, mu, _ = state.predicted
    return state.pool[np.argsort(g.var(0) + mu.var(0).sum(1), kind='stable')[:n]]

def unsorted_sensitivity(state, n, rng):
    "The sorted list is made and not used: the first points of the pool, which are uniform"
    return state.pool[:n].copy()

def first_eigenvalue(state, n, rng):
    "Points whose first eigenvalue of an unsorted list is lowest"
    return state.pool[np.argsort(np.linalg.eigvals(state.predicted[2]).real[:, 0], kind='stable')[:n]]

def newest_left_out(spec, order, domain, rows, seed, **options):
    "The newest rows do not train"
    old = rows[rows.round < rows.round.max()] if rows.round.max() > 0 else rows
    return quick(spec, order, domain, old, seed, **options)

def without_symmetry(choose):
    "Distances as they are, so that an equivalent point counts as novel"
    def chosen(state, points, n, known, rng):
        order = replace(state.order, group=np.eye(state.domain.d)[None])
        return choose(replace(state, order=order), points, n, known, rng)
    chosen.__name__ = f'{choose.__name__}_without_symmetry'; return chosen


# ---- the strategies

ALONE = (billiard_walk, boundary, sobol, slices, wells, end_members, vertices, finding_wells, lowest_free_energy, instabilities, high_error, sensitivity,
         query_by_committee, modelled_error, expected_gain)
PAPER = {billiard_walk: 32, query_by_committee: 16, high_error: 11, sensitivity: 6, instabilities: 6, finding_wells: 2, lowest_free_energy: 1, wells: 1} # as in the published settings
MEANT = {least_disagreement: query_by_committee, unsorted_sensitivity: sensitivity, first_eigenvalue: instabilities}
FAULTY = {next((f for f, g in MEANT.items() if g is meant), meant): n for meant, n in PAPER.items()}
MANY = {billiard_walk: 15, query_by_committee: 15, expected_gain: 15, modelled_error: 10, lowest_free_energy: 10, wells: 10}

COMPARED = ('billiard_walk', 'query_by_committee', 'expected_gain', 'walk+gain+wells') # also on known landscapes

def strategies() -> dict: # {name: (group, settings of the Run)}
    one = lambda f: dict(ask={f: ROUND})
    out = {f.__name__: ('alone', one(f)) for f in ALONE}
    out |= {'paper_mix': ('mixed', dict(ask=PAPER)), 'many_mix': ('mixed', dict(ask=MANY)),
            'walk+committee': ('mixed', dict(ask={billiard_walk: 35, query_by_committee: 40})),
            'walk+committee+wells': ('mixed', dict(ask={billiard_walk: 35, query_by_committee: 25, wells: 15})),
            'walk+committee+slices+wells': ('mixed', dict(ask={billiard_walk: 30, query_by_committee: 23, slices: 11, wells: 11})),
            'walk+error+wells': ('mixed', dict(ask={billiard_walk: 35, modelled_error: 25, wells: 15})),
            'walk+gain+wells': ('mixed', dict(ask={billiard_walk: 35, expected_gain: 25, wells: 15}))}
    out |= {'query_by_committee+novelty': ('novelty', one(query_by_committee) | dict(choose=novelty, offer=3)), 'query_by_committee+spread_out': ('novelty', one(query_by_committee) | dict(choose=spread_out, offer=3)),
            'paper_mix+novelty': ('novelty', dict(ask=PAPER, choose=novelty, offer=3)), 'paper_mix+spread_out': ('novelty', dict(ask=PAPER, choose=spread_out, offer=3)),
            'paper_mix+novelty, no symmetry': ('as published', dict(ask=PAPER, choose=without_symmetry(novelty), offer=3))}
    out |= {'paper_mix+reweighting': ('dynamic', dict(ask=PAPER, quotas=Reweighting(alpha=1e5))), 'paper_mix+bandit': ('dynamic', dict(ask=PAPER, quotas=Bandit()))}
    out |= {'query_by_committee, as published': ('as published', one(least_disagreement)), 'sensitivity, as published': ('as published', one(unsorted_sensitivity)),
            'instabilities, as published': ('as published', one(first_eigenvalue)), 'paper_mix, newest rows do not train': ('as published', dict(ask=PAPER, fit=newest_left_out)),
            'paper_mix, five faults': ('as published', dict(ask=FAULTY, fit=newest_left_out, choose=without_symmetry(novelty), offer=3))}
    good = out['walk+committee+wells'][1]
    out |= {'tuned': ('tuning', good | dict(tune=Tuning(trials=8))), 'poor form': ('tuning', good | dict(model=POOR)), 'poor form, tuned': ('tuning', good | dict(model=POOR, tune=Tuning(trials=8)))}
    out |= {'billiard_walk, longer': ('longer', one(billiard_walk) | dict(rounds=15))}
    return out


# ---- test sets

def reference(folder, s): # A model of many rows: it tells where the path and the unstable region are, and is compared with nothing
    path = folder/'reference.npz'
    if not path.exists():
        st = State(s.order, s.domain, Rows.empty(s.order.d), None, 0, s.T, np.empty((0, s.order.d))); rng = rng_of('criteria', 'reference')
        st = replace(st, pool=pool(st, 1200, rng))
        points = s.domain.pull(np.concatenate([billiard_walk(st, 500, rng), boundary(st, 150, rng), wells(st, 250, rng), slices(st, 300, rng), st.pool]), 5e-3)
        rows = monte_carlo(s, 3000)(points, s.T, [seed_of('criteria', 'reference', i) for i in range(len(points))])
        train(SPEC, s.order, s.domain, rows, 0).save(path)
    return load(path)

def near_variants(order, rng): # 100 points on the lines to the variants, from 60 to 97 % of the way
    return order.variants[rng.integers(len(order.variants), size=100)]*np.where(np.arange(order.d) == 0, 1, rng.uniform(.6, .97, (100, 1)))

def test_points(folder, s): # {name: points}
    model = reference(folder, s); rng = rng_of('criteria', 'tests'); d = s.order.d
    st = State(s.order, s.domain, Rows.empty(d), model, 0, s.T, np.empty((0, d))); st = replace(st, pool=pool(st, 6000, rng))
    near = near_variants(s.order, rng); x = np.linspace(.08, .92, 25); x = np.sort(np.r_[x, np.linspace(.43, .57, 35)])
    low = np.linalg.eigvalsh(model.hessian(st.pool)).min(1); soft = st.pool[low < 0]
    points = dict(uniform=billiard_walk(st, 200, rng), ordered=jitter(near, .03, s.domain, rng), path=minimum_path(model, s.order, s.domain, x),
                  unstable=soft[rng.permutation(len(soft))[:120]], boundary=boundary(st, 100, rng, margin=.02))
    own = rng_of('criteria', 'tests', 'strong'); many = (pool(st, 3000, own), slices(st, 3000, own, blend=.2)) # strong order at all compositions, however it came about
    return points | dict(strong=np.concatenate([p[order_strength(st, p) > .7][:60] for p in many]))

def test_sets(folder, s): # {name: Rows} of the test sets, measured with runs up to five times longer
    kept = folder/'tests'; kept.mkdir(exist_ok=True); lacking = [k for k in SETS if not (kept/f'{k}.csv').exists()]
    points = test_points(folder, s) if lacking else {}
    for name in lacking:
        p = s.domain.pull(points[name], 5e-3)
        rows = monte_carlo(s, 15000)(p, s.T, [seed_of('criteria', 'test', name, i) for i in range(len(p))], reference(folder, s).mu(p))
        keep(rows.frame(), kept/f'{name}.csv')
    sets = {k: Rows.from_frame(pd.read_csv(kept/f'{k}.csv')) for k in SETS}
    sets = {k: r[r.ok & s.domain.contains(r.eta, 1e-9)] for k, r in sets.items()}; soft = sets['unstable']
    return sets | {'unstable': soft[np.linalg.eigvalsh(np.nan_to_num(soft.H)).min(1) < 0]}


# ---- one task

def keep(table, path): # Writes a table so that it is whole or not there
    part = path.with_suffix(f'.{os.getpid()}'); table.to_csv(part, index=False); os.replace(part, path); return table

def table_of(folder, tests, **labels): # One line per round: rows asked for, those that trained, and sweeps so far; errors on the test sets, meV
    with Store(folder/'store.sqlite', write=False) as store: h = history(store.events())
    out = []
    for r, line in h.iterrows():
        model = load_model(folder/f'model_{r:03d}.npz'); e = {k: errors(model, rows) for k, rows in tests.items()}
        out.append(dict(**labels, round=r, asked=int(h.new[:r + 1].sum()), rows=int(line['rows']), sweeps=float(h.sweeps[:r + 1].sum()), seconds=line.seconds)
                   | {f'{k} {c}': 1e3*e[k][c] for k in e for c in ('mu0', 'mu_order')})
    return pd.DataFrame(out).round(4)

def place(folder, name, seed): return Path(folder)/name.replace(' ', '_').replace(',', '')/str(seed)

def task(folder, name, seed):
    "One strategy with one seed: the table of its learning"
    torch.set_num_threads(1); folder, here = Path(folder), place(folder, name, seed); s = system(); tests = test_sets(folder, s)
    group, how = strategies()[name]; how = dict(how); rounds = how.pop('rounds', ROUNDS); here.mkdir(parents=True, exist_ok=True)
    if not (here/'done').exists():
        Run(here, s, seed=seed, first=START, oracle=Remembering(monte_carlo(s, 3000), str(folder/'start')), test={}, pool=6000, warm=True,
            **({'fit': quick, 'model': SPEC} | how)).loop(rounds, progress=False)
        (here/'done').touch()
    if (here/'learning.csv').exists() and set(pd.read_csv(here/'learning.csv', nrows=1)) >= {f'{k} mu0' for k in SETS}: return pd.read_csv(here/'learning.csv')
    return keep(table_of(here, tests, strategy=name, group=group, seed=seed), here/'learning.csv')


# ---- known landscapes: does active learning pay where the answer is exact?

LANDSCAPES = { # name: (order parameters, form of the network, points of the start and of each of six rounds)
    'B2, 2 order parameters': (lambda: b2().order, IDNN(hidden=(16, 16), degree=4), 16, 12),
    'L1_2, 4 order parameters': (lambda: ni_al().order, IDNN(hidden=(20, 20), degree=4), 40, 25),
    'zig-zag, 7 order parameters': (lambda: system().order, SPEC, 100, 50)}

@dataclass(frozen=True)
class Known:
    "Stands in for a `System` of a known landscape"
    name: str; order: object; domain: object; T: float

def landscape(folder, which, name, seed):
    "One strategy on one known landscape, with slopes that have a noise of 0.5 meV: the table of its learning"
    torch.set_num_threads(1); here = place(Path(folder)/'landscapes'/which.split(',')[0], name, seed); done = here/'learning.csv'
    if done.exists(): return pd.read_csv(done)
    make, spec, start, each = LANDSCAPES[which]; order = make(); domain, exact = domain_of(order), landau(order); ask = strategies()[name][1]['ask']
    s, parts = Known(which, order, domain, 300.), np.cumsum([0, *ask.values()])*each/sum(ask.values()) # the same shares of fewer points
    numbers = {f: int(b) - int(a) for f, a, b in zip(ask, parts.round(), parts[1:].round())}
    here.mkdir(parents=True, exist_ok=True); rng = rng_of('landscape', which)
    Run(here, s, model=spec, seed=seed, first={billiard_walk: start}, ask=numbers, oracle=replace(exact, noise=5e-4), test={}, pool=3000, warm=True, fit=quick).loop(7, progress=False)
    near = near_variants(order, rng); points = dict(uniform=walk(domain, 150, rng), ordered=jitter(near, .03, domain, rng))
    tests = {k: exact(domain.pull(p, 5e-3), s.T, [0]*len(p)) for k, p in points.items()}
    return keep(table_of(here, tests, landscape=which, strategy=name, seed=seed), done)


def in_parallel(jobs, workers, end): # Does (function, arguments) until the time is up
    waiting, running = list(jobs), set()
    with ProcessPoolExecutor(workers, mp_context=get_context('spawn')) as pool, tqdm(total=len(jobs), unit='run') as bar:
        while waiting or running:
            while waiting and len(running) < workers and time.monotonic() < end:
                f, *a = waiting.pop(0); running.add(pool.submit(f, *a))
            if not running: break
            done = {f for f in running if f.done()}; running -= done
            for f in done: f.result(); bar.update() # raises what a run raised
            if not done: time.sleep(.2)

def main():
    p = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    p.add_argument('--hours', type=float, default=np.inf, help='begin nothing more after this time'); p.add_argument('--seeds', type=int, default=5, help='seeds of each strategy')
    p.add_argument('--landscape-seeds', type=int, default=20, help='seeds on each known landscape'); p.add_argument('--workers', type=int, default=os.cpu_count())
    p.add_argument('--only', nargs='*', help='names of strategies'); p.add_argument('--folder', type=Path, default=Path('runs/criteria'), help='where the runs are kept')
    p.add_argument('--out', type=Path, default=Path(__file__).parents[1]/'nbs'/'studies'/'criteria', help='where the tables go'); a = p.parse_args()
    end, names = time.monotonic() + 3600*a.hours, a.only or list(strategies())
    if odd := set(names) - set(strategies()): p.error(f"there is no strategy {', '.join(sorted(odd))}; there are {', '.join(strategies())}")
    a.folder.mkdir(parents=True, exist_ok=True); a.out.mkdir(parents=True, exist_ok=True); sets = test_sets(a.folder, system())
    jobs = [(task, str(a.folder), name, seed) for seed in range(a.seeds) for name in names]
    known = [(landscape, str(a.folder), which, name, seed) for seed in range(a.landscape_seeds) for which in LANDSCAPES for name in COMPARED if name in names]
    in_parallel(jobs, a.workers, end); found = [pd.read_csv(f) for n in strategies() for f in sorted(place(a.folder, n, 0).parent.glob('*/learning.csv'))] # of all calls
    if found: keep(pd.concat(found).sort_values(['strategy', 'seed', 'round'], kind='stable'), a.out/'learning.csv')
    in_parallel(known, a.workers, end); found = [pd.read_csv(f) for f in sorted((a.folder/'landscapes').glob('*/*/*/learning.csv'))]
    if found: keep(pd.concat(found).sort_values(['landscape', 'strategy', 'seed', 'round'], kind='stable'), a.out/'landscapes.csv')
    keep(pd.DataFrame([dict(set=k, rows=len(r), noise_mu0=1e3*np.sqrt((r.noise[:, 0]**2).mean()), noise_order=1e3*np.sqrt((r.noise[:, 1:]**2).mean()),
                            settled=r.converged.mean(), sweeps=r.sweeps.mean()) for k, r in sets.items()]).round(4), a.out/'tests.csv')


if __name__ == '__main__': main()
