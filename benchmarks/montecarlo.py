"""Speed of the Monte Carlo kernel, and its ratio to icet's on the same expansion, measured in one run.

    python benchmarks/montecarlo.py [sweeps]

Attempted flips per second of chains of LixCoO2 (zig-zag order, 6,912 sites, 300 K, seven order parameters biased), for both
expansions that alfe ships, with the products for the curvature H accumulated or not, on one core and on all of them. Every
figure is the best of five repeats. If icet is installed, its semi-grand canonical ensemble runs the same expansion on the
same cell without bias; its total energy is compared with alfe's first, so that the ratio is one between equals.
"""
import os, sys, time
from concurrent.futures import ThreadPoolExecutor
from importlib.resources import files
import numpy as np
from alfe import cluster
from alfe.crystal import Supercell, lco
from alfe.kernel import LANES, advance, chains_of, lattice_of, site_clock, window
from alfe.montecarlo import MonteCarlo
from alfe.order import from_ordering

SWEEPS = int(sys.argv[1]) if len(sys.argv) > 1 else 4
CORES = len(os.sched_getaffinity(0)) if hasattr(os, 'sched_getaffinity') else os.cpu_count()

def zigzag():
    "Order parameters of the zig-zag order"
    cell = Supercell(lco(), np.array([[1, 0, 2], [2, 1, 0], [0, 1, 0]]))
    return from_ordering(cell, cell.sites @ [2, 1, -1] % 4 < 2)

def kernel_speed(lattice, threads, moments, repeats=5):
    "Attempted flips per second, wall clock, best of `repeats`"
    rng, win = np.random.default_rng(0), window(lattice, [.5, .1, 0, 0, 0, 0, 0], [5.] + [.5]*6, 300)
    sets = [(chains_of(lattice, rng.random((lattice.N, LANES)) < .5, range(i*LANES, (i + 1)*LANES)), site_clock(i)) for i in range(threads)]
    def work(s): advance(lattice, win, *s, SWEEPS*lattice.N//16*16, 16, moments)
    best = np.inf
    with ThreadPoolExecutor(threads) as pool:
        for _ in range(repeats + 1):
            start = time.perf_counter(); list(pool.map(work, sets)); best = min(best, time.perf_counter() - start)
    return threads*LANES*(SWEEPS*lattice.N//16*16)/best

def icet_speed(expansion, lattice, trials=20_000):
    "Trial steps per second of icet's semi-grand canonical ensemble for the same expansion and cell"
    from ase import Atoms
    from icet import ClusterExpansion, ClusterSpace
    from mchammer.calculators import ClusterExpansionCalculator
    from mchammer.ensembles import SemiGrandCanonicalEnsemble
    crystal = expansion.crystal
    longest = {k: max(cluster.distances(crystal, o[0])[-1] for o in expansion.orbits if o.shape[1] == k) + .01 for k in sorted({o.shape[1] for o in expansion.orbits if o.shape[1] > 1})}
    space = ClusterSpace(Atoms('H', cell=crystal.lattice, pbc=True), list(longest.values()), [['Li', 'H']])
    ours = {(o.shape[1], tuple(np.round(cluster.distances(crystal, o[0]), 3))): (J, len(o)) for o, J in zip(expansion.orbits, expansion.eci)}
    def parameters(sign): # icet's parameters are ECI times multiplicity
        out = [ours.get((0, ()), (0, 1))[0], sign*ours.get((1, ()), (0, 1))[0]]
        for orbit in space.orbit_list:
            if orbit.order > 1:
                key = orbit.order, tuple(np.round(sorted(orbit.representative_cluster.distances), 3))
                J, m = ours.get(key, (0., 0)); out.append(sign**orbit.order*J*m)
        return out
    sigma = (np.random.default_rng(1).random(lattice.N) < .5).astype(int)
    atoms = Atoms(np.where(sigma, 'Li', 'H').tolist(), positions=lattice.cell.positions, cell=lattice.cell.matrix.T @ crystal.lattice, pbc=True)
    for sign in (1, -1):
        model = ClusterExpansion(space, parameters(sign)); calculator = ClusterExpansionCalculator(atoms, model)
        theirs, mine = calculator.calculate_total(occupations=atoms.numbers), expansion.energy(lattice.cell, sigma)
        if abs(theirs - mine) < 1e-6: break
    else: raise SystemExit(f'icet gives {theirs} eV for a random configuration, alfe {mine} eV: not the same expansion, no ratio')
    print(f'    energy of a random configuration: icet {theirs:.9f}, alfe {mine:.9f} eV')
    best = np.inf
    for _ in range(3):
        ensemble = SemiGrandCanonicalEnsemble(structure=atoms, calculator=calculator, chemical_potentials={'Li': 0, 'H': 0}, temperature=300, ensemble_data_write_interval=10**9, trajectory_write_interval=10**9)
        start = time.perf_counter(); ensemble.run(trials); best = min(best, time.perf_counter() - start)
    return trials/best

if __name__ == '__main__':
    order = zigzag()
    print(f'{CORES} cores; million attempted flips per second, {LANES} chains per core, best of 5 repeats of {SWEEPS} sweeps')
    for name in ('lco_pair-zigzag', 'lco_chgnet'):
        expansion = cluster.load(files('alfe')/'data'/f'{name}.json')
        lattice = lattice_of(expansion, order, Supercell(expansion.crystal, order.cell*6))
        print(f'\n{name}: {len(expansion.orbits)} orbits, {int((np.diff(lattice.first)/lattice.size).sum())} clusters through a site, {lattice.N} sites')
        speed = {}
        for threads in sorted({1, CORES}):
            for moments in (False, True):
                speed[threads, moments] = kernel_speed(lattice, threads, moments)
                print(f'    {threads} core{"s" if threads > 1 else " "}, H {"    " if moments else "not "}accumulated: {speed[threads, moments]/1e6:6.0f} M/s, {1e9*threads/speed[threads, moments]:.2f} ns per attempt and core')
        mc = MonteCarlo(expansion, order, (6, 6, 6), phi=[5.] + [.5]*6, min_sweeps=64, max_sweeps=64)
        points = np.tile([.3, 0, 0, 0, 0, 0, 0], (LANES*CORES, 1)); start = time.perf_counter()
        rows = mc(points, 600, range(len(points))); wall = time.perf_counter() - start
        print(f'    whole oracle, {len(points)} points: {rows.sweeps.sum()*mc.N/wall/1e6:.0f} M/s on {CORES} cores, start, landing and statistics included')
        try: peer = icet_speed(expansion, lattice)
        except ImportError: print('    icet is not installed: no ratio'); continue
        print(f'    icet, semi-grand canonical: {peer/1e3:.1f} thousand trials/s; alfe with bias and H on one core is {speed[1, True]/peer:.0f} times faster')
