# Lists what a repository holds, section by section: its files, its objects, those of the base commit, its references.
set -euo pipefail
unset CDPATH ${!GIT_@}
export LC_ALL=C HOME=/nonexistent XDG_CONFIG_HOME=/nonexistent GIT_CONFIG_NOSYSTEM=1 GIT_NO_REPLACE_OBJECTS=1 GIT_NO_LAZY_FETCH=1
git() { command git -c safe.directory='*' -c core.hooksPath=/dev/null -c core.fsmonitor=false "$@"; }
echo repositories
find . -name .git
if [ ! -e .git ]; then exit 0; fi
echo files
find .git ! -type d
echo objects
git cat-file --batch-all-objects --batch-check='%(objectname) %(objecttype)'
echo reachable
git rev-list --objects --no-walk HEAD | cut -d' ' -f1
echo references
git for-each-ref --format='%(refname) %(objectname)'
