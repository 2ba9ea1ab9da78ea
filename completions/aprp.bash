# bash completion for aprp
# Made by `make reference` from the parsers of aprp; changes here are lost.

_aprp() {
  local current=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD-1]}
  local command='' words='' files='' i
  COMPREPLY=()
  for ((i = 1; i < COMP_CWORD; i++)); do
    case "$command ${COMP_WORDS[i]}" in
      'ctl cache') command="$command ${COMP_WORDS[i]}" ;;
      ' '[!-]*) command=${COMP_WORDS[i]} ;;
    esac
  done
  case "$command $before" in
    'serve -c'|'serve --config')
      compopt -o filenames 2>/dev/null
      mapfile -t COMPREPLY < <(compgen -f -- "$current")
      return ;;
    'serve -p'|'serve --port')
      :
      return ;;
    'serve --source')
      :
      return ;;
    'serve --upstream')
      :
      return ;;
    'check --config')
      compopt -o filenames 2>/dev/null
      mapfile -t COMPREPLY < <(compgen -f -- "$current")
      return ;;
    'init --upstream')
      :
      return ;;
    'init --source')
      :
      return ;;
    'init --listen')
      :
      return ;;
    'init --admin')
      :
      return ;;
    'init -o'|'init --output')
      compopt -o filenames 2>/dev/null
      mapfile -t COMPREPLY < <(compgen -f -- "$current")
      return ;;
    'get --metalink')
      compopt -o filenames 2>/dev/null
      mapfile -t COMPREPLY < <(compgen -f -- "$current")
      return ;;
    'get --location')
      :
      return ;;
    'get --keys')
      compopt -o filenames 2>/dev/null
      mapfile -t COMPREPLY < <(compgen -f -- "$current")
      return ;;
    'get -o'|'get --output')
      compopt -o filenames 2>/dev/null
      mapfile -t COMPREPLY < <(compgen -f -- "$current")
      return ;;
    'get --output-dir')
      compopt -o filenames 2>/dev/null
      mapfile -t COMPREPLY < <(compgen -f -- "$current")
      return ;;
    'get --range')
      :
      return ;;
    'get --limit-rate')
      :
      return ;;
    'get --header')
      :
      return ;;
    'get --checksum')
      :
      return ;;
    'get --same')
      mapfile -t COMPREPLY < <(compgen -W "modified length" -- "$current")
      return ;;
    'get --ca')
      compopt -o filenames 2>/dev/null
      mapfile -t COMPREPLY < <(compgen -f -- "$current")
      return ;;
    'get --plot')
      compopt -o filenames 2>/dev/null
      mapfile -t COMPREPLY < <(compgen -f -- "$current")
      return ;;
    'mirror --samples')
      :
      return ;;
    'mirror --header')
      :
      return ;;
    'mirror --ca')
      compopt -o filenames 2>/dev/null
      mapfile -t COMPREPLY < <(compgen -f -- "$current")
      return ;;
    'simulate --scenario')
      :
      return ;;
    'simulate --delay')
      mapfile -t COMPREPLY < <(compgen -W "adaptive normal diff inv static" -- "$current")
      return ;;
    'simulate --duplicate')
      mapfile -t COMPREPLY < <(compgen -W "adaptive nibib ibrc off" -- "$current")
      return ;;
    'simulate --random')
      :
      return ;;
    'simulate --seed')
      :
      return ;;
    'simulate --plot')
      compopt -o filenames 2>/dev/null
      mapfile -t COMPREPLY < <(compgen -f -- "$current")
      return ;;
    'simulate --until')
      :
      return ;;
    'ctl --socket')
      compopt -o filenames 2>/dev/null
      mapfile -t COMPREPLY < <(compgen -f -- "$current")
      return ;;
    'ctl --config')
      compopt -o filenames 2>/dev/null
      mapfile -t COMPREPLY < <(compgen -f -- "$current")
      return ;;
  esac
  case $command in
    '')
      words="serve check init get mirror simulate ctl -h --help --version"
      ;;
    serve)
      words="-c --config --demo --demo-fault --help -p --port --source --upstream --version"
      ;;
    check)
      words="-h --help --config --schema"
      files=yes
      ;;
    init)
      words="-h --help --upstream --source --sample --listen --admin -o --output"
      ;;
    get)
      words="-h --help --metalink --location --keys -o --output --output-dir -c --continue --range --limit-rate --header --checksum --same --ca --json --plot -q --quiet"
      ;;
    mirror)
      words="check -h --help --samples --header --ca"
      ;;
    simulate)
      words="-h --help --scenario --list --delay --duplicate --random --seed --csv --plot --until"
      ;;
    ctl)
      words="status sources transfers drain resume reload log-level cache -h --help --socket --config --json"
      ;;
    'ctl cache')
      words="list purge prefetch pin unpin verify -h --help"
      ;;
  esac
  mapfile -t COMPREPLY < <(compgen -W "$words" -- "$current")
  if [[ $files && $current != -* ]]; then
    compopt -o filenames 2>/dev/null
    mapfile -t -O "${#COMPREPLY[@]}" COMPREPLY < <(compgen -f -- "$current")
  fi
}
complete -F _aprp aprp
