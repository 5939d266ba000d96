# bash completion for mapcp. Written by cargo xtask manual --update.
_mapcp() {
    local current=${COMP_WORDS[COMP_CWORD]} words=
    # Bash makes a value a separate word if COMP_WORDBREAKS contains =.
    if [[ $current == = ]]; then current=; fi
    local before=${COMP_WORDS[COMP_CWORD-1]}
    if [[ $before == = ]]; then before=${COMP_WORDS[COMP_CWORD-2]}; fi
    case $before= in
        --update=*) words="all older none none-fail" ;;
        --preserve=*) words="mode ownership timestamps links xattr all" ;;
        --sparse=*) words="auto always never" ;;
        --reflink=*) words="auto always never" ;;
        --method=*) words="auto clone kernel map write" ;;
        --progress=*) words="auto always never" ;;
    esac
    if [[ -n $words && $before == --* && $before != -- ]]; then
        mapfile -t COMPREPLY < <(compgen -W "$words" -- "$current")
    elif [[ $current == -* ]]; then
        mapfile -t COMPREPLY < <(compgen -W "-r --recursive -a --archive -n --no-clobber -u --update= -f --force -i --interactive -T --no-target-directory -t --target-directory -p --preserve= -P --no-dereference -L --dereference -x --one-file-system -l --link -s --symbolic-link --atomic --in-place --sparse= --reflink= --method= -j --jobs --sync --progress= -v --verbose -q --quiet -h --help -V --version" -- "$current")
        [[ ${COMPREPLY[0]-} == *= ]] && compopt -o nospace
    else
        mapfile -t COMPREPLY < <(compgen -f -- "$current")
        compopt -o filenames
    fi
}
complete -F _mapcp mapcp
