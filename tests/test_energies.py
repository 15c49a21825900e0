"""The energies that come with alfe: the files hold what they say, and where CHGNet is installed the smallest cells are made anew."""
import json, sys
from hashlib import sha256
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
import numpy as np
import pytest
from alfe.cluster import structure_key
from alfe.structures import load_structures

root = Path(__file__).resolve().parent.parent
spec = spec_from_file_location('first_principles', root/'tools/first_principles.py')
tool = module_from_spec(spec); spec.loader.exec_module(tool)
DATA = ['lco', 'nial', 'nial_sites']


def of(system): return load_structures(root/f'alfe/data/{system}_energies.json')


@pytest.mark.parametrize('system', DATA)
def test_file(system):
    "Every structure of the enumeration is in the file or refused by name, the ends are zero, and the provenance is complete"
    structures, meta = of(system); sizes = [s.cell.N for s in structures]
    wanted = {alias or name: name.split('-')[-1] for name, _, _, alias in tool.todo(system, 6)}  # names hold a digest of the structure
    have = {s.name: sha256(structure_key(s.cell, s.sigma)).hexdigest()[:8] for s in structures}; refused = dict(meta['refused'])
    assert have.keys() | refused.keys() == wanted.keys() and not have.keys() & refused.keys()
    assert all(wanted[name] == digest for name, digest in have.items()) and len(have) == len(structures)
    assert sizes == sorted(sizes) and meta['structures_by_sites'] == {str(n): sizes.count(n) for n in sorted(set(sizes))}
    assert [s.energy for s in structures if s.x in (0, 1)] == [0, 0] and all(np.isfinite(s.energy) for s in structures)
    assert meta['weights_sha256'] == tool.WEIGHTS and meta['settings'] == tool.SETTINGS[system] and meta['what_it_is_not']
    assert max(s.strain for s in structures) <= (tool.STRAIN if system == 'nial' else 1e-5)
    assert bool(refused) == (system == 'nial')


def test_names():
    "The tool's names of fcc orderings belong to structures of the right composition, and none is lost"
    by = {alias: (cell.N, sigma.sum()) for _, cell, sigma, alias in tool.todo('nial', 5) if alias}
    assert by == {'Ni': (1, 0), 'Al': (1, 1), 'L1_0-NiAl': (2, 1), 'L1_1-NiAl': (2, 1), 'MoPt2-Ni2Al': (3, 1), 'MoPt2-NiAl2': (3, 2), 'L1_2-Ni3Al': (4, 1),
                  'L1_2-NiAl3': (4, 3), 'D0_22-Ni3Al': (4, 1), 'D0_22-NiAl3': (4, 3), 'D1_a-Ni4Al': (5, 1), 'D1_a-NiAl4': (5, 4)}


def test_refused_without_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, 'chgnet', None)
    with pytest.raises(SystemExit, match=r'extra \[energies\]'): tool.calculator(False)


def test_other_settings_are_refused_and_a_torn_line_is_cut(tmp_path):
    path = tmp_path/'x.jsonl'; assert tool.finished(path, {'fmax': .1}) == {}
    with path.open('a') as f: f.write(json.dumps({'name': 'a'}) + '\n{"name": "b", "ene')
    assert list(tool.finished(path, {'fmax': .1})) == ['a'] and path.read_text().endswith('"a"}\n')
    with pytest.raises(SystemExit, match='choose another folder'): tool.finished(path, {'fmax': .2})


@pytest.mark.parametrize('system', DATA)
def test_made_anew(system, tmp_path):
    "The smallest cells again, within 1 meV per site; a second run of the same command computes nothing"
    for package in ('chgnet', 'torch_dftd', 'ase'): pytest.importorskip(package)
    path = tmp_path/'again.jsonl'; tool.compute(system, path, 2); once = path.read_bytes()
    tool.compute(system, path, 2); assert path.read_bytes() == once
    structures, refused = tool.collected(system, tool.finished(path)); energies = {s.name: s.energy for s in of(system)[0]}
    assert len(structures) + len(refused) == len(list(tool.todo(system, 2)))
    for s in structures: assert abs(s.energy - energies[s.name]) < 1e-3
