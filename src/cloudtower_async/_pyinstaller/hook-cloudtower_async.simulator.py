"""Include the simulator, whose modules are imported at first use, but not the pytest plugin."""

from PyInstaller.utils.hooks import collect_submodules

hiddenimports = collect_submodules("cloudtower_async.simulator")
