"""Energies of orderings from a machine-learned potential: makes alfe/data/lco_energies.json and nial_energies.json.

    pip install torch==2.13.0 && pip install -e .[energies]    # of torch a CPU build suffices, see tools/environment.py
    python tools/first_principles.py nial --max-sites 6 --write alfe/data
    python tools/first_principles.py lco --max-sites 6 --write alfe/data

Every finished structure is a line of OUT/SYSTEM.jsonl (default runs/energies). Stop it at any time; the same command goes on.
With `--write FOLDER` the finished structures become FOLDER/SYSTEM_energies.json, for Ni-Al also nial_structures.extxyz.

    lco         O3-LixCoO2, CHGNet 0.3.0 + D3(BJ): one fixed hexagonal cell, ions relaxed. All cells, then zig-zag stackings.
    nial        fcc Ni-Al, CHGNet 0.3.0: cell and ions relaxed; what leaves the fcc lattice is refused, and listed in the file.
    nial_sites  fcc Ni-Al, CHGNet 0.3.0: atoms stay on fcc sites and only the volume is relaxed, so that nothing is refused."""
import argparse, hashlib, json, sys, time, warnings
from functools import partial
from importlib.metadata import version
from pathlib import Path
import numpy as np
from tqdm import tqdm
from alfe.cluster import load, occupy, structure_key
from alfe.crystal import Supercell, fcc, lco
from alfe.hull import enumerate_structures
from alfe.structures import Host, Record, Unmapped, formation_energies, mapped, save_structures

ROOT = Path(__file__).resolve().parent.parent
A, C, Z = 2.809, 14.389, .238  # hexagonal cell of Li0.5CoO2, Å (Ben Yahia et al. 2013: b, and 3 c sin β), and height of O above Li
NI, AL = 3.52, 4.05            # lattice parameters to start from, Å; between them Vegard's law
STRAIN = .1                    # largest distortion of a relaxed cell; the whole Bain path from fcc to bcc has .23
WEIGHTS = 'd14ab7c0f093efe64b60a7bcd540bca10e74fb7f46c86108a079af60524659d1'  # sha256 of the weights of CHGNet 0.3.0
SETTINGS = {'lco': dict(cell='fixed', optimizer='LBFGS', alpha=20., fmax=.03, d3=True),  # alpha: first stiffness, eV/Å²; fmax in eV/Å
            'nial': dict(cell='free', optimizer='BFGS', alpha=70., fmax=.01, d3=False),
            'nial_sites': dict(cell='volume', optimizer='BFGS', alpha=70., fmax=.01, d3=False)}
ABOUT = {'lco': f'O3-LixCoO2: formation energies per Li site against LiCoO2 and CoO2, all cells fixed at a = {A}, c = {C} Å, ions relaxed.',
         'nial': 'fcc Ni-Al, Al = occupied: formation energies per atom against fcc Ni and Al, cells and ions relaxed. '
                 'Refused is what relaxes away from fcc, mostly towards bcc (B2 and its kin).',
         'nial_sites': 'fcc Ni-Al, Al = occupied: formation energies per atom against fcc Ni and Al, atoms on fcc sites, volumes relaxed.'}
LIMITS = {'lco': 'Zig-zag and row order at x = 1/2 are closer than the potential can tell; order-disorder temperatures come out far too low.',
          'nial': 'The potential has D0_22-Ni3Al 2 meV per atom below L1_2-Ni3Al, the phase that is observed.'}
FCC = {'L1_0': ([[.5, .5, 0], [.5, -.5, 0], [0, 0, 1]], [[0, 0, 0]]), 'L1_1': ([[.5, -.5, 0], [0, .5, -.5], [1, 1, 0]], [[0, 0, 0]]),
       'L1_2': (np.eye(3), [[0, 0, 0]]), 'D0_22': ([[1, 0, 0], [0, 1, 0], [.5, .5, 1]], [[0, 0, 0]]),
       'MoPt2': ([[.5, -.5, 0], [0, 0, 1], [1, .5, .5]], [[0, 0, 0]]), 'D1_a': ([[1.5, .5, 0], [-.5, 1.5, 0], [.5, 1, .5]], [[0, 0, 0]])}


