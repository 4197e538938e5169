# bash completion for nuki-bridge: the program itself says what can stand next.
_nuki_bridge() {
    local line=${COMP_LINE:0:COMP_POINT} current words
    read -ra words <<<"$line"
    [[ $line != *[[:space:]] ]] || words+=("")
    current=${words[-1]}
    mapfile -t COMPREPLY < <(nuki-bridge __complete "${words[@]:1}" 2>/dev/null)
    if [[ ${COMPREPLY[0]-} = :files ]]; then
        compopt -o filenames 2>/dev/null || true
        mapfile -t COMPREPLY < <(compgen -f -- "$current")
        return
    fi
    [[ ${#COMPREPLY[@]} -ne 1 || ${COMPREPLY[0]} != *= ]] || compopt -o nospace 2>/dev/null || true
    # bash takes what stands behind = or : for a word of its own, if these are among its word breaks.
    local kept=${current%"${current##*[=:]}"}
    [[ -z $kept || $COMP_WORDBREAKS != *=* ]] || COMPREPLY=("${COMPREPLY[@]#"$kept"}")
}
complete -F _nuki_bridge nuki-bridge
