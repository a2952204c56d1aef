"""The command ``completion``: what makes a shell complete the others."""

from __future__ import annotations

from typing import Literal


def completion(shell: Literal["bash", "fish", "zsh"], /) -> None:
    """Print a script that makes a shell complete commands and options.

    Where to put it: bash: ~/.local/share/bash-completion/completions/cloudtower-async, fish:
    ~/.config/fish/completions/cloudtower-async.fish, zsh: _cloudtower-async in a folder of fpath.

    Args:
        shell: Which one.
    """
    from .app import app  # which names this module

    app.resolved_commands()
    print(app.generate_completion(shell=shell))
