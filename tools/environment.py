"""Makes the project's Python environment (the Makefile calls it):  python3 tools/environment.py .venv

PyTorch goes in first and on its own. On Linux the build that PyPI serves brings several GB of CUDA libraries, which alfe
does not need. So, unless the environment variable TORCH_INDEX says otherwise, a CPU build is taken: the one that pip
already sees (a local mirror or wheel folder), else the one on PyTorch's own index. TORCH_INDEX may be
    auto   as described (the default);
    pypi   whatever the package index of your pip configuration serves, on Linux a CUDA build;
    a URL  another index, such as https://download.pytorch.org/whl/cu128.
The versions are those of constraints.txt, which the tests run with."""
import os, platform, re, subprocess, sys
from pathlib import Path

OLDEST = (3, 11)
CPU_INDEX = 'https://download.pytorch.org/whl/cpu'
root = Path(__file__).resolve().parent.parent


def torch_arguments(wish, system, listed, version):
    "What pip needs beside the name of torch; `listed` says which versions pip sees, `version` the one to install"
    if wish not in ('', 'auto', 'pypi'): return ['--index-url', wish]
    if wish == 'pypi' or system != 'Linux': return []  # elsewhere PyPI serves CPU builds
    available = re.search(r'^Available versions:(.*)$', listed, re.M)
    seen = re.split(r'[,\s]+', available[1]) if available else []
    return [] if f'{version}+cpu' in seen else ['--index-url', CPU_INDEX]


def pinned(name, constraints):
    "The version of `name` in the text `constraints`"
    found = re.search(rf'^{name}==([\w.]+)', constraints, re.M)
    if not found: raise ValueError(f'constraints.txt does not pin {name}: add a line {name}==VERSION')
    return found[1]


def main(venv):
    if sys.version_info < OLDEST:
        sys.exit('alfe needs Python %d.%d or newer, and this is %s. Say which to use: make PYTHON=python3.12 ...' % (*OLDEST, platform.python_version()))
    venv = Path(venv); python = venv/('Scripts' if os.name == 'nt' else 'bin')/'python'
    if subprocess.run([sys.executable, '-m', 'venv', str(venv)]).returncode:
        sys.exit('Python could not make a virtual environment. On Debian and Ubuntu: apt install python3-venv')
    quiet = [] if sys.stdout.isatty() else ['-qq']  # a person sees the progress, a log only what went wrong

    def pip(*args, **kw): return subprocess.run([str(python), '-m', 'pip', '--disable-pip-version-check', *args], cwd=root, **kw)

    version = pinned('torch', (root/'constraints.txt').read_text(encoding='utf-8'))
    if f'torch=={version}' not in re.sub(r'\+\w+', '', pip('freeze', capture_output=True, text=True).stdout).split():
        listed = pip('index', 'versions', 'torch', capture_output=True, text=True).stdout
        args = torch_arguments(os.environ.get('TORCH_INDEX', 'auto'), platform.system(), listed, version)
        print(f'Installing PyTorch {version} into {venv} ...', flush=True)
        if pip('install', *quiet, *args, f'torch=={version}').returncode:
            sys.exit('PyTorch was not installed, see above. TORCH_INDEX chooses where it comes from, for instance: make TORCH_INDEX=pypi ...')
    print(f'Installing alfe and its tools into {venv} ...', flush=True)
    if pip('install', *quiet, '-c', 'constraints.txt', '-e', '.[dev]').returncode: sys.exit('alfe was not installed, see above.')


if __name__ == '__main__': main(sys.argv[1] if len(sys.argv) > 1 else '.venv')
