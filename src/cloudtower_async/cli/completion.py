"""The command ``completion``: print a completion script for a shell."""

from __future__ import annotations

from typing import Literal


def completion(shell: Literal["bash", "fish", "zsh"], /) -> None:
    """Print a completion script for a shell.

    Where to save it: bash: ~/.local/share/bash-completion/completions/cloudtower-async, fish:
    ~/.config/fish/completions/cloudtower-async.fish, zsh: _cloudtower-async in a folder of fpath.

    Args:
        shell: The shell.
    """
    from .app import app  # which imports this module

    app.resolved_commands()
    print(app.generate_completion(shell=shell))
