"""The study that asks what a row is worth: fits the same rows with and without their error bars, curvatures and energies, and writes a small CSV file.

    python tools/information.py [--seeds 5] [--workers 2] [--hours 3] [--folder runs/information]

All that is finished is kept, and the same call goes on where it stopped. The notebook nbs/studies/information.ipynb shows the results."""
import argparse, functools, os, time
for name in ('OMP_NUM_THREADS', 'MKL_NUM_THREADS'): os.environ.setdefault(name, '1') # one worker, one core
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from multiprocessing import get_context
from pathlib import Path
import numpy as np
import pandas as pd
import torch
from alfe.core import Rows, State, rng_of, seed_of
from alfe.criteria import default_mix
from alfe.effort import Effort
from alfe.executors import landing
from alfe.idnn import IDNN
from alfe.loop import Run
from alfe.observations import Learn
from alfe.physics import wells
from alfe.pools import order_strength, pool
from alfe.space_filling import billiard_walk, slices, walk
from alfe.systems import ni_al
from alfe.train import errors, train
import study
from study import keep

COUNTS = 60, 120, 240, 480 # rows of the fits
RANGES = dict(lco=(200., 600.), nial=(1200., 2400.)) # K; the ordering temperatures are 331 K and 1,795 K
LENGTHS = dict(long=(300, 3000), short=(60, 60)) # least and largest sweeps of a measurement
plain = Learn(noise=False, energy=False, robust=0.)
VARIANTS = {'slopes': plain, '+ error bars': Learn(energy=False), '+ curvatures': Learn(energy=False, curvature=1), '+ energies': Learn(),
            'all': Learn(curvature=1, energy_slope=True)}
ONE = '+ error bars', '+ curvatures' # what there is to add at one temperature

def system(which): return study.system() if which == 'lco' else replace(ni_al(), size=(6, 6, 6)) # 2,048 and 864 sites

def monte_carlo(which, length):
    error = dict(lco=(1.5e-3, .4e-3), nial=(4e-3, 3e-3))[which]; least, most = LENGTHS[length]
    return system(which).monte_carlo(mu_error=error, min_sweeps=least, max_sweeps=most, threads=1)

def points(s, n, rng): # Uniform, in wells, on slices, and candidates that reach the ordered states, in random order
    st = State(s.order, s.domain, Rows.empty(s.order.d), None, 0, s.T, np.empty((0, s.order.d))); st = replace(st, pool=pool(st, n, rng)); k = n//4
    return s.domain.pull(np.concatenate([billiard_walk(st, n - 3*k, rng), wells(st, k, rng), slices(st, k, rng), st.pool[:k]]), 5e-3)[rng.permutation(n)]

def test_points(s, n, rng): # {name: (n, d)}: uniform; strongly ordered, whichever way it came about
    st = State(s.order, s.domain, Rows.empty(s.order.d), None, 0, s.T, np.empty((0, s.order.d))); many = np.concatenate([pool(st, 20*n, rng), slices(st, 20*n, rng, blend=.2)])
    return dict(uniform=walk(s.domain, n, rng), ordered=many[order_strength(st, many) > .7][rng.permutation(int((order_strength(st, many) > .7).sum()))[:n]])

def measured(folder, which, span, length, name, p): # Rows at the points p; kept
    path = Path(folder)/f'{which} {span} {length} {name}.csv'
    if not path.exists():
        low, high = RANGES[which]; T = 1/rng_of('information', which, name, 'T').uniform(1/high, 1/low, len(p)) if span == 'range' else np.full(len(p), system(which).T)
        mc = monte_carlo(which, length); mc = replace(mc, min_sweeps=1000, max_sweeps=4000) if name in ('uniform', 'ordered') else mc
        keep(mc(p, T, [seed_of('information', which, span, length, name, i) for i in range(len(p))]).frame(), path)
    rows = Rows.from_frame(pd.read_csv(path)); return rows[rows.ok & system(which).domain.contains(rows.eta, 1e-9)]

def tests(folder, which, span): return {k: measured(folder, which, span, 'long', k, p) for k, p in test_points(system(which), 150, rng_of('information', which, 'tests')).items()}