def host_of(system):
    "The ideal crystal, and what sits on its sites"
    if system == 'lco': return Host(lco(A, C, Z), (('Co', (.5,)*3), ('O', (Z,)*3), ('O', (-Z,)*3)), 'Li', None)
    return Host(fcc(NI), (), 'Al', 'Ni')

def occupied(crystal, matrix, sites):
    "The cell of `matrix`, and its occupation with `sites` occupied"
    cell = Supercell(crystal, np.asarray(matrix, int)); return cell, occupy(cell, np.asarray(sites, int))

def named(system, crystal):
    "Names of well-known orderings by their canonical form"
    if system == 'lco':
        checks = reversed(load(ROOT/'alfe/data/lco_pair-zigzag.json').checks) # of equivalent stackings the first name counts
        return {structure_key(*occupied(crystal, M, sites)): name for name, M, sites, _ in checks}
    names = {structure_key(Supercell(crystal, np.eye(3, dtype=int)), [s]): name for s, name in enumerate(('Ni', 'Al'))}
    for name, vectors in FCC.items():
        matrix, sites = (np.round(np.asarray(v)*NI@np.linalg.inv(crystal.lattice)).astype(int) for v in vectors)
        cell, sigma = occupied(crystal, matrix.T, sites)
        for s in (sigma, 1 - sigma):
            formula = ''.join(f"{e}{n if n > 1 else ''}" for e, n in (('Ni', cell.N - s.sum()), ('Al', s.sum())))
            names[structure_key(cell, s)] = f'{name}-{formula}'
    return names

def zigzags(crystal):
    "Zig-zag layers with a period of two layers: four positions of the second layer over the first, and four of the third"
    a, b, up = np.array([1, -1, 0]), np.array([0, 1, -1]), np.array([0, 0, 1])  # two vectors in the plane, one to the next layer
    for shift, shear in np.ndindex(4, 4):
        yield occupied(crystal, np.stack([a + 2*b, 4*b, 2*up + shear*b]).T, [0*b, b, up + shift*b, up + (shift + 1)*b])

def todo(system, max_sites):
    "All structures to compute as (name, cell, sigma, alias), smallest cells first; a name depends on the structure alone"
    crystal = host_of(system).crystal; names, seen = named(system, crystal), set()
    more = zigzags(crystal) if system == 'lco' and max_sites >= 6 else []
    for cell, sigma in [*enumerate_structures(crystal, max_sites), *more]:
        key = structure_key(cell, sigma); digest = hashlib.sha256(key).hexdigest()[:8]
        if key in seen: continue
        seen.add(key); yield f"{system.split('_')[0]}-{cell.N}-{digest}", cell, sigma, names.get(key, '')

def atoms_of(host, cell, sigma):
    "The unrelaxed structure for ASE"
    from ase import Atoms
    kinds = {1: host.occupied, 0: host.empty}; sites = [(kinds[int(s)], R) for s, R in zip(sigma, cell.sites) if kinds[int(s)]]
    sites += [(k, R + np.array(p)) for k, p in host.spectators for R in cell.sites]
    L = host.crystal.lattice*(1 if host.spectators else 1 + np.mean(sigma)*(AL/NI - 1))
    return Atoms([k for k, _ in sites], positions=np.array([p for _, p in sites])@L, cell=cell.matrix.T@L, pbc=True)

def calculator(d3, stress=True):
    "CHGNet 0.3.0, with two-body D3(BJ, PBE) dispersion if asked for; stops with a message where it is not installed"
    try:
        import chgnet, torch
        from ase.calculators.mixing import SumCalculator
        from chgnet.model import CHGNet, CHGNetCalculator
        from torch_dftd.torch_dftd3_calculator import TorchDFTD3Calculator
    except ImportError as e: sys.exit(f"{e}. The energies need the extra [energies]: see the first lines of {Path(__file__).name}.")
    torch.set_num_threads(1); warnings.filterwarnings('ignore')
    file, = (Path(chgnet.__file__).parent/'pretrained/0.3.0').glob('*.tar'); found = hashlib.sha256(file.read_bytes()).hexdigest()
    if found != WEIGHTS: sys.exit(f"{file} has the sha256 {found}, expected {WEIGHTS}: install chgnet==0.4.2")
    model = CHGNetCalculator(model=CHGNet.load(model_name='0.3.0', use_device='cpu', verbose=False), use_device='cpu')
    model.calculate = partial(model.calculate, task='efs' if stress else 'ef')  # stress costs as much as all else
    if not d3: return model
    dispersion = dict(damping='bj', xc='pbe', cutoff=12., cnthr=8., cutoff_smoothing='poly', dtype=torch.float64, device='cpu')
    return SumCalculator([model, TorchDFTD3Calculator(**dispersion)])

