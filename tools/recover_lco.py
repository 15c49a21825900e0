"""Interactions of LixCoO2 from the published Monte Carlo rows:  python tools/recover_lco.py REFERENCE --out runs/recovered

REFERENCE is the folder with lco_zigzag_300K_rows.csv: 642 rows (η, μ) at 300 K with 6,912 Li sites, from the test data
that J. Holber and K. Garikipati publish with the code of arXiv:2503.07619. The rows are theirs and are not part of alfe.
Half of the rows is used; the other half is for the judgement in nbs/studies/recovered_interactions.ipynb. The stages
begin with few interactions, few rows and short runs. Every round is saved; the same command goes on after an interruption."""
import argparse, json
from dataclasses import replace
from pathlib import Path
import numpy as np
import pandas as pd
from alfe.core import Rows
from alfe.cluster import diameters, load, occupy, orbits
from alfe.crystal import Supercell, lco
from alfe.inverse import cross_validation, from_chemical_potentials, prior, without
from alfe.montecarlo import MonteCarlo
from alfe.order import from_star
from alfe.systems import lco_expansion

SMALL, LARGE = {2: 8.6, 3: 5.7}, {2: 11.6, 3: 6.6, 4: 5.8}
STAGES = [(SMALL, 128, 4, 150), (LARGE, 192, 5, 150), (LARGE, 321, 1, 200), (LARGE, 321, 4, 250)]  # cutoffs, rows, rounds, sweeps
SOURCE = ("Interactions found by alfe (chapter inverse, tools/recover_lco.py) from half of the 642 Monte Carlo rows, at 300 K and with 6,912 sites, that J. Holber and "
          "K. Garikipati publish with the code of arXiv:2503.07619; the first-principles interactions behind those rows are not public. They give the chemical potentials "
          "of the other half within the errors in the study recovered_interactions. What the rows do not visit is extrapolated: compositions outside 0.13 to 0.88, "
          "strongly ordered states, ground states, other temperatures. The energies have no reference but the chemical potentials.")


def published(folder):
    "The rows in alfe's order parameters, and a permutation whose first half is for fitting"
    table = pd.read_csv(Path(folder)/'lco_zigzag_300K_rows.csv')
    P = np.eye(7)[[0, 1, 2, 3, 5, 6, 4]]*np.array([1, 1, 1, 1, 1, -1, -1])[:, None]  # theirs = P @ ours: study published_rows
    eta, mu = (table[[f'{k}_{i}' for i in range(7)]].to_numpy() @ P for k in ('eta', 'mu'))
    return Rows.of(eta, mu, table['T'].to_numpy(float), phi_untracked=.05), np.random.default_rng(0).permutation(len(table))


def groups(expansion, last):
    "Errors on rows left out when groups of interactions are left out: the linear problem of the last round"
    size = np.array([o.shape[1] for o in expansion.orbits])
    diameter = diameters(expansion.crystal, expansion.orbits)
    kept = {'all': size > 0, 'quadruplets up to 5.1 Å': (size < 4) | (diameter < 5.2), 'no quadruplets': size < 4,
            'triplets up to 5.7 Å': (size != 3) | (diameter < 5.7), 'pairs up to 9.9 Å': (size != 2) | (diameter < 9.95), 'pairs alone': size < 3}
    sizes, out = prior(expansion.crystal, expansion.orbits), []
    for name, keep in kept.items():
        G, y, s, J = without(last['G'], last['residual'], sizes, last['before'], keep); cv = 1e3*cross_validation(G, y, last['error'], s, J)
        out.append({'orbits': name, 'number': int(keep.sum()), 'μ0 (meV)': float(cv[0]), 'μ1…6 (meV)': float(np.sqrt((cv[1:]**2).mean()))})
    return out


def ship(expansion, history, last):
    "Write what alfe ships: the expansion, and the record that the study shows"
    named = [('zig-zag', [[1, 0, 2], [2, 1, 0], [0, 1, 0]], lambda R: R @ [2, 1, -1] % 4 < 2), ('row', np.diag([1, 1, 2]), lambda R: R[:, 2] % 2 == 0),
             ('CoO2', np.eye(3, dtype=int), lambda R: R[:, 0] < -9), ('LiCoO2', np.eye(3, dtype=int), lambda R: R[:, 0] > -9)]
    checks = []
    for name, M, on in named:
        cell = Supercell(expansion.crystal, np.array(M)); sites = cell.sites[on(cell.sites)]
        checks.append((name, cell.matrix, sites, float(expansion.energy(cell, occupy(cell, sites)))/cell.N))
    here = Path(__file__).resolve().parent.parent
    replace(expansion, name='recovered', reference='none but the chemical potentials: only differences at a fixed composition, and slopes, have a meaning',
            provenance=SOURCE, checks=tuple(checks)).save(here/'alfe/data/lco_recovered.json')
    record = dict(history=history, eci_error_meV=(1e3*last['eci_error']).tolist(), orbits=groups(expansion, last))
    (here/'nbs/studies/recovered_interactions.json').write_text(json.dumps(record, ensure_ascii=False, indent=1) + '\n')


def main():
    parser = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    parser.add_argument('reference'); parser.add_argument('--out', default='runs/recovered'); parser.add_argument('--threads', type=int, default=2)
    args = parser.parse_args()
    out = Path(args.out); out.mkdir(parents=True, exist_ok=True)
    rows, order = published(args.reference)
    zigzag = from_star(lco(), (.25, .5, .75)); expansion = lco_expansion('pair-zigzag')
    history = json.loads((out/'history.json').read_text()) if (out/'history.json').exists() else []
    for stage, (cutoffs, n, rounds, sweeps) in enumerate(STAGES):
        done = out/f'stage{stage}.json'
        if done.exists(): expansion = load(done); continue
        mc = MonteCarlo(expansion, zigzag, (6, 6, 6), (1.,) + (.05,)*6, untracked=.05)
        def each(found):
            last = dict(stage=stage, orbits=len(found.expansion.eci), rows=n, sweeps=sweeps, **found.history.iloc[-1].to_dict())
            history.append(last); print({k: float(f'{v:.3g}') for k, v in last.items()}, flush=True)
            (out/'history.json').write_text(json.dumps(history)); found.expansion.save(out/f'round{len(history)}.json')
            np.savez(out/'last.npz', G=found.G, residual=found.residual, error=found.row_error, eci_error=found.error, before=found.before, eta=rows[order[:n]].eta)
        found = from_chemical_potentials(rows[order[:n]], mc, orbits(zigzag.crystal, cutoffs)[1:], rounds, seed=stage, each=each,
                                         sweeps=sweeps, settle=100., threads=args.threads, progress=False)
        expansion = found.expansion; expansion.save(done)
    ship(expansion, history, np.load(out/'last.npz'))


if __name__ == '__main__': main()
