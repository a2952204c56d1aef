"""Include the modules of the simulator, which are imported at first use. Omit the pytest plugin."""

from PyInstaller.utils.hooks import collect_submodules

hiddenimports = collect_submodules("cloudtower_async.simulator")
