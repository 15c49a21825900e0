"""Rules that hold for the whole project. Each is a function that lists what breaks it; each is tried on the project,
where the list must be empty, and on a made-up twin that breaks it, where it must not be."""
import ast, json, re, subprocess, sys, tomllib, warnings
from collections import namedtuple
from pathlib import Path
import pytest
from conftest import cfg, root

Budget = namedtuple('Budget', 'module function cell shown')  # most lines of a module, a function, half of the export cells; lines shown per line exported
MUST, GOAL = Budget(300, 40, 20, 0.3), Budget(250, 30, 15, 1.0)  # a notebook beyond its MUST fails, beyond the GOAL warns
LONG_FUNCTIONS = set()                       # 'module.function' that may be longer, each with its reason
NOTEBOOK_KB = dict(library=450, other=2000)  # largest notebook file
TOOLS = {'fastcore', 'nbdev', 'execnb', 'IPython', 'pytest', 'hypothesis'}  # for development, never in exported code
LATER = {'ase', 'icet', 'libcasm', 'chgnet', 'onnx', 'onnxscript', 'onnxruntime', 'optuna', 'dask', 'IPython'}  # optional: only inside functions
HOSTS = {'alfe-project.github.io', 'github.com', 'arxiv.org', 'doi.org', 'www.apache.org', 'spdx.org', 'www.w3.org', 'quarto.org', 'pypi.org',
         'download.pytorch.org', 'nbdev.fast.ai', 'spglib.readthedocs.io', 'citation-file-format.github.io', 'semver.org', 'localhost', '127.0.0.1'}

Book = namedtuple('Book', 'name label module exported other')  # a notebook: number, module, and its code cells of both kinds


def label(name):
    "What notebooks are ordered by: (5, '') for 05_montecarlo, (5, 'a') for 05a_statistics"
    m = re.match(r'(\d+)([a-z]?)_', name)
    return (int(m[1]), m[2]) if m else None


def book(name, nb):
    "A notebook read from its JSON"
    code = [''.join(c['source']) for c in nb['cells'] if c['cell_type'] == 'code']
    exported = [c for c in code if re.search(r'^#\|\s*export', c, re.M)]
    module = next((m[1] for c in code for m in [re.search(r'^#\|\s*default_exp\s+(\S+)', c, re.M)] if m), None)
    return Book(name, label(Path(name).name), module, exported, [c for c in code if c not in exported])


def lines(*cells):
    "How many lines of code, without blank lines and nbdev's directives"
    return sum(bool(o.strip()) and not o.startswith('#|') for c in cells for o in c.splitlines())


books = [book(p.relative_to(cfg.nbs_path).as_posix(), json.loads(p.read_text(encoding='utf-8')))
         for p in sorted(cfg.nbs_path.rglob('*.ipynb')) if not any(o.startswith(('.', '_')) for o in p.relative_to(cfg.nbs_path).parts)]
library = [b for b in books if b.module]
modules = {p.stem: p.read_text(encoding='utf-8') for p in sorted(cfg.lib_path.glob('*.py')) if not p.stem.startswith('_')}


def one(*exported, name='20_x.ipynb', module='x', other=()): return Book(name, label(name), module, list(exported), list(other))


def test_the_project_has_something_to_judge():
    assert len(library) > 3 and set(modules) == {b.module for b in library}


# ---- imports

def imports(tree, lib=cfg.lib_path.name):
    "Pairs (module of this library or '', top-level package) that the code imports, wherever it does"
    for n in ast.walk(tree):
        if isinstance(n, ast.Import):
            for a in n.names: yield ('.'.join(a.name.split('.')[1:2]) if a.name.split('.')[0] == lib else None), a.name.split('.')[0]
        elif isinstance(n, ast.ImportFrom):
            parts = (n.module or '').split('.')
            if n.level or parts[0] == lib:
                inside = parts if n.level else parts[1:]
                for a in n.names: yield (inside[0] if inside and inside[0] else a.name), lib
            else: yield None, parts[0]


def upward_imports(books, everything=None):
    "Exported code that imports from a notebook that does not come before it"
    numbers, bad = {b.module: b.label for b in everything or books}, []
    for b in books:
        for mod, _ in imports(ast.parse('\n'.join(b.exported))):
            if mod in (None, 'data', '__version__'): continue
            if mod not in numbers: bad.append(f'{b.name}: {mod or "alfe"} is no module of the library, import from the one that defines it')
            elif b.label is None or numbers[mod] is None or numbers[mod] >= b.label: bad.append(f'{b.name} imports {mod}, which does not come before it')
    return bad


def test_imports_point_down(): assert not upward_imports(library)


