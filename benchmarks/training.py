"""Time of a fit and its error against the number of rows, measured in one run on one core.

    OMP_NUM_THREADS=1 python benchmarks/training.py [monte-carlo]

A committee of four networks with the default settings learns a seven-dimensional free energy with the symmetry of zig-zag
LixCoO2 from slopes at points uniform in the domain. By default the slopes are those of a known landscape (six pairs of wells,
ideal mixing, 300 K) with a noise of 0.3 meV, and the errors are exact. With `monte-carlo` they are measured by biased Monte Carlo
(pair-zigzag expansion at 380 K, 4,000 sites, 0.3 meV; about a minute more on one core), and the errors contain the noise of the
256 test rows (0.1 meV). The last lines compare a warm with a cold start, and time the model on 20,000 points.
"""
import sys, time
import numpy as np
import torch
from alfe.core import seed_of
from alfe.idnn import IDNN
from alfe.oracle import landau
from alfe.systems import lco_zigzag
from alfe.train import errors, train

ROWS = (60, 125, 250, 500, 1000)

def uniform(domain, n, seed):
    "n points, uniform in the domain: hit-and-run from the centre"
    rng, eta = np.random.default_rng(seed), np.tile(domain.center, (n, 1))
    for _ in range(60):
        v = rng.normal(size=(n, domain.d)); lo, hi = domain.chord(eta, v)
        eta = domain.pull(eta + (lo + (hi - lo)*rng.random(n))[:, None]*v, 1e-9)
    return eta

def measured(oracle, system, n, seed, T):
    "Rows of an oracle at uniform points"
    return oracle(uniform(system.domain, n, seed), T, [seed_of(seed, i) for i in range(n)])

def data(system, kind):
    "Training rows, test rows and what they are"
    if kind == 'monte-carlo':
        at = lambda error: system.monte_carlo(mu_error=(error, error), max_sweeps=2048)
        return measured(at(3e-4), system, max(ROWS), 1, 380.), measured(at(1e-4), system, 256, 2, 380.), 'Monte Carlo, pair-zigzag, 380 K'
    return measured(landau(system.order, noise=3e-4), system, max(ROWS), 1, 300.), measured(landau(system.order), system, 500, 2, 300.), 'known landscape, noise 0.3 meV'

def timed(f):
    "Result and wall time of f()"
    start = time.perf_counter(); result = f()
    return result, time.perf_counter() - start

def main(kind=''):
    torch.set_num_threads(1); system = lco_zigzag(T=380. if kind else 300.)
    rows, test, what = data(system, kind)
    print(f'{what}; spread of the test slopes: {1e3*test.mu[:, 0].std():.0f} meV (μ0), {1e3*test.mu[:, 1:].std():.2f} meV (μ1…6)')
    print(f'{"rows":>6} {"seconds":>8} {"μ0 (meV)":>9} {"μ1…6 (meV)":>11}')
    for n in ROWS:
        model, seconds = timed(lambda: train(IDNN(), system.order, system.domain, rows[:n], seed=0)); e = errors(model, test)
        print(f'{n:6d} {seconds:8.1f} {1e3*e["mu0"]:9.2f} {1e3*e["mu_order"]:11.3f}', flush=True)
    half = train(IDNN(), system.order, system.domain, rows[:max(ROWS)//2], seed=0)
    for name, given in (('cold', dict(rate=.01)), ('warm', dict(init=half, rate=.003))):
        model, seconds = timed(lambda: train(IDNN(), system.order, system.domain, rows, seed=0, steps=200, **given)); e = errors(model, test)
        print(f'{name} start, 200 steps, {len(rows)} rows: {seconds:.1f} s, {1e3*e["mu0"]:.2f} and {1e3*e["mu_order"]:.3f} meV')
    points = uniform(system.domain, 20_000, 3)
    for name, f in (('μ of each member', model.mu_members), ('H', model.hessian)): print(f'{name} at 20,000 points: {timed(lambda: f(points))[1]:.1f} s')

if __name__ == '__main__': main(*sys.argv[1:2])