def relax(atoms, calc, cell='free', optimizer='BFGS', alpha=70., fmax=.01, steps=300):
    "Relax: `cell` is 'fixed', 'free', or 'volume' (atoms keep their fractional coordinates). Returns a row for the file."
    from ase import constraints, filters, optimize
    atoms, start = atoms.copy(), time.time(); atoms.calc = calc
    if cell == 'volume': atoms.set_constraint(constraints.FixAtoms(range(len(atoms))))
    moving = atoms if cell == 'fixed' else filters.FrechetCellFilter(atoms, hydrostatic_strain=cell == 'volume')
    run = getattr(optimize, optimizer)(moving, logfile=None, alpha=alpha); good = bool(run.run(fmax=fmax, steps=steps))
    L, p = atoms.cell[:].round(6).tolist(), atoms.get_scaled_positions(wrap=False).round(6).tolist(); E = float(atoms.get_potential_energy())
    return dict(energy=E, species=[*atoms.symbols], lattice=L, positions=p, steps=run.nsteps, converged=good, seconds=round(time.time() - start, 1))

def finished(path, settings=None):
    "The rows of a file by name; a torn last line is cut off, and other settings are refused"
    if settings and not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True); path.write_text(json.dumps(settings) + '\n', encoding='utf-8')
    text = path.read_text(encoding='utf-8'); whole = text[:text.rfind('\n') + 1]
    if whole != text: path.write_text(whole, encoding='utf-8')
    head, *rows = map(json.loads, whole.splitlines())
    if settings and head != settings: sys.exit(f"{path} was made with {head}, not {settings}: choose another folder with --out")
    return {r['name']: r for r in rows}

def references():
    "LiCoO2, CoO2 and lithium metal with all degrees of freedom relaxed: rows without a configuration"
    from ase.build import bulk
    host, one, d3, plain = host_of('lco'), Supercell(host_of('lco').crystal, np.eye(3, dtype=int)), calculator(True), calculator(False)
    oxide, metal = lambda s: partial(relax, atoms_of(host, one, [s]), d3), lambda calc: partial(relax, bulk('Li', 'bcc', a=3.45), calc)
    return {'LiCoO2 relaxed': oxide(1), 'CoO2 relaxed': oxide(0), 'Li metal': metal(plain), 'Li metal D3': metal(d3)}

def compute(system, path, max_sites):
    "Relax what is not in the file yet; every structure is on disk before the next begins"
    how = SETTINGS[system].copy(); head = {'system': system, 'chgnet': '0.4.2', 'weights': WEIGHTS, **how}; d3 = how.pop('d3')
    host, calc = host_of(system), calculator(d3, how['cell'] != 'fixed'); done = finished(path, head)
    jobs = [({'name': name}, run) for name, run in references().items()] if system == 'lco' else []
    for name, cell, sigma, alias in todo(system, max_sites):
        row = dict(name=name, alias=alias, matrix=cell.matrix.tolist(), sigma=np.asarray(sigma).tolist())
        jobs.append((row, partial(relax, atoms_of(host, cell, sigma), calc, **how)))
    with path.open('a', encoding='utf-8') as file, tqdm(jobs, desc=system, unit='structure') as bar:
        for row, run in bar:
            if row['name'] not in done: file.write(json.dumps(row | run()) + '\n'); file.flush()

def collected(system, rows):
    "Structures with formation energies, smallest cells first, and [name, reason] of those refused"
    host, structures, refused = host_of(system), [], []
    for r in (r for r in rows.values() if 'matrix' in r):
        name, key = r['alias'] or r['name'], structure_key(Supercell(host.crystal, np.array(r['matrix'])), np.array(r['sigma'], np.int8))
        try:
            if not r['converged']: raise Unmapped(name, f"not converged in {r['steps']} steps")
            s = mapped(host, Record(name, r['lattice'], r['positions'], r['species'], r['energy']), max_strain=STRAIN)
            if structure_key(s.cell, s.sigma) != key: raise Unmapped(name, 'relaxed into another ordering')
            structures.append(s)
        except Unmapped as e: refused.append(list(e.args))
    return formation_energies(structures), refused

