"""The study of one free energy for 200 to 600 K: learns it, tests it at temperatures with and without rows, and compares it with direct Monte Carlo.

    python tools/temperature.py [--folder runs/temperature]

All that is finished is kept, and the same call goes on where it stopped. The notebook nbs/studies/temperature.ipynb shows the results."""
import argparse, json, os, time
for name in ('OMP_NUM_THREADS', 'MKL_NUM_THREADS'): os.environ.setdefault(name, '1') # one worker, one core
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
import numpy as np
import pandas as pd
import torch
from alfe.calibration import calibrate, held_out
from alfe.core import Rows, State, k_B, rng_of, seed_of
from alfe.criteria import default_mix
from alfe.idnn import IDNN
from alfe.loop import Run
from alfe.minima import minimum_path
from alfe.montecarlo import begin
from alfe.phases import disordering, heat_capacity
from alfe.physics import jitter
from alfe.pools import order_strength, pool
from alfe.space_filling import slices, walk
from alfe.temperatures import temperatures
from alfe.train import errors, train
from alfe.transitions import order_disorder, sample
from alfe.tune import load_model
from study import keep, monte_carlo, system # LixCoO2, 2,048 sites

SPAN, ROUNDS, ROUND, FOCUS = (200., 600.), 8, 200, (290., 380.) # K; rounds and rows of each; where a few more are measured, K
UNSEEN = (260., 420.), (330., 520.) # K: what each of two fits must do without, and HALF a window on both sides
HALF, STEPS = 20., 1000 # K; of the last fits
GRID = np.array([210., 230, 250, 270, 290, 305, 320, 328, 336, 350, 370, 400, 440, 480, 530, 590]) # of the heat capacity along T, K

def fit(*args, init=None, **options): return train(*args, init=init, **{'steps': 300 if init else 600, **options}) # between the rounds

def last(rows): return train(IDNN(), system().order, system().domain, rows, 0, committee=4, T=SPAN, steps=STEPS) # from scratch

def timed(folder, name, make): # Result of make(), whose seconds (wall clock and processor) are added to those spent before
    wall, cpu, path = time.time(), time.process_time(), folder/f'{name}.json'; result = make()
    old = json.loads(path.read_text()) if path.exists() else (0, 0); path.write_text(json.dumps([old[0] + time.time() - wall, old[1] + time.process_time() - cpu])); return result

def measured(folder, name, points, T, longest): # Rows; kept
    path = folder/f'{name}.csv'
    if not path.exists(): keep(monte_carlo(system(), longest)(points, T, [seed_of('temperature', name, i) for i in range(len(points))]).frame(), path)
    rows = Rows.from_frame(pd.read_csv(path)); return rows[rows.ok & system().domain.contains(rows.eta, 1e-9)]


# ---- learning

def focus(n=192, empty=64): # Points on the lines from disorder to the variants at x = 1/2, at temperatures around the transition; and points close to the empty host, from which entropies count
    s, rng = system(), rng_of('temperature', 'focus'); v = s.order.variants[rng.integers(len(s.order.variants), size=n)].copy(); v[:, 1:] *= rng.uniform(size=(n, 1))
    line, T = jitter(v, .02, s.domain, rng), rng.uniform(*FOCUS, n); corner = walk(s.domain, empty, rng)*rng.uniform(.02, .3, (empty, 1))
    return np.concatenate([line, corner]), np.r_[T, 1/rng.uniform(1/SPAN[1], 1/SPAN[0], empty)]

def gathered(folder):
    "The run of active learning, and all rows that train: its own and those of the focus"
    s = system(); run = Run(folder/'run', s, T=SPAN, ask=default_mix(ROUND, s.order), oracle=monte_carlo(s, 3000), test={'uniform': 150}, pool=8000, fit=fit, warm=True)
    for r in range(ROUNDS):
        if len(run.history) <= r: timed(folder, 'rounds', lambda: run.loop(r + 1, progress=False)); print(run.history.round(2).iloc[-1:].to_string(header=r == 0), flush=True)
    found = run.rows; p, T = focus(); return run, Rows.concat([found[found.ok], timed(folder, 'focus', lambda: measured(folder, 'focus', p, T, 6000))])

def fitted(folder, rows, out=()):
    "The model of all rows but those in the windows around the temperatures `out`; kept"
    torch.set_num_threads(1); path = folder/f"model{''.join(f' without {T:g}' for T in out)}.npz"
    if not path.exists(): timed(folder, path.stem, lambda: last(rows[(np.abs(rows.T[:, None] - np.array(out)) > HALF).all(1)]).save(path))
    return load_model(path)


# ---- temperatures with and without rows

