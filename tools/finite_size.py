"""The study of the cell: slopes and curvatures of LixCoO2 in cells of 256 to 6,912 sites, as small CSV files.

    python tools/finite_size.py [--flips 6e7] [--folder nbs/studies/finite_size]

Takes some ten minutes of one core with the default number of flips. The notebook nbs/studies/finite_size.ipynb shows the results."""
import argparse, os
for name in ('OMP_NUM_THREADS', 'MKL_NUM_THREADS'): os.environ.setdefault(name, '1')
from pathlib import Path
import numpy as np
import pandas as pd
from tqdm import tqdm
from alfe.core import seed_of
from alfe.space_filling import walk
from alfe.systems import lco_zigzag

SIZES = {32*n**3: (n, n, n) for n in (2, 3, 4, 5, 6)} # sites: multiples of the order-parameter cell
BIAS = {'standard': (5.,) + (.5,)*6, 'soft': (1.,) + (.2,)*6, 'softest': (.1,) + (.01,)*6} # φ, eV/site
PLANE = [(.1, 0, 300), (.25, 0, 300), (.4, 0, 300), (.5, 0, 300), (.75, 0, 300), # disordered
         (.5, .1, 300), (.5, .2, 300), (.5, .3, 300), (.5, .4, 300), (.5, .45, 300), (.45, .35, 300), (.4, .3, 300), (.6, .2, 300), # towards a variant
         (.5, 0, 350), (.5, .2, 350), (.5, .35, 350), (.25, 0, 350)] # above the ordering temperature: x, η₁, K
COPIES, STEP, AT = 3, .03, 864 # independent runs of each point; step in η and cell for the derivatives of the curvature
GENTLE, LONG = [0, 1, 4, 11, 16], [3, 5, 6, 7, 8, 9, 17, 18, 19] # points of one phase that are run with the softest bias, too; points that are run four times longer once more

def points(system): # (p, 7) points and (p,) temperatures: the plane of x and η₁, and three anywhere in the domain
    plane = np.zeros((len(PLANE), 7)); plane[:, :2] = np.array(PLANE)[:, :2]
    far = walk(system.domain, 400, np.random.default_rng(5)); far = far[system.domain.distance(far) > .04][::25][:3]
    return np.vstack([plane, far]), np.r_[np.array(PLANE)[:, 2], np.full(len(far), 300.)]

def directions(system, eta): # Axes along which symmetry lets a slope differ from zero at η
    G = system.order.group; still = G[np.abs(G @ eta - eta).max(1) < 1e-9].mean(0)
    return np.flatnonzero(np.abs(still).max(1) > 1e-9)

def oracle(system, N, phi, flips): # `flips` attempted flips per run, at least 512 sweeps
    sweeps = max(512, int(flips/N))
    return system.monte_carlo(size=SIZES[N], phi=phi, mu_error=1e-9, min_sweeps=sweeps/8, max_sweeps=sweeps, threads=1)

def averaged(rows, target): # One line per point from its COPIES rows, with the slope moved to the `target` points by the measured curvature; slopes in meV/site
    n = len(target); out = {}
    H, se = rows.H.reshape(n, COPIES, 7, 7), rows.H_se.reshape(n, COPIES, 7, 7)
    mu = (rows.mu + np.einsum('rij,rj->ri', rows.H, np.repeat(target, COPIES, 0) - rows.eta)).reshape(n, COPIES, 7); noise = rows.noise.reshape(n, COPIES, 7)
    for i in range(7): out |= {f'mu_{i}': 1e3*mu[..., i].mean(1), f'mu_se_{i}': 1e3*np.sqrt((noise[..., i]**2).sum(1))/COPIES}
    out |= {'scatter': (((mu - mu.mean(1, keepdims=True))/noise)**2).sum((1, 2)), 'moved': np.abs(rows.eta.reshape(n, COPIES, 7) - target[:, None]).max((1, 2))}
    for i, j in zip(*np.triu_indices(7)):
        out[f'H_{i}_{j}'] = H[..., i, j].mean(1)
        if i == j: out[f'H_se_{i}'] = np.sqrt((se[..., i, i]**2).sum(1))/COPIES
    return pd.DataFrame(out | {'sweeps': rows.sweeps.reshape(n, -1).mean(1), 'acceptance': rows.acceptance.reshape(n, -1).mean(1)})

def table(name, s, N, flips, eta, T, mu, labels): # Rows of one cell and one bias as a table, one line per point
    n = len(eta); run = oracle(s, N, BIAS[name], flips); kappa = np.repeat(eta + mu/(2*run.phis), COPIES, 0) # the same bias in all cells
    rows = run(np.repeat(eta, COPIES, 0), np.repeat(T, COPIES), [seed_of(name, N, i) for i in range(n*COPIES)], kappa=kappa)
    head = pd.DataFrame({'bias': name, 'N': N, 'point': labels, 'T': T, **{f'eta_{i}': eta[:, i] for i in range(7)}})
    return pd.concat([head, averaged(rows, eta)], axis=1)

def sides(s, eta, T, mu, H, flips): # Curvatures a step to either side of every point, along the axes that symmetry leaves
    k, i, sign = map(np.array, zip(*[(k, i, sign) for k in range(len(eta)) for i in directions(s, eta[k]) for sign in (-1, 1)]))
    run = oracle(s, AT, BIAS['standard'], flips); target = eta[k] + STEP*sign[:, None]*np.eye(7)[i]
    guess = mu[k] + np.einsum('rij,rj->ri', H[k], target - eta[k])
    rows = run(target, T[k], [seed_of('step', j) for j in range(len(k))], kappa=target + guess/(2*run.phis))
    out = {'point': k, 'axis': i, 'sign': sign, **{f'eta_{i}': rows.eta[:, i] for i in range(7)}}
    for i, j in zip(*np.triu_indices(7)): out |= {f'H_{i}_{j}': rows.H[:, i, j], f'H_se_{i}_{j}': rows.H_se[:, i, j]}
    return pd.DataFrame(out)

def main(flips, folder):
    s = lco_zigzag('pair-zigzag'); eta, T = points(s); p = np.arange(len(eta)); folder = Path(folder); folder.mkdir(exist_ok=True)
    save = lambda t, name: t.to_csv(folder/f'{name}.csv', index=False, float_format='%.7g')
    pilot = oracle(s, 2048, BIAS['standard'], flips/10)(eta, T, [seed_of('pilot', i) for i in p])
    mu = pilot.mu + np.einsum('rij,rj->ri', pilot.H, eta - pilot.eta)
    with tqdm(total=2*len(SIZES) + 4) as bar:
        def tick(x): bar.update(); return x
        save(pd.concat([tick(table(name, s, N, flips, eta, T, mu, p)) for name in ('standard', 'soft') for N in SIZES]), 'cells')
        save(tick(sides(s, eta, T, mu, pilot.H, 3*flips)), 'steps')
        save(pd.concat([tick(table('softest', s, N, flips, eta[GENTLE], T[GENTLE], mu[GENTLE], np.array(GENTLE))) for N in (256, 864)]), 'softest')
        save(tick(table('standard', s, 4000, 4*flips, eta[LONG], T[LONG], mu[LONG], np.array(LONG))), 'longer')

if __name__ == '__main__':
    ask = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ask.add_argument('--flips', type=float, default=6e7, help='attempted flips of each of the 60 runs of a cell')
    ask.add_argument('--folder', default='nbs/studies/finite_size')
    main(**vars(ask.parse_args()))
