"""The direct phase diagram of LixCoO2: boundaries of the zig-zag order from grand potentials, from exchanging chains, and what else orders.

    python tools/phase_diagram.py [--folder runs/phase_diagram] [--effort 1]

All that is finished is kept, and the same call goes on where it stopped. The notebook nbs/studies/phase_diagram.ipynb shows the results."""
import argparse, json, os, time
for name in ('OMP_NUM_THREADS', 'MKL_NUM_THREADS'): os.environ.setdefault(name, '1')
from fractions import Fraction
from pathlib import Path
import numpy as np
import pandas as pd
import torch
from tqdm import tqdm
from alfe.coexistence import Phase, balance, coexistence
from alfe.core import k_B, seed_of
from alfe.crystal import Supercell
from alfe.diagram import diagram
from alfe.free_energy import load
from alfe.kernel import lattice_of
from alfe.montecarlo import begin
from alfe.transitions import _cell, _start, sample
from study import keep, system # LixCoO2, pair-zigzag

GUESS = {220: -.1387, 240: -.128, 260: -.115, 280: -.0995, 290: -.0895, 300: -.0793, 310: -.0668, 320: -.0508, 326: -.0378, 330: -.026} # K: about where the phases coexist, eV
STUDY = Path(__file__).parents[1]/'nbs'/'studies'/'phase_diagram'
DEEP = -.2 # Chemical potential deep inside the disordered phase, eV
SOME = 220, 260, 300, 320 # K: temperatures of the other cells, and of the exchanging chains

def strength(eta): return np.linalg.norm(eta[..., 1:], axis=-1) # 1/2 for perfect order

def cell(n): s = system(); return s, lattice_of(s.expansion, s.order, _cell(s.order, n))

def boundary(n, T, effort, side=1): # Coexistence of the cell (n, n, n); side = −1 is the other half, x > 1/2
    s, lattice = cell(n)
    phases = Phase('ordered', 0., _start(lattice, s.order, s.order.variants[0]), lambda e: strength(e) > .3), Phase('disordered', side*DEEP, None, lambda e: strength(e) < .25)
    found = coexistence(s.expansion, s.order, phases, T, [side*GUESS[t] for t in T], size=n, samples=int(1000*effort), sweeps=4., replicas=8, seed=0 if side > 0 else 1, progress=False)
    return found.points.assign(N=lattice.N), found.curves.assign(N=lattice.N)