def test_points(n, name): # {set: (n, d)}: uniform; strongly ordered, whichever way it came about
    s, rng = system(), rng_of('temperature', name); st = State(s.order, s.domain, Rows.empty(s.order.d), None, 0, s.T, np.empty((0, s.order.d)))
    many = np.concatenate([pool(st, 20*n, rng), slices(st, 20*n, rng, blend=.2)]); strong = np.flatnonzero(order_strength(st, many) > .7)
    return dict(uniform=walk(s.domain, n, rng), ordered=many[rng.permutation(strong)[:n]])

def windows(folder): # {T: {set: Rows}} at the temperatures in the middle of the windows
    out = {}
    for T in sum(UNSEEN, ()):
        p = test_points(64, f'tests {T:g}'); p['ordered'] = p['ordered'][:32]
        out[T] = {k: measured(folder, f'{k} {T:g}', v, np.full(len(v), T), 6000) for k, v in p.items()}
    return out

def between(folder, n=128): # The same uniform points at a temperature of the rounds, and half-way to the next one
    at = np.unique(np.concatenate([temperatures(SPAN, 8, r) for r in range(ROUNDS)])); rng = rng_of('temperature', 'between'); i = rng.integers(len(at) - 1, size=n)
    p = test_points(n, 'between')['uniform']; T = dict(asked=at[i + rng.integers(2, size=n)], between=(at[i] + at[i + 1])/2)
    return {k: measured(folder, k, p, t, 6000) for k, t in T.items()}

def told(model, rows, /, **what): # One line: errors and their standard errors, meV
    return what | dict(rows=len(rows)) | {k: 1e3*v for k, v in errors(model, rows).items() if k != 'each'}

def unseen(folder, model, blinds):
    "Errors at temperatures that the rounds asked for, between them, and in the middle of windows without rows"
    out, middle = [told(model, r, T=np.nan, set='uniform', model=k) for k, r in between(folder).items()], windows(folder)
    for pair, blind in zip(UNSEEN, blinds):
        for T, sets in middle.items():
            out += [told(blind, r, T=T, set=k, model='unseen' if T in pair else 'seen') for k, r in sets.items()]
    return pd.DataFrame(out + [told(model, r, T=T, set=k, model='all rows') for T, sets in middle.items() for k, r in sets.items()]).round(4)


# ---- thermodynamics

def compared(folder, model, empty):
    "Every test row against the model: slopes, energy, heat capacity at constant order parameters"
    sets = [(k, r) for k, r in between(folder).items()] + [(f'{k} {T:g}', r) for T, s in windows(folder).items() for k, r in s.items()]; out = []
    for name, r in sets:
        th, off, noise = model.thermal_members(r.eta, r.T), model.mu(r.eta, r.T) - r.mu, r.noise; rms = lambda a: np.sqrt((a[:, 1:]**2).mean(1))
        out.append(pd.DataFrame(dict(set=name, T=r.T, x=r.eta[:, 0], order=np.linalg.norm(r.eta[:, 1:], axis=1), settled=r.converged, mu0_off=1e3*off[:, 0], mu0_noise=1e3*noise[:, 0], order_off=1e3*rms(off), order_noise=1e3*rms(noise),
                                     u=r.energy, u_se=r.energy_se, u_model=th['u'].mean(0) + empty, heat=r.heat, heat_se=r.heat_se, heat_model=th['heat'].mean(0), heat_std=th['heat'].std(0, ddof=1))))
    return pd.concat(out, ignore_index=True).round(6)