def judged(model, sets): # Errors on the test sets, meV
    out = {}
    for k, rows in sets.items():
        e = errors(model, rows); out |= {f'{k} {c}': 1e3*e[c] for c in ('mu0', 'mu_order')}
        if model.span:
            off = model.internal_energy(rows.eta, rows.T) - rows.energy; out[f'{k} energy'] = 1e3*np.std(off)
    return out

def task(folder, which, span, length, seed):
    "All fits to the rows of one seed: one line each"
    torch.set_num_threads(1); done = Path(folder)/f'{which} {span} {length} {seed} fits.csv'
    if done.exists(): return pd.read_csv(done)
    s, sets, out = system(which), tests(folder, which, span), []
    rows = measured(folder, which, span, length, str(seed), points(s, 520, rng_of('information', which, seed)))
    for n in COUNTS:
        for name, learn in VARIANTS.items():
            if span == 'one' and name not in ('slopes', *ONE): continue
            t = time.process_time(); model = train(IDNN(), s.order, s.domain, rows[:n], seed, committee=2, T=RANGES[which] if span == 'range' else None, steps=500, learn=learn)
            out.append(dict(material=which, temperatures=span, length=length, variant=name, seed=seed, rows=n, sweeps=rows[:n].sweeps.sum(), seconds=time.process_time() - t) | judged(model, sets))
    return keep(pd.DataFrame(out).round(4), done)


# ---- effort: runs of the loop with stiffness and accuracy from the model, against fixed ones

def quick(*args, init=None, **options): return train(*args, init=init, **{'steps': 300 if init else 500, **options})

def loops(folder, name, seed):
    "A run with or without `Effort`: one line per round"
    torch.set_num_threads(1); here = Path(folder)/f'loop {name} {seed}'; done = here/'learning.csv'; s, sets = system('lco'), tests(folder, 'lco', 'one')
    if done.exists(): return pd.read_csv(done)
    mc, effort = dict(fixed=(monte_carlo('lco', 'long'), None), effort=(replace(monte_carlo('lco', 'long'), min_sweeps=64, max_sweeps=3000), Effort()))[name]
    run = Run(here, s, seed=seed, ask=default_mix(100, s.order), oracle=mc, effort=effort, test={}, pool=4000, warm=True, fit=quick, committee=3).loop(5, progress=False)
    h = run.history
    return keep(pd.DataFrame([dict(variant=name, seed=seed, round=r, rows=line['rows'], sweeps=h.sweeps[:r + 1].sum(), measuring=h.measuring[:r + 1].sum()) | judged(run.model_of(r), sets) for r, line in h.iterrows()]).round(4), done)


def main():
    p = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    p.add_argument('--seeds', type=int, default=5, help='seeds of each setting'); p.add_argument('--workers', type=int, default=os.cpu_count())
    p.add_argument('--hours', type=float, default=np.inf, help='give up what is not done after this time'); p.add_argument('--folder', type=Path, default=Path('runs/information'), help='where rows and fits are kept')
    p.add_argument('--out', type=Path, default=Path(__file__).parents[1]/'nbs'/'studies'/'information', help='where the tables go'); a = p.parse_args()
    a.folder.mkdir(parents=True, exist_ok=True); a.out.mkdir(parents=True, exist_ok=True)
    for which in RANGES:
        for span in ('one', 'range'): tests(a.folder, which, span)
    jobs = [(('fits', which, span, length, seed), functools.partial(task, a.folder, which, span, length, seed))
            for seed in range(a.seeds) for which in RANGES for span, length in (('range', 'long'), ('one', 'long'), ('range', 'short')) if (which, length) != ('nial', 'short')]
    jobs += [(('loop', name, seed), functools.partial(loops, a.folder, name, seed)) for seed in range(min(a.seeds, 3)) for name in ('fixed', 'effort')]
    with ProcessPoolExecutor(a.workers, mp_context=get_context('spawn')) as executor:
        for key, future in landing(jobs, executor, 3600*a.hours if a.hours < np.inf else None):
            print(*key, 'failed' if future is None else f'{len(future.result())} lines', flush=True)
    for pattern, name, by in (('* fits.csv', 'fits', ['material', 'temperatures', 'length', 'seed', 'rows']), ('loop */learning.csv', 'loops', ['variant', 'seed', 'round'])):
        found = [pd.read_csv(f) for f in sorted(a.folder.glob(pattern))]
        if found: keep(pd.concat(found).sort_values(by, kind='stable'), a.out/f'{name}.csv')


if __name__ == '__main__': main()
