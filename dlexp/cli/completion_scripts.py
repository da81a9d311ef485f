"""The scripts that make a shell complete the words of dlexp, in place of those of typer.

Typer's put a space behind every completion, also behind `optim.lr=`, where the value comes, and give bash's words
without their boundaries. Only `--install-completion` and `--show-completion` import this module.
"""

from __future__ import annotations

from typer import _completion_shared

_BASH = """
%(complete_func)s() {
    local IFS=$'\\n' word
    COMPREPLY=( $( env COMP_WORDS="${COMP_WORDS[*]}" \\
                   COMP_CWORD=$COMP_CWORD \\
                   %(autocomplete_var)s=complete_bash $1 ) )
    for word in "${COMPREPLY[@]}"; do
        [[ $word == *[=.] ]] && compopt -o nospace
    done
    return 0
}

complete -o default -F %(complete_func)s %(prog_name)s
"""

_ZSH = """
#compdef %(prog_name)s

%(complete_func)s() {
  if [[ $CURRENT -eq 2 || $words[CURRENT] == -* ]]; then
    eval $(env _TYPER_COMPLETE_ARGS="${words[1,$CURRENT]}" %(autocomplete_var)s=complete_zsh %(prog_name)s)
    return
  fi
  local -a found
  found=("${(@f)$(env COMP_WORDS="${(F)words}" COMP_CWORD=$((CURRENT - 1)) _DLEXP_SHELL=zsh \\
    %(autocomplete_var)s=complete_bash %(prog_name)s)}")
  found=(${found:#})
  if (( $#found )); then
    compadd -U -S '' -- ${(M)found:#*[=.]}
    compadd -U -- ${found:#*[=.]}
  else
    compset -P '*='
    _files
  fi
}

compdef %(complete_func)s %(prog_name)s
"""


def use_own_scripts() -> None:
    """Let typer install and print the scripts of dlexp for bash and zsh; its own for fish fits, which adds no space."""
    _completion_shared._completion_scripts |= {"bash": _BASH, "zsh": _ZSH}


def script_of(shell: str) -> str:
    """The script of bash, zsh or fish."""
    use_own_scripts()
    names = {"complete_func": "_dlexp_completion", "prog_name": "dlexp", "autocomplete_var": "_DLEXP_COMPLETE"}
    return (str(_completion_shared._completion_scripts[shell]) % names).strip()
