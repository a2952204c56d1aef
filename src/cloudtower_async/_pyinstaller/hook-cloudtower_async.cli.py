"""Include the modules of the commands, the catalogs of translations, and the simulator."""

from PyInstaller.utils.hooks import collect_data_files, collect_submodules

hiddenimports = [*collect_submodules("cloudtower_async.cli"), "cloudtower_async.testing"]
datas = collect_data_files("cloudtower_async.cli", includes=["locale/**"])
