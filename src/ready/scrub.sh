# Leaves one repository in the work directory, which holds the base commit and nothing beyond it: a new one is made of
# that commit, and the old one goes with all that belongs to it. `$base` names the commit; empty, the head.
# Nothing of the old repository's configuration or hooks takes part.
set -euo pipefail
unset CDPATH ${!GIT_@}
export LC_ALL=C HOME=/nonexistent XDG_CONFIG_HOME=/nonexistent GIT_CONFIG_NOSYSTEM=1 GIT_NO_REPLACE_OBJECTS=1 GIT_NO_LAZY_FETCH=1
git() { command git -c safe.directory='*' -c core.hooksPath=/dev/null -c core.fsmonitor=false "$@"; }
here=$(pwd -P)

repositories_go() { find . -name .git -prune -exec rm -rf -- {} +; }

if ! type -P git >/dev/null; then
    # Whoever has no git needs no repository, and could still read its objects.
    repositories_go
    exit 0
fi
if ! top=$(git rev-parse --show-toplevel 2>/dev/null); then
    if [ -e .git ]; then echo "the repository of the work directory cannot be read: $(git status 2>&1 | head -n 1)"; exit 1; fi
    repositories_go
    exit 0
fi
if [ "$top" != "$here" ]; then echo "the repository begins at $top, above the work directory $here"; exit 1; fi
if ! base=$(git rev-parse --verify --quiet "${base:-HEAD}^{commit}"); then echo "the repository does not hold the base commit"; exit 1; fi
common=$(cd "$(git rev-parse --git-common-dir)" && pwd -P)

# The new one, by hand, because `git init` would copy templates.
fresh=$(mktemp -d ./.fresh-XXXXXX)
chmod 755 "$fresh"
mkdir -p "$fresh/objects/pack" "$fresh/refs/heads"
echo 'ref: refs/heads/main' >"$fresh/HEAD"
echo "$base" >"$fresh/refs/heads/main"
# The commit keeps its name, which names its parents; they are not there.
echo "$base" >"$fresh/shallow"
version=0
format=
if [ "${#base}" -eq 64 ]; then version=1 format=$'[extensions]\n\tobjectFormat = sha256\n'; fi
printf '[core]\n\trepositoryformatversion = %s\n\tfilemode = true\n\tbare = false\n\tlogallrefupdates = true\n%s' "$version" "$format" >"$fresh/config"
git rev-list --objects --no-walk "$base" | git pack-objects -q "$fresh/objects/pack/pack" >/dev/null

# What else the old one reads from or has checked out.
others=()
while IFS= read -r tree; do
    case $here/ in "$tree"/*) continue ;; esac
    if [ -e "$tree/.git" ]; then others+=("$tree"); fi
done < <(git worktree list --porcelain | sed -n 's/^worktree //p')
stores=("$common/objects")
for ((at = 0; at < ${#stores[@]}; at++)); do
    store=${stores[at]}
    if [ -f "$store/info/alternates" ]; then
        while IFS= read -r other; do
            case $other in '#'* | '') continue ;; /*) ;; *) other=$store/$other ;; esac
            if [ -d "$other" ] && [ "${#stores[@]}" -lt 100 ]; then stores+=("$(cd "$other" && pwd -P)"); fi
        done <"$store/info/alternates"
    fi
done

repositories_go
rm -rf -- "$common" "${stores[@]}" ${others[@]+"${others[@]}"}
mv -- "$fresh" .git
git read-tree "$base"
git update-index -q --refresh >/dev/null || true
