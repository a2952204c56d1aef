"""Include the modules that sessions import at first use, such as namespaces and models."""

from PyInstaller.utils.hooks import collect_submodules

_APART = (
    "cloudtower_async._pyinstaller",
    "cloudtower_async.cli",
    "cloudtower_async.simulator",
    "cloudtower_async.testing",
)

hiddenimports = collect_submodules(
    "cloudtower_async", filter=lambda name: not name.startswith(_APART)
)
