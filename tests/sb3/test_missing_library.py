"""Test of the import without Stable-Baselines3."""

import subprocess
import sys


def test_import_without_stable_baselines3_explains_how_to_install_it(tmp_path):
    code = "import sys; sys.modules['stable_baselines3'] = None; import herfast; import herfast.sb3"
    run = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    last = run.stderr.strip().splitlines()[-1]
    assert last == "ImportError: herfast.sb3 needs Stable-Baselines3: run `pip install 'herfast[sb3]'`"
