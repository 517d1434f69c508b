# The recording floor, to be sourced: sets DATA (the data folder, empty if there is no home to keep it in) and
# PY (the real python3, 3.9 or newer, empty if there is none). Once remembered, finding it starts no process:
# the shim of a version manager costs more than all the work of a hook.

floor_data() { # as data_folder() in scripts/orchestrator/paths.py, and a test holds them together
  DATA=${ORCHESTRATOR_DATA:-}
  case $DATA in
    '') ;;
    /*) return ;;
    *) DATA=$PWD/$DATA; return ;;
  esac
  case ${XDG_DATA_HOME:-} in
    /*) DATA=$XDG_DATA_HOME/orchestrator; return ;;
  esac
  floor_home=${HOME:-}
  if [ -z "$floor_home" ]; then
    floor_user=$(id -un 2>/dev/null) || floor_user=
    case $floor_user in
      '' | *[!A-Za-z0-9._-]*) ;;
      *) floor_home=$(eval "printf %s ~$floor_user") ;;
    esac
  fi
  case $floor_home in
    /*) DATA=$floor_home/.local/share/orchestrator ;;
  esac
}

floor_find() {
  for floor_try in "${ORCHESTRATOR_PYTHON:-}" python3 python3.13 python3.12 python3.11 python3.10 python3.9 \
    /usr/local/bin/python3 /opt/homebrew/bin/python3 /usr/bin/python3; do
    PY=$(command -v "$floor_try" 2>/dev/null) || continue
    # On a Mac without the command line tools this name only opens a window that offers them.
    if [ "$PY" = /usr/bin/python3 ] && [ -x /usr/bin/xcode-select ]; then
      /usr/bin/xcode-select -p >/dev/null 2>&1 || continue
    fi
    PY=$("$PY" -I -S -c '
import os, sys, _sqlite3
sqlite = tuple(int(part) for part in _sqlite3.sqlite_version.split("."))
if sys.version_info < (3, 9) or sqlite < (3, 34):
    sys.exit(1)
_sqlite3.connect(":memory:").execute("SELECT json_valid(1)")
print(os.path.realpath(sys.executable))
' 2>/dev/null </dev/null) || continue
    [ -x "$PY" ] || continue
    if [ -n "$DATA" ]; then
      (
        umask 077
        mkdir -p "$DATA" && printf '%s\n' "$PY" >"$DATA/python-floor.$$" &&
          mv -f "$DATA/python-floor.$$" "$DATA/python-floor"
      ) 2>/dev/null
    fi
    return
  done
  PY=
}

floor_data
PY=
if [ -n "$DATA" ] && [ -r "$DATA/python-floor" ]; then
  IFS= read -r PY <"$DATA/python-floor"
fi
case $PY in
  /*) [ -f "$PY" ] && [ -x "$PY" ] || floor_find ;;
  *) floor_find ;;
esac
