"""Include the commands, which are imported when they are run, and the simulator of some."""

from PyInstaller.utils.hooks import collect_submodules

hiddenimports = [*collect_submodules("cloudtower_async.cli"), "cloudtower_async.testing"]