def measured(rows):
    "Lattice constants (Å) and average voltages (V) of LixCoO2, to be held against experiment"
    E = {r.get('alias') or n: r['energy'] for n, r in rows.items()}; L = {n: np.array(r['lattice']) for n, r in rows.items()}
    a_c = lambda n: [round(float(np.linalg.norm(v)), 4) for v in (L[n][0] - L[n][1], L[n].sum(0))]
    volt = lambda kind, li: round(E['CoO2' + kind] + E[li] - E['LiCoO2' + kind], 3)
    return {'relaxed LiCoO2, a and c': a_c('LiCoO2 relaxed'), 'relaxed CoO2 in O3 stacking, a and c': a_c('CoO2 relaxed'),
            'voltage': {f"{cells} cells, Li metal {metal} D3": volt(kind, li) for cells, kind in (('fixed', ''), ('relaxed', ' relaxed'))
                        for metal, li in (('without', 'Li metal'), ('with', 'Li metal D3'))},
            'experiment': 'LiCoO2: a = 2.816, c = 14.05; voltage about 3.9 to 4.1'}

def extxyz(rows):
    "Relaxed structures in the extended xyz format of ASE, with few digits so that the file stays small"
    line = lambda numbers: ' '.join(f'{v + 0.:.4f}' for v in np.ravel(np.round(numbers, 4))); text = ''
    for r in rows:
        text += f'{len(r["species"])}\nLattice="{line(r["lattice"])}" Properties=species:S:1:pos:R:3 '
        text += f'name={r["alias"] or r["name"]} energy={r["energy"]:.5f} pbc="T T T"\n'
        text += ''.join(f'{s} {line(p)}\n' for s, p in zip(r['species'], np.array(r['positions'])@np.array(r['lattice'])))
    return text

def write(system, path, folder):
    "Make the data files from what is finished"
    rows = finished(path); structures, refused = collected(system, rows); d3, N = SETTINGS[system]['d3'], [s.cell.N for s in structures]
    meta = dict(method='CHGNet 0.3.0' + ' + two-body D3(BJ, PBE), cutoff 12 Å (8 Å for coordination numbers)'*d3, weights_sha256=WEIGHTS,
                versions={p: version(p) for p in ('chgnet', 'torch', 'ase', *['torch-dftd']*d3)}, settings=SETTINGS[system],
                date=time.strftime('%Y-%m-%d', time.gmtime(path.stat().st_mtime)), made_by=f'tools/first_principles.py {system}',
                what_it_is=ABOUT[system], what_it_is_not='Energies of a machine-learned potential, not of density functional theory. ' + LIMITS[system.split('_')[0]],
                structures_by_sites={str(n): N.count(n) for n in sorted(set(N))}, refused=refused)
    save_structures(folder/f'{system}_energies.json', structures, **meta, **({'checks': measured(rows)} if system == 'lco' else {}))
    if system == 'nial':
        from ase.build import bulk
        (folder/'nial_structures.extxyz').write_text(extxyz(rows.values()), encoding='utf-8')
        cube = bulk('Ni', 'fcc', a=3.57, cubic=True); cube.symbols[0] = 'Al'; cube.write(folder/'Ni3Al_L12.cif')
    print(f"{len(structures)} structures in {folder/f'{system}_energies.json'}, {len(refused)} refused")

def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument('system', choices=SETTINGS); p.add_argument('--max-sites', type=int, default=6, help='largest cell, in ordering sites')
    p.add_argument('--out', type=Path, default=ROOT/'runs/energies', help='folder of the finished structures')
    p.add_argument('--write', type=Path, help='folder for the data files')
    o = p.parse_args(); path = o.out/f'{o.system}.jsonl'; compute(o.system, path, o.max_sites)
    if o.write: write(o.system, path, o.write)

if __name__ == '__main__': main()
