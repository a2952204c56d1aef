"""The command ``completion``: print a completion script for a shell."""

from __future__ import annotations

from typing import Literal

from .command_table import command_table

_BASH = r"""# Completion of cloudtower-async for bash.
_cloudtower_async() {
  local line=${COMP_LINE:0:COMP_POINT} current=${COMP_WORDS[COMP_CWORD]} found word head=1
  COMPREPLY=()
  while IFS= read -r found; do
    if [[ $head == 1 ]]; then
      head=0
      [[ $found == :files ]] && compopt -o default 2>/dev/null
    elif [[ $current == [\"\']* ]]; then
      # Bash closes the quotes. Leave out names with characters that quotes do not protect.
      [[ $found == *[\"\'\`\\\$\!]* ]] || COMPREPLY+=("$found")
    else
      printf -v word %q "$found"
      COMPREPLY+=("$word")
    fi
  done < <(cloudtower-async __complete bash "$line" "$COMP_WORDBREAKS" 2>/dev/null)
  if [[ ${#COMPREPLY[@]} == 1 && ${COMPREPLY[0]} == *[=.] ]]; then
    compopt -o nospace 2>/dev/null
  fi
}
complete -F _cloudtower_async cloudtower-async
"""

_ZSH = r"""#compdef cloudtower-async
# Completion of cloudtower-async for zsh.
_cloudtower_async() {
  local -a lines names shown unfinished unfinished_shown
  local line name about
  lines=("${(@f)$(cloudtower-async __complete words "${(@Q)words[1,CURRENT-1]}" "${(Q)PREFIX}" \
    2>/dev/null)}")
  if [[ ${lines[1]} == :files ]]; then
    _files
    return
  fi
  for line in "${(@)lines[2,-1]}"; do
    name=${line%%$'\t'*}
    about=${line#*$'\t'}
    about="$name${about:+  -- $about}"
    if [[ $name == *[=.] ]]; then
      unfinished+=("$name")
      unfinished_shown+=("$about")
    else
      names+=("$name")
      shown+=("$about")
    fi
  done
  (( $#names )) && compadd -l -d shown -a names
  (( $#unfinished )) && compadd -l -S '' -d unfinished_shown -a unfinished
}
if [[ ${funcstack[1]} == _cloudtower-async ]]; then
  _cloudtower_async "$@"
else
  compdef _cloudtower_async cloudtower-async
fi
"""

_FISH = r"""# Completion of cloudtower-async for fish.
function __cloudtower_async_complete
  set -l words (commandline -opc)
  set -l current (commandline -ct)
  set -l lines (cloudtower-async __complete words $words "$current" 2>/dev/null)
  if test "$lines[1]" = ":files"
    __fish_complete_path "$current"
  else
    printf '%s\n' $lines[2..-1]
  end
end
complete -c cloudtower-async -f -a '(__cloudtower_async_complete)'
"""

_SCRIPTS = {"bash": _BASH, "fish": _FISH, "zsh": _ZSH}


def completion(shell: Literal["bash", "fish", "zsh"], /) -> None:
    """Print a completion script for a shell.

    The script completes commands, options, resources, operations, fields, values and profiles. If a
    token or a password is available, the script also completes names from the server.
    CLOUDTOWER_COMPLETE_NAMES=false turns off the completion of names.

    Save the script to ~/.local/share/bash-completion/completions/cloudtower-async for bash, to
    ~/.config/fish/completions/cloudtower-async.fish for fish, and to _cloudtower-async in a folder
    of fpath for zsh.

    Args:
        shell: Shell that the script is for.
    """
    command_table()  # build the table now, so that the first completion is fast
    print(_SCRIPTS[shell], end="")