@pytest.mark.parametrize('code', ['from alfe.late import f', 'import alfe.late', 'from alfe import late', 'from .late import f', 'def f():\n    from alfe.late import g',
                                  'from alfe.x import me', 'from alfe.nowhere import f', 'from alfe import Run', 'import alfe'])
def test_upward_imports_are_seen(code):
    others = [one(name='05_early.ipynb', module='early'), one(name='20a_late.ipynb', module='late'), one()]
    assert upward_imports([one(code)], others) and not upward_imports([one('from alfe.early import f\nimport numpy, alfe.early')], others)
    assert not upward_imports([one('from alfe.late import f', name='20b_x.ipynb')], others)


def foreign_imports(modules, required, optional=LATER, tools=TOOLS):
    "Imports of development tools, and of packages that settings.ini does not require (those in `optional` may stand inside functions)"
    bad = []
    for name, text in modules.items():
        tree = ast.parse(text)
        outer = ast.Module([n for n in tree.body if not isinstance(n, (ast.FunctionDef, ast.ClassDef))], [])
        at_once, anywhere = ({p for m, p in imports(t) if m is None} for t in (outer, tree))
        ok = required | set(sys.stdlib_module_names)
        bad += [f'{name} imports {p}' for p in sorted((at_once - ok) | (anywhere - ok - optional) | (anywhere & tools - optional))]
    return bad


def required(ini): return {re.split(r'[<>=!~\[]', o)[0].replace('-', '_') for o in ini.split()}


def test_imports_are_declared():
    assert not foreign_imports(modules, required(cfg.requirements) | {'llvmlite', 'sklearn', 'PIL'})  # numba brings its own llvmlite; scikit-learn is imported as sklearn, pillow as PIL
    for code in ['import fastcore.basics', 'from nbdev.showdoc import *', 'def f(): import execnb', 'import ase', 'import pandas', 'class A:\n    def f(self): import nowhere']:
        assert foreign_imports({'x': code}, {'numpy'})
    assert not foreign_imports({'x': 'import os, numpy as np\nfrom numpy.linalg import inv\ndef f(): import ase.io'}, {'numpy'})


# ---- sizes

def statements(cell):
    "Lines of code, without docstrings and comments, and each signature counted as one line: documentation is no weight"
    rows = {i for i, o in enumerate(cell.splitlines(), 1) if o.strip() and not o.lstrip().startswith('#')}
    for n in ast.walk(ast.parse(cell)):
        if not isinstance(n, (ast.FunctionDef, ast.ClassDef)): continue
        rows -= set(range(n.lineno+1, n.body[0].lineno))
        if ast.get_docstring(n): rows -= set(range(n.body[0].lineno, n.body[0].end_lineno+1))
    return len(rows)