def exchanged(n, T, effort, K=16, ladders=4, half=.03): # Equal weight in ladders along μ that began in order and in disorder
    s, lattice = cell(n); mu = GUESS[T] + np.linspace(half, -half, K); P = 2*ladders*K
    start = np.where(np.arange(P)[:, None] < P//2, _start(lattice, s.order, s.order.variants[0]), np.random.default_rng(n).random((P, lattice.N)) < .45)
    chains = begin(lattice, [seed_of('exchanged', n, T, i) for i in range(P)], occupations=start.astype(np.int8))
    z = sample(lattice, chains, float(T), int(3000*effort), ('exchanged', n, T), 4., np.tile(mu, 2*ladders), ladder=K)[int(1000*effort):].reshape(-1, 2*ladders, K, lattice.d + 1)
    rows = []
    for i in range(2*ladders):
        y = z[:, i]; order = strength(y[..., :-1]) > .27
        try: v = balance(y[..., 0], y[..., -1], order, float(T), mu, lattice.N, (len(s.order.variants), 1))
        except ValueError: v = np.full(5, np.nan)
        rows.append(dict(N=lattice.N, T=T, start='ordered' if i < ladders else 'disordered', mu=v[0], x_ordered=v[1], x_disordered=v[2], share=order.mean(), strongest=strength(y[..., :-1]).mean(0).max()))
    return pd.DataFrame(rows)

def waves(lattice): # All wave vectors of the cell (N, 3) in units of the reciprocal primitive vectors
    M = lattice.cell.matrix; return np.round(Supercell(system().crystal, M.T).sites @ np.linalg.inv(M) % 1, 9) % 1

def flat(k): return np.round(np.stack([k[:, 0] - k[:, 1], k[:, 1] - k[:, 2]], 1) % 1, 9) % 1 # (N, 2) the part of wave vectors that lies in the layers

def survey(n, effort, chunks=20): # What orders: ladders of temperatures at many μ; amplitudes of zig-zag waves and of the strongest other wave, in the crystal and (…_layers) inside its layers, however these are stacked
    s, lattice = cell(n); T, mu = np.geomspace(400, 220, 14), np.linspace(-1.1, 0, 34); P = len(T)*len(mu); k = waves(lattice); F = np.exp(-2j*np.pi*k @ lattice.cell.sites.T)
    chains = begin(lattice, [seed_of('survey', n, i) for i in range(P)], np.full((P, s.order.n), .4)); z, S = [], 0
    for c in range(chunks):
        y = sample(lattice, chains, np.tile(T, len(mu)), int(75*effort), ('survey', n, c), 4., np.repeat(mu, len(T)), ladder=len(T))
        if c >= chunks//4: z.append(y); S = S + np.abs(F @ chains.n/lattice.N)**2
    z, S = np.concatenate(z), S/(chunks - chunks//4); star = np.isin(np.sort((4*k).round(6), 1), [1, 2, 3]).all(1) & (np.ptp(k, 1) == .5)
    q, label = np.unique(flat(k), axis=0, return_inverse=True); label = label.ravel(); S2 = np.stack([S[label == i].sum(0) for i in range(len(q))])
    minus = [int(np.flatnonzero((np.abs((q + v + .5) % 1 - .5) < 1e-6).all(1))[0]) for v in q]; zig = np.isin(np.arange(len(q)), label[star])
    other, other2 = np.where((star | (label == label[(k == 0).all(1)][0]))[:, None], 0, S), np.where((zig | (q == 0).all(1))[:, None], 0, S2 + S2[minus]); best = other2.argmax(0)
    name = ['(' + ' '.join(str(Fraction(float(v)).limit_denominator(48)) for v in min(q[b].tolist(), q[minus[b]].tolist())) + ')' for b in best]
    return pd.DataFrame(dict(N=lattice.N, T=np.tile(T, len(mu)), mu=np.repeat(mu, len(T)), x=z[..., 0].mean(0), zigzag=np.sqrt(S[star].sum(0)), zigzag_layers=np.sqrt(S2[zig].sum(0)), other=np.sqrt(2*other.max(0)), other_layers=np.sqrt(other2.max(0)), wave=name,
                             noise=np.sqrt(2*np.median(S, 0)), noise_layers=np.sqrt(2*np.median(S2, 0)), c=(z[..., -1] - lattice.N*np.repeat(mu, len(T))*z[..., 0]).var(0)/(lattice.N*(k_B*np.tile(T, len(mu)))**2)))

def learned(): # The phase diagram of the learned free energy around the ordering: {name of a table: table}
    said = json.loads((STUDY.parent/'temperature'/'numbers.json').read_text()); model = load(STUDY.parent/'temperature'/'model.npz')
    d = diagram(model, system().order, np.array([*GUESS, 340.]), np.linspace(.4, .6, 41), said['factor'], points=9)
    size = pd.concat([pd.DataFrame(dict(T=s.T, x=s.x, size=np.linalg.norm(s.eta[:, 1:], axis=1), mu=s.mu)) for s in d.sections])
    return {'learned': d.fields, 'learned_ends': d.ends, 'learned_line': d.line, 'learned_spinodal': d.spinodal, 'learned_sections': size}

def pieces(effort): # {name: what makes its tables}, in order of importance
    def both(n, *a): points, curves = boundary(n, *a); return {f'boundary {n}': points, f'curves {n}': curves}
    def chains(n, T): return lambda: {f'exchanged {n} {T}': exchanged(n, T, effort)}
    return {'boundary 4': lambda: both(4, list(GUESS), .75*effort), 'survey 3': lambda: {'survey 3': survey(3, effort)}, 'boundary 5': lambda: both(5, list(SOME), .3*effort), 'boundary 3': lambda: both(3, list(SOME), .75*effort), 'learned': learned} | \
        {f'exchanged 3 {T}': chains(3, T) for T in SOME} | {'mirror 4': lambda: {'mirror 4': boundary(4, [260, 300], .3*effort, -1)[0]}} | {f'exchanged 4 {T}': chains(4, T) for T in SOME[2:]}

def main():
    p = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    p.add_argument('--folder', type=Path, default=Path('runs/phase_diagram'), help='where finished pieces are kept'); p.add_argument('--effort', type=float, default=1., help='factor on the length of all runs')
    p.add_argument('--out', type=Path, default=STUDY, help='where the tables go'); a = p.parse_args(); torch.set_num_threads(1)
    a.folder.mkdir(parents=True, exist_ok=True); a.out.mkdir(parents=True, exist_ok=True)
    for name, make in tqdm(pieces(a.effort).items(), desc='phase diagram'):
        if (a.folder/f'{name}.csv').exists(): continue
        began = time.process_time(); made = make()
        for k in list(made)[::-1]: keep(made[k].assign(seconds=time.process_time() - began), a.folder/f'{k}.csv') # the one that is looked for comes last
    for name in ('boundary', 'curves', 'mirror', 'exchanged', 'survey'): # one table of all cells
        keep(pd.concat([pd.read_csv(f) for f in sorted(a.folder.glob(f'{name} *.csv'))], ignore_index=True).round(6), a.out/f'{name}.csv')
    for f in a.folder.glob('learned*.csv'): keep(pd.read_csv(f).round(6), a.out/f.name)


if __name__ == '__main__': main()
