"""Include the simulator, which is imported at its first use, without the plugin for pytest."""

from PyInstaller.utils.hooks import collect_submodules

hiddenimports = collect_submodules("cloudtower_async.simulator")
