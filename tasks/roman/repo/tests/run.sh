# Runs the tests: TAP on stdout; with -q only what fails.
quiet=$1
ran=0
failed=0

check() {
  want=$1
  shift
  ran=$((ran + 1))
  got=$("$@" 2>&1)
  if [ "$got" = "$want" ]; then
    [ "$quiet" ] || echo "ok $ran - $*"
    return
  fi
  failed=$((failed + 1))
  if [ "$quiet" ]; then
    echo "$*: got $got, want $want"
  else
    echo "not ok $ran - $*"
    echo "# got $got, want $want"
  fi
}

for file in src/*.sh; do
  . "./$file"
done
. ./tests/cases.sh

[ "$quiet" ] || echo "1..$ran"
echo "# $failed of $ran failed"
[ "$failed" -eq 0 ]
