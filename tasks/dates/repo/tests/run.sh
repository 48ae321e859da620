# Runs the tests: TAP on stdout; with -q only what fails.
quiet=$1
ran=0
failed=0
ulimit -t 1 2>/dev/null

check() {
  want=$1
  shift
  ran=$((ran + 1))
  got=$("$@" 2>/dev/null)
  if [ $? -gt 128 ]; then
    echo "Bail out! $* does not end"
    exit 3
  fi
  if [ "$got" = "$want" ]; then
    [ "$quiet" ] || echo "ok $ran - $*"
    return
  fi
  failed=$((failed + 1))
  [ "$quiet" ] || echo "not ok $ran - $*"
  echo "# $*: got ${got:-nothing}, want ${want:-nothing}"
}

for file in src/*.sh; do
  . "./$file"
done
. ./tests/cases.sh

[ "$quiet" ] || echo "1..$ran"
echo "# $failed of $ran failed"
[ "$failed" -eq 0 ]