def held(model, x, empty, samples=800, replicas=8, grid=GRID):
    "Direct Monte Carlo at a fixed composition: energy and heat capacity from its fluctuations"
    s = system(); mc = monte_carlo(s, 3000); lattice, domain, N = mc.lattice, s.domain, mc.N; T = np.repeat(grid, replicas)
    path = np.concatenate([minimum_path(model.at(t), s.order, domain, [x]) for t in grid]); mu = np.array([model.at(t).mu(e[None])[0, 0] for t, e in zip(grid, path)])
    c = np.clip([s.order.compositions(e) for e in np.repeat(path, replicas, 0)], 0, 1); n = (rng_of('temperature', 'held', f'{x}').random((len(T), N)) < c[:, lattice.sublattice]).astype(np.int8)
    phi, kappa = np.zeros((len(T), s.order.d)), np.full((len(T), s.order.d), .5); phi[:, 0] = 25*k_B*T; kappa[:, 0] = x + np.repeat(mu, replicas)/(2*phi[:, 0])
    z = sample(lattice, begin(lattice, [seed_of('temperature', 'held', f'{x}', i) for i in range(len(T))], occupations=n), T, samples, ('temperature', 'held', f'{x}'), 2., 0., kappa, phi)[samples//4:]
    v, E = z[..., 0] - z[..., 0].mean(0), z[..., -1] - z[..., -1].mean(0); slope = (v*E).mean(0)/(v*v).mean(0)
    c = ((E - slope*v)**2).mean(0)/(N*(k_B*T)**2); u = (z[..., -1].mean(0) - slope*(z[..., 0].mean(0) - x))/N; each = lambda a: a.reshape(-1, replicas)
    strength = np.linalg.norm(z[..., 1:-1], axis=-1).mean(0); se = lambda a: each(a).std(1, ddof=1)/np.sqrt(replicas)
    return pd.DataFrame(dict(x=x, T=grid, c=each(c).mean(1), c_se=se(c), u=each(u).mean(1), u_se=se(u), order=each(strength).mean(1), landed=each(z[..., 0].mean(0)).mean(1),
                             u_model=[model.internal_energy(e[None], t)[0] + empty for e, t in zip(path, grid)]))

def heats(model, empty, factor):
    "Heat capacity along T at two compositions, of the model and direct"
    return pd.concat([held(model, x, empty).merge(heat_capacity(model, system().order, x, GRID, factor).rename(columns=dict(c='c_model', c_se='c_model_se', order='order_model')), on='T') for x in (.3, .5)], ignore_index=True).round(6)

def profiles(model, Ts=(220., 300., 332., 400., 600.)):
    "Along the composition, in equilibrium: order, free energy, slope, entropy, energy"
    s, x, out = system(), np.linspace(.02, .98, 49), []
    for T in Ts:
        eta = minimum_path(model.at(T), s.order, s.domain, x); th = model.thermal_members(eta, np.full(len(x), T))
        out.append(pd.DataFrame(dict(T=T, x=x, order=np.linalg.norm(eta[:, 1:], axis=1), g=model.g(eta, T), mu=model.mu(eta, T)[:, 0], s=th['s'].mean(0)/k_B, s_std=th['s'].std(0, ddof=1)/k_B, u=th['u'].mean(0))))
    return pd.concat(out).round(6)


# ---- order and disorder

def direct(folder): # Direct determination, and its numbers
    s, path = system(), folder/'branches.csv'
    if not path.exists():
        found = timed(folder, 'direct', lambda: order_disorder(s.expansion, s.order, size=(4, 4, 4), progress=False)); keep(found.curves, path)
        (folder/'direct T.json').write_text(json.dumps(dict(T=found.T, error=found.error, latent=found.latent, heating=found.heating, cooling=found.cooling)))
    return json.loads((folder/'direct T.json').read_text())

def main():
    p = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    p.add_argument('--folder', type=Path, default=Path('runs/temperature'), help='where rows and models are kept'); p.add_argument('--workers', type=int, default=2)
    p.add_argument('--out', type=Path, default=Path(__file__).parents[1]/'nbs'/'studies'/'temperature', help='where the tables go'); a = p.parse_args()
    folder, out, s = a.folder, a.out, system(); folder.mkdir(parents=True, exist_ok=True); out.mkdir(parents=True, exist_ok=True); torch.set_num_threads(1)
    run, rows = gathered(folder); keep(run.history.round(4).reset_index(), out/'rounds.csv')
    with ProcessPoolExecutor(a.workers, mp_context=get_context('spawn')) as executor:
        jobs = [executor.submit(fitted, folder, rows, w) for w in ((), *UNSEEN)]; between(folder); windows(folder); true = direct(folder); model, *blinds = [j.result() for j in jobs]
    model.save(out/'model.npz'); empty = monte_carlo(s, 3000).empty; keep(pd.read_csv(folder/'branches.csv').round(7), out/'branches.csv')
    keep(unseen(folder, model, blinds), out/'unseen.csv'); keep(compared(folder, model, empty), out/'tests.csv')
    factor = calibrate(held_out(model, rows), s.order).factor; found = disordering(model, s.order, .5, (290., 400.), 12, factor, zero=.2)
    keep(found.curves.round(7), out/'difference.csv'); keep(profiles(model), out/'profiles.csv'); keep(heats(model, empty, factor), out/'heats.csv')
    seconds = {f.stem: json.loads(f.read_text()) for f in sorted(folder.glob('*.json')) if f.stem != 'direct T'}
    numbers = dict(direct=true, model={k: getattr(found, k) for k in ('T', 'error', 'order', 'latent', 'latent_error', 'heating', 'cooling')} | dict(members=found.members.tolist()), factor=factor, rows=len(rows), sweeps=float(rows.sweeps.sum()),
                   unsettled=float((~rows.converged).mean()), empty=empty, empty_model=model.notes['energy_of_empty'], validation=model.notes['validation'], seconds=seconds)
    (out/'numbers.json').write_text(json.dumps(numbers, indent=1)); print(json.dumps(numbers, indent=1))


if __name__ == '__main__': main()