def too_long(books, budget=MUST, allowed=LONG_FUNCTIONS):
    "Modules, export cells and functions over their budget, and notebooks that show too little of what they export"
    bad = []
    for b in books:
        n, m, k, sizes = lines(*b.exported), lines(*b.other), sum(map(statements, b.exported)), sorted(map(lines, b.exported))
        if n > budget.module: bad.append(f'{b.name} exports {n} lines, more than {budget.module}: split it')
        if m < budget.shown*k: bad.append(f'{b.name} exports {k} lines of statements and shows only {m}: add examples and tests')
        if sizes and sizes[len(sizes)//2] > budget.cell: bad.append(f'{b.name}: half of the export cells have more than {budget.cell} lines')
        for c in b.exported:
            for f in ast.walk(ast.parse(c)):
                if isinstance(f, ast.FunctionDef) and f'{b.module}.{f.name}' not in allowed:
                    size = lines('\n'.join(c.splitlines()[f.lineno-1:f.end_lineno]))
                    if size > budget.function: bad.append(f'{b.module}.{f.name} has {size} lines, more than {budget.function}')
    return bad


def test_sizes():
    assert not too_long(library)
    if near := too_long(library, GOAL): warnings.warn('beyond the goal: ' + '; '.join(near))


def test_long_code_is_seen():
    small, long = 'def f():\n    return 1', 'def f():\n    "doc"\n' + '    pass\n'*39
    assert statements('def f(\n    a, # b\n    c # d\n):\n    """e\n    g"""\n\n    # h\n    return a') == 2
    assert not too_long([one(small, other=[small])])
    assert 'shows only 1' in too_long([one(small, other=['1'])], GOAL)[0] and 'shows only 1' in too_long([one(small, small, other=['1'])])[0]
    assert 'split it' in too_long([one(*[small]*151, other=[small]*151)])[0]
    assert 'half of the export cells' in too_long([one('a = 1\n'*21, small, 'a = 1\n'*21, other=['1\n'*99])])[0]
    assert too_long([one(small, small, long, other=['1\n'*99])]) == ['x.f has 41 lines, more than 40']
    assert not too_long([one(small, small, long.replace('    pass\n', '\n', 1), other=['1\n'*99])])
    assert not too_long([one(small, small, long, other=['1\n'*99])], allowed={'x.f'})


def too_big(sizes): return [f'{o} has {kb} kB' for o, kb in sizes.items() if kb > NOTEBOOK_KB['other' if '/' in o else 'library']]


def test_notebooks_are_small():
    assert not too_big({b.name: (cfg.nbs_path/b.name).stat().st_size//1000 for b in books})
    assert too_big({'01_x.ipynb': 451}) and too_big({'tutorials/x.ipynb': 2001}) and not too_big({'tutorials/x.ipynb': 401})


# ---- words

def undocumented(modules):
    "Public functions, classes and methods without a docstring"
    bad = []
    def look(body, where):
        for n in body:
            if not isinstance(n, (ast.FunctionDef, ast.ClassDef)) or n.name.startswith('_'): continue
            if not ast.get_docstring(n): bad.append(f'{where}.{n.name}')
            if isinstance(n, ast.ClassDef): look(n.body, f'{where}.{n.name}')
    for name, text in modules.items(): look(ast.parse(text).body, name)
    return bad


def test_everything_public_is_documented():
    assert not undocumented(modules)
    code = 'def f(): pass\ndef _g(): pass\nclass A:\n    "a"\n    def m(self): return 1\n    @property\n    def p(self): return 1\n    def __len__(self): return 1'
    assert undocumented({'x': code}) == ['x.f', 'x.A.m', 'x.A.p']


def badly_headed(heads):
    "Notebooks that do not begin with a title and a line that says what they are for"
    return [o for o, text in heads.items() if not re.match(r'# \S[^\n]*\n\n> \S', text) and not (text.startswith('---') and 'title:' in text and 'description:' in text)]


def test_notebooks_say_what_they_are_for():
    heads = {b.name: ''.join(json.loads((cfg.nbs_path/b.name).read_text(encoding='utf-8'))['cells'][0]['source']) for b in books}
    assert not badly_headed(heads)
    assert badly_headed({'a': '# core\n\n> Units.', 'b': '# core', 'c': 'Units.', 'd': '---\ntitle: x\ndescription: y\n---'}) == ['b', 'c']


def outputs(nb): return [o for c in nb['cells'] if c['cell_type'] == 'code' for o in c['outputs']]


def unfit_outputs(nb):
    "Kept outputs that a reader should not see: errors, warnings on stderr, addresses of objects, the state of widgets"
    bad = ['the state of widgets'] if 'widgets' in nb['metadata'] else []
    for o in outputs(nb):
        text = json.dumps({k: v for k, v in o.get('data', {}).items() if k.startswith('text/')}) + json.dumps(o.get('text', ''))
        if o['output_type'] == 'error': bad.append(f'an error, {o.get("ename")}')
        elif o.get('name') == 'stderr': bad.append(f'stderr: {"".join(o["text"])[:80]}')
        elif found := re.search(r'(?:object|function \w+) at 0x[0-9a-f]{6,}', text): bad.append(found[0])
    return bad


def test_outputs_are_fit_to_read():
    assert not [f'{b.name}: {o}' for b in books for o in unfit_outputs(json.loads((cfg.nbs_path/b.name).read_text(encoding='utf-8')))]
    outs = [dict(output_type='error', ename='E'), dict(output_type='stream', name='stderr', text=['w']), dict(output_type='stream', name='stdout', text=['fine']),
            dict(output_type='execute_result', data={'text/plain': ['<function f at 0x7f1234567890>']})]
    assert len(unfit_outputs(dict(metadata={'widgets': {}}, cells=[dict(cell_type='code', outputs=outs)]))) == 4


# ---- the package as a whole

def slow_import(package, folder, limit=0.5):
    "What is wrong with `import package`: slower than `limit` seconds at the best of five, or it loads torch"
    code = f'import sys, time; t = time.perf_counter(); import {package}; print(time.perf_counter() - t, *{{"torch", "numba"}} & set(sys.modules))'
    runs = [subprocess.run([sys.executable, '-c', code], cwd=folder, capture_output=True, text=True, check=True).stdout.split() for _ in range(5)]
    best = min(float(o[0]) for o in runs)
    return ([f'{best:.2f} s'] if best > limit else []) + runs[0][1:]


def test_import_is_quick(tmp_path):
    assert not slow_import('alfe', root)
    (tmp_path/'slug.py').write_text('import time, sys, types; time.sleep(.55); sys.modules["torch"] = types.ModuleType("torch")')
    assert len(slow_import('slug', tmp_path)) == 2


def versions(ini, init, citation, changelog):
    "What does not carry the version that settings.ini has"
    v = re.search(r'^version\s*=\s*(\S+)', ini, re.M)[1]
    found = dict(init=re.findall(r'^__version__ = "(.+)"', init, re.M)[:1], citation=re.findall(r'^version: "?([^"\n]+)', citation, re.M)[:1],
                 changelog=re.findall(r'^## (\S+)', changelog, re.M)[:1])
    return [f'{k} has {o}, settings.ini {v}' for k, o in found.items() if o != [v]]


def test_one_version():
    read = lambda o: (root/o).read_text(encoding='utf-8')
    texts = [read(o) for o in ('settings.ini', 'alfe/__init__.py', 'CITATION.cff', 'CHANGELOG.md')]
    assert not versions(*texts)
    for i in range(1, 4): assert len(versions(*texts[:i], texts[i].replace(cfg.version, '9.9.9'), *texts[i+1:])) == 1


def test_settings_agree():
    toml = tomllib.loads((root/'pyproject.toml').read_text(encoding='utf-8'))['tool']['nbdev']
    assert toml['lib_path'] == cfg.lib_path.name and toml['nbs_path'] == cfg.nbs_path.name and toml['tst_flags'] == cfg.tst_flags and toml['title'] == cfg.title
    pins = dict(re.findall(r'^([\w.-]+)==(\S+)$', (root/'constraints.txt').read_text(encoding='utf-8'), re.M))
    names = {o.lower().replace('_', '-') for o in pins}
    for o in required(cfg.requirements) | required(cfg.dev_requirements): assert o.lower().replace('_', '-') in names, f'constraints.txt does not pin {o}'
    for name, v in re.findall(r'(\S+)==(\S+)', cfg.dev_requirements): assert pins[name] == v
    assert '+' not in ''.join(pins.values()), 'a local version such as 2.13.0+cpu exists on one index only'


def private_words(texts):
    "Absolute paths of somebody's machine, and addresses of hosts that a reader may not know or reach"
    path = re.compile(r'(?<![\w/+.:~$}-])/(?:home|root|tmp|Users|work|opt|mnt|srv)/[\w.~-]+')
    bad = []
    for name, text in texts.items():
        bad += [f'{name}: the path {o}' for o in sorted(set(path.findall(text)))]
        bad += [f'{name}: the host {o}' for o in sorted(set(re.findall(r'\b(?:https?|ftp|ssh|git)://(?:[^\s/@"\']*@)?([\w.-]+)', text)) - HOSTS)]
    return bad


def repository():
    "The text of every file that git has, or would take"
    r = subprocess.run(['git', 'ls-files', '-co', '--exclude-standard', '-z'], cwd=root, capture_output=True, text=True)
    if r.returncode: pytest.skip('not in a git checkout')
    texts = {}
    for o in filter(None, r.stdout.split('\0')):
        try: texts[o] = (root/o).read_text(encoding='utf-8')
        except (UnicodeDecodeError, FileNotFoundError): pass  # a picture, or a file that was removed
    return texts


def test_nothing_private_is_named():
    texts = repository()
    assert 'settings.ini' in texts and len(texts) > 20
    assert not private_words(texts), 'a public address that belongs here goes into HOSTS'
    for o in ['see ' + '/ho' + 'me/me/x', '"/wo' + 'rk/main/x"', 'index = ' + 'https' + '://pip.inside.example/simple', 'ssh' + '://me@10.0.0.1/x', '(/tm' + 'p/x)']: assert private_words({'x': o})
    assert not private_words({'x': 'a/home/b ~/work/x https://arxiv.org/abs/1 $HOME/opt/x /usr/bin/env'})


def test_environment_chooses_torch():
    sys.path.insert(0, str(root/'tools'))
    try: import environment as env
    finally: sys.path.remove(str(root/'tools'))
    there, not_there = 'torch (9.0)\nAvailable versions: 9.0, 2.13.0+cpu, 2.13.0\n', 'torch (9.0)\nAvailable versions: 9.0, 2.13.0\n  INSTALLED: 2.13.0+cpu\n'
    public = ['--index-url', env.CPU_INDEX]
    for wish, system, listed, args in [('auto', 'Linux', there, []), ('auto', 'Linux', not_there, public), ('auto', 'Linux', '', public), ('', 'Darwin', '', []),
                                       ('pypi', 'Linux', not_there, []), ('https://quarto.org/b', 'Linux', there, ['--index-url', 'https://quarto.org/b'])]:
        assert env.torch_arguments(wish, system, listed, '2.13.0') == args
    assert env.pinned('torch', 'x==1\ntorch==2.13.0\n') == '2.13.0'
    with pytest.raises(ValueError, match='does not pin torch'): env.pinned('torch', 'torchx==1\n')
