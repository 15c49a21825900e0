"""What one round of a run costs besides Monte Carlo and training, measured on one core in one run.

    OMP_NUM_THREADS=1 python benchmarks/round.py [candidates] [seconds per row]

In the seven dimensions of zig-zag LixCoO2, with a committee of four networks and 1,000 rows, a round makes a pool of 100,000
candidates, predicts free energy, slopes and curvature at all of them, asks every criterion for 100 points, chooses new ones among
those, and judges a new model on 500 rows. Rows and model come from a known landscape; how good they are does not matter here.
The times are those of the processor. The last lines sum them up, for the default mix of criteria and for all of them, per point that
was new; given the seconds that Monte Carlo takes for one row (see `history` of a run: seconds and rows), also as a share of that.
"""
import sys, time
from dataclasses import replace
import numpy as np
import torch
from alfe import select
from alfe.core import Rows, State, rng_of, seed_of
from alfe.criteria import CRITERIA, default_mix
from alfe.idnn import IDNN
from alfe.oracle import landau
from alfe.pools import pool
from alfe.space_filling import slices
from alfe.systems import lco_zigzag
from alfe.train import errors, train

ASKED, ROWS, NEW = 100, 1000, 500

def timed(name, f, table):
    "Result of f(); its processor time goes into the table {name: seconds}"
    start = time.process_time(); result = f(); table[name] = time.process_time() - start
    print(f'{name:36s} {table[name]:8.2f}', flush=True)
    return result

def measured(system, n, seed):
    "Rows of a known landscape at points of a pool, as if asked for in the last of three rounds"
    empty = State(system.order, system.domain, Rows.empty(system.order.d), None, 0, 300., np.empty((0, system.order.d)))
    rows = landau(system.order, noise=3e-4)(pool(empty, n, rng_of(seed)), 300., [seed_of(seed, i) for i in range(n)])
    return rows.replace(round=np.arange(n)*3//n, by='walk')

def start(system):
    "What is known when the round begins, without a pool; and two models"
    rows = measured(system, ROWS, 1)
    old, model = (train(IDNN(), system.order, system.domain, rows[:k], seed=0, steps=100) for k in (ROWS*2//3, ROWS))
    missed = np.where((rows.round == 2)[:, None], old.mu(rows.eta) - rows.mu, np.nan)
    return State(system.order, system.domain, rows, model, 3, 300., np.empty((0, system.order.d)), missed), old

def main(candidates=100_000, per_row=None):
    torch.set_num_threads(1); system, table = lco_zigzag(T=300.), {}
    state, old = start(system); new = measured(system, NEW, 2)
    print(f'{"part of the round":36s} {"seconds":>8}')
    state = replace(state, pool=timed(f'pool of {candidates:,}', lambda: pool(state, candidates, rng_of('pool')), table))
    timed('g, μ and H of the pool', lambda: state.predicted, table)
    offers = {f.__name__: timed(f.__name__, lambda: f(state, ASKED, rng_of(f.__name__)), table) for f in CRITERIA}
    known = state.rows.eta
    def choose():
        points = known
        for offer in offers.values(): points = np.concatenate([points, select.first_new(state, offer, ASKED, points)])
        return len(points) - len(known)
    rows = timed('first_new of all offers', choose, table)
    timed(f'judging {NEW} rows', lambda: [errors(m, new[a:a + NEW//5]) for a in range(0, NEW, NEW//5) for m in (old, state.model)] + [errors(old, new)], table)
    for name, asked in (('default mix', [f.__name__ for f in default_mix(order=system.order)]), ('all criteria', list(offers))):
        total = sum(s for part, s in table.items() if part in asked or part not in offers); each = total/(rows*len(asked)/len(offers))
        share = f', {each/per_row:.1%} of the {1e3*per_row:.0f} ms of Monte Carlo' if per_row else ''
        print(f'{"sum, " + name:36s} {total:8.2f}   {1e3*each:.1f} ms per new point{share}')
    print('other ways to choose 100 of 300:'); many = slices(state, 300, rng_of('many'), blend=.2)
    for f in (select.novelty, select.spread_out): timed(f.__name__, lambda: f(state, many, ASKED, known, rng_of('choose')), table)

if __name__ == '__main__': main(*(kind(a) for kind, a in zip((int, float), sys.argv[1:3])))
